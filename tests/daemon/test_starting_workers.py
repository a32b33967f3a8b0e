"""Workers that are starting, or that die, while they are told something: signals in the wrong moment."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from bounced.settings import Settings
from bounced.watching import Watch
from bounced.workers import Workers
from tests import process
from tests.daemon.running import Daemon
from tests.redis_server import BINARIES, RedisServer

pytestmark = pytest.mark.timeout(200)

TEXT = (
    'workers = 2\n[redis]\nurl = "%s"\n[smtp]\nlisten = ["127.0.0.1:0"]\n[smtp.limits]\nmessage_size = %d\n'
)


@pytest.fixture
def store(tmp_path):
    directory = tmp_path / "server"
    directory.mkdir()
    server = RedisServer(BINARIES["valkey"], directory)
    yield server
    server.kill()


def both(daemon: Daemon) -> tuple[int, int]:
    """The processes of the first and the second worker, as soon as the second takes mail."""
    second = daemon.wait_for("worker.started", worker=2)
    [first] = [entry for entry in daemon.log if entry.get("worker") == 1]
    return first["pid"], second["pid"]


def sizes(daemon: Daemon) -> set[str]:
    """What the workers announce: who is asked is left to chance."""
    found = set()
    for _ in range(20):
        with daemon.smtp() as client:
            client.ehlo()
            found.add(client.esmtp_features["size"])
    return found


def test_a_worker_that_was_starting_reads_its_settings_again_too(tmp_path, store):
    file = tmp_path / "bounced.toml"
    file.write_text(TEXT % (store.url, 10_000))
    with Daemon(tmp_path, config=file) as daemon:
        first, killed = both(daemon)
        store.freeze()
        os.kill(killed, signal.SIGKILL)
        # What replaces it has read its settings when it asks the store, and is not ready before that answers.
        process.wait_until(lambda: any(store_asked_by(daemon, store, but={first, killed})))
        file.write_text(TEXT % (store.url, 20_000))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("daemon.reloaded", what="rules")
        store.thaw()
        daemon.wait_for("daemon.reloaded", what="rules")
        assert sizes(daemon) == {"20000"}


def store_asked_by(daemon: Daemon, store: RedisServer, but: set[int]) -> list[bool]:
    """Whether each of the processes is connected to the store."""
    workers = set(process.children(daemon.process.pid)) - but
    return [store.port in {there for _, there in process.connections(worker)} for worker in workers]


def test_a_worker_that_dies_while_it_reads_its_settings_keeps_no_other_from_it(tmp_path, store):
    file = tmp_path / "bounced.toml"
    file.write_text(TEXT % (store.url, 10_000))
    with Daemon(tmp_path, config=file) as daemon:
        first, _ = both(daemon)
        os.kill(first, signal.SIGSTOP)
        process.wait_until(lambda: status(first, "State").startswith("T"))  # or SIGHUP would come before it
        file.write_text(TEXT % (store.url, 20_000))
        daemon.process.send_signal(signal.SIGHUP)
        process.wait_until(lambda: is_pending(first, signal.SIGHUP))
        os.kill(first, signal.SIGKILL)
        started = time.monotonic()
        daemon.wait_for("daemon.reloaded", what="rules")
        assert time.monotonic() - started < 20
        assert sizes(daemon) == {"20000"}


def is_pending(pid: int, number: signal.Signals) -> bool:
    """Whether a stopped process has been sent a signal."""
    return bool(int(status(pid, "ShdPnd"), 16) >> (number - 1) & 1)


def status(pid: int, name: str) -> str:
    """What the kernel says of a process, proc(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))


WORKER = """
import pathlib, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
here = pathlib.Path(sys.argv[1])
(here / "starting").touch()
signal.sigwait([signal.SIGTERM])
(here / "finished").touch()
"""


def test_the_end_while_the_first_worker_starts_lets_it_finish(tmp_path):
    async def scenario() -> None:
        stop = asyncio.get_running_loop().create_future()
        command = [sys.executable, "-c", WORKER, str(tmp_path)]
        workers = Workers(2, command, [], stop, Watch(Settings()))
        starting = asyncio.create_task(workers.start())
        async with asyncio.timeout(20):
            while not (tmp_path / "starting").exists():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        stop.set_result("SIGTERM")
        await starting
        await workers.drain()

    asyncio.run(scenario())
    assert (tmp_path / "finished").exists()
