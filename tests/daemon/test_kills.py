"""kill -9 under load: every 250 is in the store, and no message is counted twice."""

import os
import queue
import random
import signal
import threading
import time
from typing import Self

import pytest

from tests import reports
from tests.daemon.running import Daemon, give
from tests.process import wait_until

NOTED = "250 2.0.0 Noted"
CLIENTS = 4

# smtplib leaves its file open when the greeting does not come.
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
RECIPIENTS = 5000


class Load:
    """Senders as they are: each message is sent again until it gets its 250, and sometimes once more."""

    def __init__(self) -> None:
        self.daemon: Daemon | None = None
        self.noted: dict[str, int] = {}  # by recipient: messages that got a 250
        self.replies: set[str] = set()
        self._work: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, args=(n,)) for n in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, messages: int) -> None:
        """Return when so many more have got their 250."""
        wanted = self._noted_so_far() + messages
        wait_until(lambda: self._noted_so_far() >= wanted, timeout=60)

    def _noted_so_far(self) -> int:
        with self._lock:
            return sum(self.noted.values())

    def _send(self, worker: int) -> None:
        number = 0
        while not self._stop.is_set():
            recipient = f"user{random.randrange(RECIPIENTS)}@example.org"
            self._send_until_noted(reports.soft(recipient, f"letter-{worker}-{number}"))
            with self._lock:
                self.noted[recipient] = self.noted.get(recipient, 0) + 1
            number += 1

    def _send_until_noted(self, report: bytes) -> None:
        while True:
            try:
                assert self.daemon is not None
                with self.daemon.smtp(timeout=20) as client:
                    reply = give(client, report)
            except OSError:
                time.sleep(0.01)  # nobody listens; a sender would wait longer
                continue
            self.replies.add(reply[:9])
            if reply == NOTED:
                return


def assert_counted_once(daemon: Daemon, noted: dict[str, int]) -> None:
    with daemon.store() as store:
        counted = {
            recipient: int(store.hget(f"bounced:addr:{recipient}", "soft") or 0) for recipient in noted
        }
    assert counted == noted


@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_the_daemon_killed_at_random_moments(tmp_path, kills):
    load = Load()
    settings = ("policy.soft_limit=1000000",)
    load.daemon = Daemon(tmp_path, *settings).__enter__()
    address = load.daemon.address
    with load:
        for _ in range(kills):
            load.wait_for_more(10)
            time.sleep(random.uniform(0.02, 0.4))  # the moment is what is tested
            load.daemon.kill()
            load.daemon = Daemon(tmp_path, *settings, listen=address).__enter__()
    assert_counted_once(load.daemon, load.noted)
    load.daemon.__exit__()
    assert load.replies == {"250 2.0.0"}


@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_the_store_killed_under_load(tmp_path, kills):
    load = Load()
    with Daemon(tmp_path, "policy.soft_limit=1000000") as daemon:
        load.daemon = daemon
        with load:
            for _ in range(kills):
                time.sleep(random.uniform(0.05, 0.5))
                os.kill(daemon.store_process(), signal.SIGKILL)
        daemon.store_process()  # it may have been killed behind the last reply
        assert_counted_once(daemon, load.noted)
    assert load.replies <= {"250 2.0.0", "451 4.3.0"}
