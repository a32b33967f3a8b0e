"""The log: names and fields as documented, and nothing from outside can break or steer it."""

import ast
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import convert

from bounced import events
from bounced.alarms import Alarm, Name
from bounced.core.model import Action, Category, Kind, Reading, Report, Severity, Verdict
from bounced.core.policy import Outcome, Result, State
from bounced.events.repetition import LINES, Damper
from bounced.settings import Settings
from bounced.settings.schema import Log

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


@pytest.fixture
def logged(monkeypatch):
    """What stands in the log after `call`."""

    def log(call: Callable[[], None], stream: io.BytesIO | None = None, **settings: Any) -> str:
        stream = stream or io.BytesIO()
        monkeypatch.setattr(events, "_log", events._log)  # put back afterwards
        writer = events.configure(Settings(log=convert(settings, Log)), stream)
        call()
        writer.close()
        return stream.getvalue().decode()

    return log


def recorded(**fields: Any) -> Callable[[], None]:
    read = reading(**fields)
    return lambda: events.bounce_recorded(FACTS, read, read.verdicts[0], OUTCOME)


READ = reading()
DOCUMENT = Path("docs/log-events.md").read_text()


def test_the_documentation_lists_the_events_that_there_are():
    calls = [node for node in ast.walk(ast.parse(SOURCE.read_text())) if isinstance(node, ast.Call)]
    names = [ast.literal_eval(call.args[0]) for call in calls if ast.unparse(call.func).startswith("_log.")]
    documented = re.findall(r"^\| `([a-z]+\.[a-z]+)`", DOCUMENT, re.MULTILINE)
    assert sorted(documented) == sorted([*names, "log.dropped"])


SAMPLES = [json.loads(line) for line in re.findall(r"^\{.*\}$", DOCUMENT, re.MULTILINE)]
NOTED: dict[str, Callable[[], None]] = {
    "bounce.recorded": recorded(),
    "bounce.duplicate": lambda: events.bounce_duplicate(FACTS, READ, READ.verdicts[0], OUTCOME),
    "bounce.delayed": lambda: events.bounce_delayed(FACTS, READ, READ.verdicts[0]),
    "bounce.delivered": lambda: events.bounce_delivered(FACTS, READ, READ.verdicts[0], OUTCOME),
    "bounce.ignored": lambda: events.bounce_ignored(FACTS, READ),
    "bounce.unrecognised": lambda: events.bounce_unrecognised(FACTS, "no-recipient", "file"),
    "bounce.forged": lambda: events.bounce_forged(
        "192.0.2.1:25", "b@example.com", "not signed", refused=True
    ),
    "postmaster.kept": lambda: events.postmaster_kept(FACTS, "file"),
    "smtp.refused": lambda: events.smtp_refused("192.0.2.1:25", "550 5.7.1 No"),
    "descriptors.exhausted": lambda: events.descriptors_exhausted("Too many open files"),
    "store.unavailable": lambda: events.store_unavailable("no answer in time", "192.0.2.1:25"),
    "store.warning": lambda: events.store_warning("words"),
    "quarantine.dropped": lambda: events.quarantine_dropped("no-recipient", 1, 1),
    "quarantine.failed": lambda: events.quarantine_failed("No space left on device", "192.0.2.1:25"),
    "internal.error": lambda: events.internal_error("192.0.2.1:25", ValueError("x")),
    "alarm.raised": lambda: events.alarm_raised(Alarm(Name.SILENCE), "words"),
    "alarm.cleared": lambda: events.alarm_cleared(Alarm(Name.SILENCE), 60),
    "daemon.listening": lambda: events.daemon_listening("127.0.0.1:25"),
    "daemon.started": lambda: events.daemon_started("1", "redis://127.0.0.1:6379/0"),
    "daemon.reloaded": lambda: events.daemon_reloaded("keys"),
    "reload.failed": lambda: events.reload_failed("keys", "words"),
    "daemon.draining": lambda: events.daemon_draining("SIGTERM"),
    "daemon.stopped": events.daemon_stopped,
    "worker.started": lambda: events.worker_started(1, 2),
    "worker.stuck": lambda: events.worker_stuck(1, 2, 10.0),
    "worker.died": lambda: events.worker_died(1, 2, "killed by SIGKILL", 10.0, 0.1),
    "metrics.listening": lambda: events.metrics_listening("127.0.0.1:9325"),
    "metrics.unavailable": lambda: events.metrics_unavailable("127.0.0.1:9325", "Address already in use"),
}


def test_there_is_a_sample_of_every_event():
    assert sorted(sample["event"] for sample in SAMPLES) == sorted([*NOTED, "log.dropped"])


@pytest.mark.parametrize(
    "sample", [s for s in SAMPLES if s["event"] in NOTED], ids=lambda sample: sample["event"]
)
def test_an_event_has_the_fields_of_its_sample(logged, sample):
    noted = json.loads(logged(NOTED[sample["event"]]))
    assert list(noted) == list(sample)
    assert noted["level"] == sample["level"]


HOSTILE = 'a\r\n{"event":"forged"}\x00\x1b[2J\x9b31m\u202e\u2028' + "x" * 1_000_000


@pytest.mark.parametrize("form", ["json", "ecs"])
@pytest.mark.parametrize("value", [HOSTILE, "\udcff\udc80" + HOSTILE, "\x00" * 1000, "\U0001f600" * 1000])
def test_a_hostile_value_stays_one_short_line_of_json(logged, value, form):
    lines = logged(
        recorded(diagnostic=value, remote_mta=value, final_recipient=value, status=value), format=form
    )
    assert lines.count("\n") == 1
    assert len(lines.encode()) <= 4096  # what a pipe takes whole, whoever else writes to it
    assert lines.rstrip("\n").isprintable()
    assert "bounce.recorded" in json.loads(lines).values()


def test_a_terminal_gets_no_control_characters(logged):
    shown = re.sub(
        r"\x1b\[\d*m", "", logged(recorded(diagnostic=HOSTILE), Terminal())
    )  # structlog's own colours
    assert shown.count("\n") == 1
    assert shown.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    ("stream", "form", "expected"),
    [
        (io.BytesIO, "auto", "json"),
        (Terminal, "auto", "coloured"),
        (Terminal, "json", "json"),
        (io.BytesIO, "console", "plain"),
        (io.BytesIO, "ecs", "json"),
    ],
)
def test_the_form_follows_the_setting_and_the_stream(logged, stream, form, expected):
    line = logged(recorded(), stream(), format=form)
    assert ("json" if line.startswith("{") else "coloured" if "\x1b[" in line else "plain") == expected


def test_ecs_has_the_names_of_the_schema(logged):
    line = json.loads(logged(recorded(diagnostic="550 5.1.1 User unknown"), format="ecs"))
    assert line["ecs.version"] == "8.11"
    assert line["event.action"] == line["message"] == "bounce.recorded"
    assert line["event.kind"] == "event"
    assert line["event.duration"] == 1_000_000
    assert (line["source.ip"], line["source.port"]) == ("192.0.2.1", 25)
    assert line["email.to.address"] == "jane@example.org"
    assert line["bounced.diagnostic"] == "550 5.1.1 User unknown"
    assert json.loads(logged(NOTED["alarm.raised"], format="ecs"))["event.kind"] == "alert"


def test_a_flood_gets_few_lines_and_then_the_number_of_the_others():
    damper = Damper()
    lines = [damper.line("smtp.refused", "flooder", 100) for _ in range(1000)]
    assert lines == [0] * LINES + [None] * (1000 - LINES)
    assert damper.line("smtp.refused", "other", 100) == 0
    assert damper.line("bounce.forged", "flooder", 100) == 0
    assert [damper.line("smtp.refused", "flooder", 161) for _ in range(2)] == [1000 - LINES, 0]


def test_a_store_that_is_down_does_not_fill_the_log_and_every_message_is_counted(logged, monkeypatch):
    monkeypatch.setattr(events, "_damper", Damper())
    before = events.tally.counts["bounced_store_unavailable",]

    def flood() -> None:
        for _ in range(1000):
            events.store_unavailable("no answer in time", "192.0.2.1:25")

    assert logged(flood).count("\n") == LINES
    assert events.tally.counts["bounced_store_unavailable",] - before == 1000
