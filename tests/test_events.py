"""The log: names and fields as documented, and nothing from outside can break or steer it."""

import ast
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import structlog

from bounced import events
from bounced.core.model import Action, Category, Kind, Reading, Report, Severity, Verdict
from bounced.core.policy import Outcome, Result, State

SOURCE = Path(events.__file__)
FACTS = {"peer": "192.0.2.1:25", "took_ms": 1.0, "proven": False}
OUTCOME = Outcome(Result.NEW, State.ACTIVE, State.ACTIVE, 1, None)


def reading(**fields: Any) -> Reading:
    values: dict[str, Any] = dict.fromkeys(
        ("final_recipient", "status", "smtp_reply", "diagnostic", "remote_mta")
    )
    values |= {"recipient": "jane@example.org", "action": Action.FAILED, "category": Category.OTHER}
    values |= {"severity": Severity.SOFT, "rule": "r", **fields}
    return Reading(Report(Kind.BOUNCE), (Verdict(**values),), "identity")


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


class Broken(io.BytesIO):
    def write(self, _line: Any) -> int:
        raise BrokenPipeError


@pytest.fixture
def configured(monkeypatch):
    def configure(stream: io.BytesIO) -> io.BytesIO:
        monkeypatch.setattr(events, "_log", structlog.get_logger())  # the old one keeps to its stream
        events.configure(stream)
        return stream

    return configure


def test_the_documentation_lists_the_events_that_there_are():
    calls = [node for node in ast.walk(ast.parse(SOURCE.read_text())) if isinstance(node, ast.Call)]
    names = [ast.literal_eval(call.args[0]) for call in calls if ast.unparse(call.func).startswith("_log.")]
    documented = re.findall(r"^\| `([a-z]+\.[a-z]+)`", Path("docs/log-events.md").read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(names)


def test_a_recipients_event_has_the_documented_fields(configured):
    stream = configured(io.BytesIO())
    read = reading()
    events.bounce_recorded(FACTS, read, read.verdicts[0], OUTCOME)
    text = Path("docs/log-events.md").read_text()
    [sample] = re.findall(r"```json\n(.*)\n```", text)
    assert list(json.loads(stream.getvalue())) == list(json.loads(sample))


HOSTILE = 'a\r\n{"event":"forged"}\x00\x1b[2J\x9b31m\u202e\u2028' + "x" * 1_000_000


@pytest.mark.parametrize("value", [HOSTILE, "\udcff\udc80" + HOSTILE])
def test_a_hostile_value_stays_one_short_line_of_json(configured, value):
    stream = configured(io.BytesIO())
    read = reading(diagnostic=value, remote_mta=value, final_recipient=value, status=value)
    events.bounce_recorded(FACTS, read, read.verdicts[0], OUTCOME)
    line = stream.getvalue()
    assert line.count(b"\n") == 1
    assert len(line) < 8192
    assert line.decode().rstrip("\n").isprintable()
    assert json.loads(line)["event"] == "bounce.recorded"


def test_a_terminal_gets_no_control_characters(configured):
    stream = configured(Terminal())
    read = reading(diagnostic=HOSTILE)
    events.bounce_recorded(FACTS, read, read.verdicts[0], OUTCOME)
    shown = re.sub(r"\x1b\[\d*m", "", stream.getvalue().decode())  # structlog's own colours
    assert shown.count("\n") == 1
    assert shown.rstrip("\n").isprintable()


def test_a_log_that_cannot_be_written_stops_nothing(configured):
    configured(Broken())
    events.smtp_refused("192.0.2.1:25", "550 5.7.1 No")
