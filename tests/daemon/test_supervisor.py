"""What systemd, or whoever stands in for it, hears of the daemon, and the sockets that it passes."""

import os
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import process, reports
from tests.daemon.running import Daemon, give

NOTED = "250 2.0.0 Noted"


class Systemd:
    """The socket of sd_notify(3)."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0"))
        self._socket.settimeout(30)

    def hear(self, name: str) -> dict[str, str]:
        """Return the next message that says `name`, which may be a name alone or with its value."""
        while True:
            message = self._socket.recv(4096).decode().split("\n")
            if any(line == name or line.startswith(f"{name}=") for line in message):
                return dict(line.split("=", 1) for line in message)

    def silence(self, seconds: float) -> bool:
        """Whether nothing is heard for so long."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(30)
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path, monkeypatch) -> Iterator[Systemd]:
    listener = Systemd(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", listener.address)
    yield listener
    listener.close()


def test_systemd_may_have_an_abstract_socket(tmp_path, monkeypatch):
    systemd = Systemd(f"@{tmp_path.name}-{os.getpid()}")
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    with Daemon(tmp_path):
        systemd.hear("READY=1")
    systemd.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_systemd_hears_when_it_is_ready_reloads_and_stops(tmp_path, systemd, workers):
    with Daemon(tmp_path, f"workers={workers}") as daemon:
        ready = systemd.hear("READY=1")
        assert daemon.address in ready["STATUS"]
        assert daemon.store_url in ready["STATUS"]
        assert daemon.send(reports.hard("jane@example.org", "letter")) == [NOTED]
        asked = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        daemon.process.send_signal(signal.SIGHUP)
        assert int(systemd.hear("RELOADING=1")["MONOTONIC_USEC"]) >= asked
        systemd.hear("READY=1")
        daemon.process.send_signal(signal.SIGTERM)
        assert "finishes" in systemd.hear("STOPPING=1")["STATUS"]
        assert daemon.process.wait(30) == 0


def test_the_watchdog_hears_of_a_loop_that_turns_and_of_no_other(tmp_path, systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    with Daemon(tmp_path) as daemon:
        for _ in range(3):
            systemd.hear("WATCHDOG=1")
        os.kill(daemon.process.pid, signal.SIGSTOP)
        while not systemd.silence(1):
            pass  # what it had said before
        assert systemd.silence(2)
        os.kill(daemon.process.pid, signal.SIGCONT)
        systemd.hear("WATCHDOG=1")


def test_a_watchdog_that_is_meant_for_another_process_hears_nothing(tmp_path, systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    with Daemon(tmp_path):
        systemd.hear("READY=1")
        assert systemd.silence(1)


def test_the_watchdog_hears_nothing_when_no_worker_takes_mail(tmp_path, systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    with Daemon(tmp_path, "workers=2") as daemon:
        systemd.hear("WATCHDOG=1")
        daemon.wait_for("worker.started")
        for number, command in process.children(daemon.process.pid).items():
            if "--worker" in command:
                os.kill(number, signal.SIGSTOP)
        daemon.wait_for("worker.stuck")
        daemon.wait_for("worker.died")
        for _ in range(2):
            daemon.wait_for("worker.started", timeout=40)
        systemd.hear("WATCHDOG=1")


def test_a_socket_that_nobody_reads_stops_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    with Daemon(tmp_path) as daemon:
        assert daemon.send(reports.hard("jane@example.org", "letter")) == [NOTED]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="needs systemd-socket-activate")
def test_mail_on_the_sockets_of_systemd(tmp_path: Path, workers):
    """Port and unix socket are opened by systemd's own program, which starts the daemon with the first connection."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    path = tmp_path / "lmtp"
    settings = [f"state_dir={tmp_path}", f"workers={workers}", "smtp.listen=127.0.0.1:1"]
    words = [word for setting in settings for word in ("--set", setting)]
    activator = subprocess.Popen(
        ["systemd-socket-activate", f"--listen=127.0.0.1:{port}", f"--listen={path}", "--fdname=smtp:lmtp",
         sys.executable, "-m", "bounced", "serve", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    try:
        process.wait_until(path.exists)
        with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
            assert give(client, reports.hard("jane@example.org", "letter")) == NOTED
        with smtplib.LMTP(str(path)) as client:
            client.ehlo("relay.example")
            assert give(client, reports.hard("joe@example.org", "letter")) == NOTED
    finally:
        activator.terminate()  # it has become the daemon
        assert activator.wait(40) == 0
    assert path.exists()  # it is systemd's
