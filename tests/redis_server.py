"""Real Redis and Valkey servers for tests: started on a free port, frozen, killed, stopped."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from bounced.store.embedded import binary

REDIS = shutil.which("redis-server")
BINARIES = {"valkey": binary(), **({"redis": REDIS} if REDIS else {})}


def wait_for(what, seconds=10.0) -> None:
    """Poll until `what()` is true; fail when it does not become so in time."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    def __init__(self, executable: str, directory: Path, **settings: str) -> None:
        self.directory = directory
        self.name = Path(executable).name
        self.port = free_port()
        options = {"bind": "127.0.0.1", "dir": str(directory), "save": "", "appendonly": "no", **settings}
        self.command = [executable, "--port", str(self.port), "--logfile", str(directory / "log")]
        self.command += [part for name, value in options.items() for part in (f"--{name}", value)]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.answers)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> Redis:
        return Redis(port=self.port, decode_responses=True, protocol=2)

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.directory / "log").read_text()
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:  # not there yet, or loading
            return False

    def hang_up(self) -> None:
        """Close all connections."""
        with self.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
