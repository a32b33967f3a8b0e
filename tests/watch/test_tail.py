"""`bounced tail`: what it shows of a log, which lines, live, and at a terminal."""

import json
import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bounced.events.addresses import Concealer, key_of
from bounced.settings import Addresses
from tests.daemon.running import run

SAMPLES = re.findall(r"^\{.*\}$", Path("docs/log-events.md").read_text(), re.MULTILINE)
NOW = datetime.now(UTC)


def line(recipient: str, category: str, severity: str, **fields: object) -> str:
    return json.dumps(
        {"time": NOW.isoformat(), "level": "info", "event": "bounce.recorded", "recipient": recipient}
        | {"category": category, "severity": severity, "status": "4.2.2", "diagnostic": "words", "soft": 2}
        | fields
    )


LINES = [
    line("jane@gmail.com", "dmarc-issues", "soft"),
    line("joe@mail.example.org", "invalid-mailbox", "hard"),
    line("ann@example.org", "full-mailbox", "soft", time=(NOW - timedelta(hours=5)).isoformat()),
    json.dumps(
        {"time": NOW.isoformat(), "level": "info", "event": "smtp.refused", "peer": "p", "reply": "550"}
    ),
]


def tail(lines: list[str], *words: str) -> str:
    done = run(["tail", *words, "-"], stdin="\n".join(lines) + "\n")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([], [0, 1, 2, 3]),
        (["--category", "dmarc-issues"], [0]),
        (["--category", "invalid-", "--category", "full-"], [1, 2]),
        (["--severity", "soft"], [0, 2]),
        (["--domain", "example.org"], [1, 2]),
        (["--domain", "ample.org"], []),
        (["--address", "Jane@GMAIL.com"], [0]),
        (["--event", "smtp."], [3]),
        (["--event", "bounce.", "--severity", "hard"], [1]),
        (["--since", "1h"], [0, 1, 3]),
    ],
)
def test_which_lines(words, shown):
    expected = [("jane@gmail.com", "joe@mail", "ann@", "smtp.refused")[n] for n in shown]
    came = tail(LINES, *words).splitlines()
    assert len(came) == len(expected)
    assert all(word in one for word, one in zip(expected, came, strict=True))


def test_every_event_has_a_line_and_what_is_no_event_stays_as_it_is():
    shown = tail([*SAMPLES, "Traceback\x1b[2J", ""]).splitlines()
    assert len(shown) == len(SAMPLES) + 1
    assert shown[-1] == "Traceback\\x1b[2J"
    assert shown[0].startswith("05:00:23 hard       invalid-mailbox        jane@example.org ")
    assert shown[0].endswith(" 5.1.1  550 5.1.1 User unknown")


def test_hostile_values_move_no_terminal():
    assert tail([line("a\x1b[2J\n@x", "other\u202e", "soft", diagnostic="\x9b2J")]).rstrip("\n").isprintable()


@pytest.mark.parametrize(
    "text", ["[1]", "1", '{"time": 3, "recipients": 7}', '{"recipients": [1, null]}', "{"]
)
def test_what_is_no_line_of_ours_breaks_nothing(text):
    tail([text])
    tail([text], "--since", "1h", "--category", "x")


def test_an_address_is_found_where_it_is_hashed_or_masked(tmp_path):
    for form in (Addresses.HASHED, Addresses.MASKED):
        concealed = Concealer(form, key_of(tmp_path)).address("jane@example.org")
        words = ("--address", "jane@example.org", "--set", f"state_dir={tmp_path}")
        assert concealed in tail([line(concealed, "other", "soft"), LINES[1]], *words)


def test_a_file_is_followed_and_a_terminal_gets_colours(tmp_path):
    log = tmp_path / "log"
    log.write_text(LINES[1] + "\n")
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "bounced", "tail", str(log)], stdout=theirs) as following:
        os.close(theirs)
        shown = b""
        while b"joe@" not in shown:
            shown += os.read(ours, 4096)
        with log.open("a") as file:
            file.write(LINES[0] + "\n")
        while b"jane@" not in shown or not shown.endswith(b"\r\n"):
            shown += os.read(ours, 4096)
        following.terminate()
        assert following.wait(10) == 0
    assert shown.startswith(b"\x1b[31m")
    os.close(ours)


def test_no_such_file(tmp_path):
    assert run(["tail", str(tmp_path / "none")]).returncode == 66
    assert run(["tail", "--address", "nonsense", "-"]).returncode == 64
