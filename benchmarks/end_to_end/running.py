"""Servers under measurement: started on a core of their own, with a Redis that starts empty, and stopped."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bounced.store.embedded import binary
from tests.process import children

SERVER_CORE, OTHER_CORE, BOTH_CORES = "0", "1", "0,1"
LIMITS = (
    "connections",
    "connections_per_address",
    "connection_rate_per_address",
    "messages",
    "session",
    "idle",
)
ROOT = Path(__file__).parents[2]


@dataclass
class Running:
    """A server that listens."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"
    redis_port: int = 0
    redis: "subprocess.Popen[bytes] | None" = None
    others: str = OTHER_CORE  # the cores of whoever sends, and of Redis


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pinned(core: str, *command: str) -> list[str]:
    return ["taskset", "-c", core, *command]


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Return as soon as the process listens there. Raises RuntimeError when it ends instead."""
    while not answers(port):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with status {process.returncode}")
        time.sleep(0.002)


@contextlib.contextmanager
def redis(core: str = OTHER_CORE) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """The server of the embedded store, with its durability: each write is synced before it is confirmed."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = ["--dir", folder, "--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        process = subprocess.Popen(
            pinned(core, binary(), "--port", str(port), *settings), stdout=subprocess.DEVNULL
        )
        try:
            wait_for(port, process)
            yield port, process
        finally:
            process.kill()
            process.wait()


def settings_of(folder: str, port: int, redis_port: int) -> list[str]:
    """Return the words that tell bounced where to be."""
    settings = (
        f"state_dir={folder}",
        "metrics.listen=",
        f"smtp.listen=127.0.0.1:{port}",
        f"redis.url=redis://127.0.0.1:{redis_port}/0",
    )
    return [word for each in settings for word in ("--set", each)]


@contextlib.contextmanager
def running(
    name: str, *more: str, sampled: Path | None = None, core: str = SERVER_CORE, others: str = OTHER_CORE
) -> Iterator[Running]:
    """Run "bounced", or one of peers.py. `more` are settings of bounced."""
    port = free_port()
    with redis(others) as (redis_port, store), tempfile.TemporaryDirectory() as folder:
        if name == "bounced":
            module = ["-m", "benchmarks.end_to_end.sampling", str(sampled)] if sampled else ["-m", "bounced"]
            limits = (f"smtp.limits.{limit}=0" for limit in LIMITS)
            words = [word for each in (*limits, *more) for word in ("--set", each)]
            command = [*module, "serve", *settings_of(folder, port, redis_port), *words]
        else:
            command = ["-m", "benchmarks.end_to_end.peers", name, str(port), str(redis_port)]
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(
                pinned(core, sys.executable, *command), cwd=ROOT, stdout=log, stderr=log
            )
        try:
            wait_for(port, process)
            yield Running(name, port, process, redis_port, store, others)
        finally:
            process.terminate()
            process.wait()


def processor_seconds(process: "subprocess.Popen[bytes] | None") -> float:
    """Return how much time of a processor it has had, its threads and workers included."""
    if process is None:
        return 0.0
    processes = [process.pid, *children(process.pid)]
    threads = [thread for each in processes for thread in Path(f"/proc/{each}/task").iterdir()]
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def load(server: Running, **options: Any) -> dict[str, float]:
    """Send messages, and return what load.py tells, with the processor's microseconds a message.

    Raises RuntimeError when a message was not taken: such figures mean nothing.
    """
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    before = processor_seconds(server.process), processor_seconds(server.redis)
    done = subprocess.run(
        pinned(
            server.others,
            sys.executable,
            "-m",
            "benchmarks.end_to_end.load",
            f"127.0.0.1:{server.port}",
            *words,
        ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    if done.returncode:
        raise RuntimeError(f"{server.name}: {done.stdout}{done.stderr}")
    told: dict[str, float] = json.loads(done.stdout)
    messages = options["messages"]
    told["us"] = (processor_seconds(server.process) - before[0]) / messages * 1e6
    told["redis_us"] = (processor_seconds(server.redis) - before[1]) / messages * 1e6
    return told
