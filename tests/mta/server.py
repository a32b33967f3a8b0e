"""What the rig asks of a real mail server: to run from a directory of its own, on a loopback port.

It is told whom to ask for names, and where mail for the return paths goes (`Surroundings`). All else it finds
out by DNS, as on the Internet.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from .fates import FATES, Fate

HOSTNAME = "mail.sender.example"
LIFETIME = 10  # seconds a message is tried for: on a busy machine, too, time enough for a warning before
WARNING = 2  # seconds until a delay warning


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every server is told."""

    nameserver: str  # its address; port 53
    routes: Mapping[str, tuple[str, int]]  # return-path domain -> host, port


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class MailServer(ABC):
    """A mail server of its own, from start to stop; a context manager."""

    name: ClassVar[str]  # as in `pytest.mark.mta`
    differs: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # fate -> what is otherwise than in `fates.py`

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self.port = free_port()
        # Not below pytest's own directory, which the servers' users may not enter.
        self.directory = Path(tempfile.mkdtemp(prefix=f"bounced-{self.name}-"))
        self.directory.chmod(0o755)
        self.log = self.directory / "log"  # what the server's own log cannot hold goes here too
        self._processes: list[subprocess.Popen[bytes]] = []

    @classmethod
    @abstractmethod
    def missing(cls) -> str | None:
        """Why the server cannot be run here and what to do about it; None when it can."""

    @abstractmethod
    def configure(self) -> None:
        """Write all that the server needs into its directory."""

    @abstractmethod
    def commands(self) -> Sequence[Sequence[str | Path]]:
        """The processes to run, each in the foreground."""

    def retry(self) -> None:  # noqa: B027
        """Try again whatever is queued; called again and again, for servers that would wait for minutes."""

    def __enter__(self) -> Self:
        try:
            self.configure()
            for command in self.commands():
                self._processes.append(self._spawn(command))
            self._wait_until_listening()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop()

    @classmethod
    def fates(cls) -> tuple[Fate, ...]:
        """What this server's reports say of the fates in `fates.py`."""
        return tuple(replace(fate, **cls.differs.get(fate.name, {})) for fate in FATES)

    def run(self, *command: str | Path) -> None:
        """A command of the server's, to its end. Raises CalledProcessError."""
        with self.log.open("ab") as log:
            subprocess.run(
                self.wrap(command), check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=30
            )

    def wrap(self, command: Sequence[str | Path]) -> Sequence[str | Path]:
        """The command as it is run on this machine."""
        return command

    def _spawn(self, command: Sequence[str | Path]) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.wrap(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _wait_until_listening(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                    if connection.recv(3) == b"220":
                        return
            except OSError:
                pass
            if time.monotonic() > deadline or any(process.poll() is not None for process in self._processes):
                raise RuntimeError(f"{self.name} does not answer on port {self.port}:\n{self.log_text()}")
            time.sleep(0.05)

    def log_text(self) -> str:
        """What the server has logged, for the message of a failed test."""
        return "".join(log.read_text(errors="replace") for log in self.logs() if log.exists())

    def logs(self) -> Sequence[Path]:
        """The files that the server logs to."""
        return [self.log]

    def _stop(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
