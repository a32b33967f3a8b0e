"""Real mail servers report real failures, and a sender finds in Redis what became of its mail."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bounced.core.model import Severity

from .conftest import Seen
from .fates import FATES
from .server import MailServer
from .servers import SERVERS

See = Callable[[type[MailServer]], Seen]

# One worker for each server: starting it and waiting for its reports is what takes the time.
EACH_SERVER = pytest.mark.parametrize(
    "server",
    [
        pytest.param(server, id=name, marks=[pytest.mark.mta(name), pytest.mark.xdist_group(name)])
        for name, server in SERVERS.items()
    ],
)
EVENTS = {
    "failed": "bounce.recorded",
    "delayed": "bounce.delayed",
    "delivered": "bounce.delivered",
    "relayed": "bounce.delivered",
}
KINDS = {"failed": "bounce", "delayed": "delayed", "delivered": "delivered", "relayed": "delivered"}


@EACH_SERVER
@pytest.mark.parametrize("name", [fate.name for fate in FATES])
def test_every_fate_lands_on_its_address(server: type[MailServer], name: str, see: See):
    seen = see(server)
    (fate,) = (fate for fate in server.fates() if fate.name == name)
    address = fate.address(server.name)

    events = {event["action"]: event for event in seen.daemon.events if event.get("recipient") == address}
    assert set(events) == fate.actions, seen.server_log
    for action, event in events.items():
        assert event["event"] == EVENTS[action]
        assert event["severity"] == (fate.severity if action == "failed" else Severity.NONE)
    if "failed" in events:
        assert events["failed"]["category"] == fate.category

    store = seen.daemon.store
    record = store.hgetall(f"bounced:addr:{address}")
    suppressed = store.exists(f"bounced:hard:{address}")
    match fate.severity:
        case Severity.HARD:
            assert suppressed
            assert record["category"] == fate.category
        case Severity.SOFT:
            assert not suppressed
            assert (record["soft"], record["category"]) == ("1", fate.category)
        case _:
            assert not suppressed
            assert record == {}


@EACH_SERVER
def test_parse_tells_kind_recipient_and_action_of_every_report(
    server: type[MailServer], see: See, tmp_path: Path
):
    reports = see(server).reports
    for number, report in enumerate(reports):
        (tmp_path / f"{number:03}.eml").write_bytes(report)
    command = [sys.executable, "-m", "bounced", "parse", "--json", str(tmp_path)]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=30).stdout
    read = [json.loads(line) for line in output.splitlines()]

    told = Counter(
        (one["kind"], who["recipient"], who["action"]) for one in read for who in one["recipients"]
    )
    assert told == Counter(
        (KINDS[action], fate.address(server.name), action)
        for fate in server.fates()
        for action in fate.actions
    )
    several = {
        fate.address(server.name) for fate in server.fates() if fate.message == "several" and fate.actions
    }
    assert [one for one in read if {who["recipient"] for who in one["recipients"]} == several]
