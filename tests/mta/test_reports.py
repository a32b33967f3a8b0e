"""Real mail servers report real failures, and a sender finds in Redis what became of its mail."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from bounced.core.model import Severity

from .courier import Courier
from .daemon import Daemon
from .exim import Exim
from .fates import FATES
from .opensmtpd import OpenSMTPD
from .postfix import Postfix
from .rig import run
from .sendmail import Sendmail
from .server import MailServer
from .sink import Sink

EVENTS = {
    "failed": "bounce.recorded",
    "delayed": "bounce.delayed",
    "delivered": "bounce.delivered",
    "relayed": "bounce.delivered",
}
KINDS = {"failed": "bounce", "delayed": "delayed", "delivered": "delivered", "relayed": "delivered"}


@dataclass(frozen=True)
class Seen:
    """What came of one server's reports."""

    daemon: Daemon
    reports: list[bytes]
    server_log: str


class Reports:
    """The tests of one server, which runs once for all of them."""

    server: ClassVar[type[MailServer]]

    @pytest.fixture(scope="class")
    @classmethod
    def seen(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
        with Daemon(tmp_path_factory.mktemp("daemon")) as daemon, Sink() as sink:
            server_log = run(cls.server, [daemon, sink])
            yield Seen(daemon, sink.reports, server_log)

    @pytest.mark.parametrize("name", [fate.name for fate in FATES])
    def test_every_fate_lands_on_its_address(self, name: str, seen: Seen):
        (fate,) = (fate for fate in self.server.fates() if fate.name == name)
        address = fate.address(self.server.name)

        events = {event["action"]: event for event in seen.daemon.events if event.get("recipient") == address}
        assert fate.is_told_by(set(events)), seen.server_log
        for action, event in events.items():
            assert event["event"] == EVENTS[action]
            assert event["severity"] == (fate.severity if action == "failed" else Severity.NONE)
        if "failed" in events:
            assert events["failed"]["category"] in (fate.category, fate.or_else)

        record = seen.daemon.store.hgetall(f"bounced:addr:{address}")
        suppressed = seen.daemon.store.exists(f"bounced:hard:{address}")
        match fate.severity:
            case Severity.HARD:
                assert suppressed
                assert record["category"] == fate.category
            case Severity.SOFT:
                assert not suppressed
                assert record["soft"] == "1"
                assert record["category"] in (fate.category, fate.or_else)
            case _:
                assert not suppressed
                assert record == {}

    def test_parse_tells_kind_recipient_and_action_of_every_report(self, seen: Seen, tmp_path: Path):
        for number, report in enumerate(seen.reports):
            (tmp_path / f"{number:03}.eml").write_bytes(report)
        command = [sys.executable, "-m", "bounced", "parse", "--json", str(tmp_path)]
        output = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=30).stdout
        read = [json.loads(line) for line in output.splitlines()]

        told = {(one["kind"], who["recipient"], who["action"]) for one in read for who in one["recipients"]}
        fates = [(fate, fate.address(self.server.name)) for fate in self.server.fates()]
        expected = {(KINDS[action], address, action) for fate, address in fates for action in fate.actions}
        assert told <= expected
        for fate, address in fates:
            assert fate.is_told_by({action for _, recipient, action in told if recipient == address})
        several = {address for fate, address in fates if fate.message == "several" and fate.actions}
        assert several in [{who["recipient"] for who in one["recipients"]} for one in read]


@pytest.mark.mta("postfix")
class TestPostfix(Reports):
    server = Postfix


@pytest.mark.mta("exim")
class TestExim(Reports):
    server = Exim


@pytest.mark.mta("opensmtpd")
class TestOpenSMTPD(Reports):
    server = OpenSMTPD


@pytest.mark.mta("sendmail")
class TestSendmail(Reports):
    server = Sendmail


@pytest.mark.mta("courier")
class TestCourier(Reports):
    server = Courier
