"""Runs each mail server once in a session; what is not installed is skipped, or fails when it is required."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache

import pytest

from .daemon import Daemon
from .rig import run
from .server import MailServer
from .servers import EVERYWHERE, SERVERS
from .sink import Sink

REQUIRED = {"": frozenset(), "1": frozenset(EVERYWHERE), "all": frozenset(SERVERS)}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("mta"):
        (name,) = mark.args
        if reason := SERVERS[name].missing():
            if name in REQUIRED[os.environ.get("BOUNCED_REQUIRE_MTA", "")]:
                pytest.fail(f"BOUNCED_REQUIRE_MTA is set, and {reason}", pytrace=False)
            pytest.skip(reason)


class Seen:
    """What came of one server's reports."""

    def __init__(self, daemon: Daemon, sink: Sink, server_log: str) -> None:
        self.daemon, self.reports, self.server_log = daemon, sink.reports, server_log


@pytest.fixture(scope="session")
def see(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[type[MailServer]], Seen]]:
    """Run a mail server against the daemon and a sink, once in a session, and tell what came of it."""
    with ExitStack() as stack, ThreadPoolExecutor() as runs:

        def start(server: type[MailServer]) -> Seen:
            daemon = stack.enter_context(Daemon(tmp_path_factory.mktemp(server.name)))
            with Sink() as sink:
                return Seen(daemon, sink, run(server, [daemon, sink]))

        # A future keeps a failure, too: the next test fails with it at once.
        started = cache(lambda server: runs.submit(start, server))
        yield lambda server: started(server).result()
