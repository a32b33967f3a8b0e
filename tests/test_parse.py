"""`bounced parse`, the command: what it takes, what it prints, how it ends."""

import json
import os
import pty
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bounced.commands import sources
from tests import process, reports

COMMAND = [sys.executable, "-m", "bounced", "parse"]
JANE = reports.hard("jane@example.org", "letter-1")
JOE = reports.soft("joe@example.org", "letter-2")
SEPARATOR = b"From MAILER-DAEMON Sun Nov 22 04:00:00 2026\n"


def run(*arguments: str | Path, stdin: bytes = b"", **options):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], input=stdin, capture_output=True, check=False, **options
    )


def parse(*arguments: str | Path, stdin: bytes = b"", status: int = 0) -> list[tuple[str, str]]:
    """File and first recipient, or error, of each line."""
    done = run("--json", *arguments, stdin=stdin)
    assert done.returncode == status, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [
        (Path(line["file"]).name, line["error"] if "error" in line else line["recipients"][0]["recipient"])
        for line in lines
    ]


@pytest.fixture
def jane(tmp_path):
    path = tmp_path / "jane.eml"
    path.write_bytes(JANE)
    return path


def test_json_is_one_object_a_message(jane):
    (line,) = run("--json", jane).stdout.splitlines()
    assert json.loads(line) == {
        "file": str(jane),
        "kind": "bounce",
        "reporting_mta": "relay.example.net",
        "original_message_id": "<letter-1@app.example.com>",
        "envelope_id": None,
        "recipients": [
            {
                "recipient": "jane@example.org",
                "final_recipient": "jane@example.org",
                "action": "failed",
                "status": "5.1.1",
                "smtp_reply": "550",
                "diagnostic": "550 5.1.1 User unknown",
                "remote_mta": "mx.example.org",
                "category": "invalid-mailbox",
                "severity": "hard",
                "rule": json.loads(line)["recipients"][0]["rule"],
            }
        ],
    }


def test_files_in_the_order_given(tmp_path, jane):
    joe = tmp_path / "joe.eml"
    joe.write_bytes(JOE)
    assert parse(joe, jane) == [("joe.eml", "joe@example.org"), ("jane.eml", "jane@example.org")]


def test_a_file_that_cannot_be_read_is_an_error_on_its_line(tmp_path, jane):
    empty = tmp_path / "empty"
    empty.write_bytes(b"\n")
    assert parse(tmp_path / "missing", empty, jane, status=1) == [
        ("missing", "cannot read: No such file or directory"),
        ("empty", "empty: no message"),
        ("jane.eml", "jane@example.org"),
    ]


def test_a_directory_holds_a_message_a_file(tmp_path):
    (tmp_path / "jane.eml").write_bytes(JANE)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "joe").write_bytes(JOE)
    (tmp_path / ".hidden").write_bytes(JOE)
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    assert parse(tmp_path) == [("jane.eml", "jane@example.org"), ("joe", "joe@example.org")]


def test_of_a_maildir_what_was_delivered(tmp_path):
    for folder in ("cur", "new", "tmp", ".Archive/cur", ".Archive/new", ".Archive/tmp"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / f"1.{folder.replace('/', '.')}:2,S").write_bytes(JANE)
    (tmp_path / "dovecot-uidlist").write_bytes(b"3 V1")
    assert [name for name, _ in parse(tmp_path)] == [
        "1..Archive.cur:2,S",
        "1..Archive.new:2,S",
        "1.cur:2,S",
        "1.new:2,S",
    ]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_an_mbox(tmp_path, line_end):
    letters = JANE.replace(b"The letter.", b"From here on all is well.\n\nFrom there too.")
    box = b"".join(SEPARATOR + message.replace(b"\r\n", b"\n") + b"\n" for message in (letters, JOE))
    path = tmp_path / "box"
    path.write_bytes(box.replace(b"\n", line_end))
    assert parse(path) == [("box#1", "jane@example.org"), ("box#2", "joe@example.org")]


def test_a_separator_within_the_one_message_of_a_file(tmp_path):
    path = tmp_path / "x.eml"
    path.write_bytes(SEPARATOR + JANE.replace(b"From: News", b"\n" + SEPARATOR + b"From: News"))
    assert parse(path) == [("x.eml", "jane@example.org")]
    alone = tmp_path / "alone"
    alone.write_bytes(SEPARATOR + JANE)
    assert parse(alone) == [("alone", "jane@example.org")]


def test_standard_input():
    assert parse("-", stdin=JANE) == [("-", "jane@example.org")]
    box = b"".join(SEPARATOR + message.replace(b"\r\n", b"\n") + b"\n" for message in (JANE, JOE))
    assert parse("-", stdin=box) == [("-#1", "jane@example.org"), ("-#2", "joe@example.org")]


def test_a_file_name_that_is_no_utf_8(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.eml"
    Path(os.fsdecode(path)).write_bytes(JANE)
    for options in (["--json"], []):
        done = subprocess.run([*map(os.fsencode, COMMAND + options), path], capture_output=True, check=True)
        assert b"caf\\xe9.eml" in done.stdout.replace(b"\\\\", b"\\")


def test_a_pipe_gets_a_line_a_recipient_and_no_control_characters(tmp_path):
    hostile = JANE.replace(b"User unknown", b"\x1b]0;owned\x07 User\tunknown")
    path = tmp_path / "hostile"
    path.write_bytes(hostile + b"\x1b[2J")
    done = run(path, tmp_path / "missing\x1b")
    first, second = done.stdout.decode().splitlines()
    assert first.split("\t") == [
        str(path), "bounce", "jane@example.org", "invalid-mailbox", "hard", "5.1.1",
        "550 5.1.1 \\x1b]0;owned\\x07 User\\tunknown",
    ]  # fmt: skip
    assert second.split("\t") == [
        f"{tmp_path}/missing\\x1b",
        "error",
        "cannot read: No such file or directory",
    ]
    letter = run("-", stdin=b"From: jane@example.org\n\nHello\n").stdout.decode()
    assert letter.split("\t") == ["-", "other", "-", "-", "-", "-", "-\n"]


def at_a_terminal(*arguments: str | Path, stderr_only: bool = False, until: bytes = b"\0") -> str:
    """What appears on a terminal that the command runs at, or so much of it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=subprocess.DEVNULL if stderr_only else theirs, stderr=theirs,
        stdin=theirs, env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while until not in shown and (piece := os.read(ours, 65_536)):
            shown += piece
        process.terminate()
    except OSError:  # how Linux says that nobody holds the other end any more
        pass
    finally:
        os.close(ours)
        process.wait()
    return shown.decode()


def test_a_person_gets_colours(tmp_path, jane):
    hostile = tmp_path / "hostile"
    hostile.write_bytes(JOE.replace(b"over quota", b"over [red]quota \x1b[2J"))
    shown = at_a_terminal(jane, hostile, tmp_path / "missing")
    assert "invalid-mailbox, hard" in shown
    assert "\x1b[31m" in shown
    assert "over [red]quota \\x1b[2J" in shown
    assert "No such file or directory" in shown


def test_progress_is_shown_to_a_person_when_it_takes_long(tmp_path):
    box = tmp_path / "box"
    box.write_bytes((SEPARATOR + JANE.replace(b"\r\n", b"\n") + b"\n") * 40_000)
    assert "messages" in at_a_terminal("--json", box, stderr_only=True, until=b"messages")
    box.write_bytes(JANE)
    assert at_a_terminal("--json", box, stderr_only=True) == ""
    assert run("--json", box).stderr == b""


def test_a_large_mbox_is_not_read_whole(tmp_path):
    box = tmp_path / "box"
    with box.open("wb") as file:
        file.write(SEPARATOR + JANE.replace(b"\r\n", b"\n") + b"\n" + SEPARATOR)
        file.truncate(3 * sources.MAX_MESSAGE)  # the second message: blanks, hundreds of megabytes
    limit = 1 << 30

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = run("--json", box, preexec_fn=bounded)
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["recipients"][0]["recipient"] == "jane@example.org"
    assert second["error"].startswith("larger than")
    assert done.returncode == 1


@pytest.fixture
def large_box(tmp_path):
    """An mbox that takes longer than one process is given for it."""
    message = SEPARATOR + reports.hard("user-0000@example.org", "letter-0000").replace(b"\r\n", b"\n") + b"\n"
    box = tmp_path / "box"
    with box.open("wb") as file:
        for number in range(1, 4001):
            file.write(message.replace(b"0000", b"%04d" % number))
    return box


def test_all_processors_give_the_answers_of_one_in_the_order_of_the_messages(large_box):
    missing = large_box.parent / "missing"
    done = run("--json", large_box, missing)
    assert done.returncode == 1
    *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["file"] for line in lines] == [f"{large_box}#{number}" for number in range(1, 4001)]
    named = [line["recipients"][0]["recipient"] for line in lines]
    assert named == [f"user-{number:04}@example.org" for number in range(1, 4001)]
    assert last == {"file": str(missing), "error": "cannot read: No such file or directory"}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_it_ends_its_helpers(large_box, number):
    command = subprocess.Popen(
        [*COMMAND, "--json", large_box],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert command.stdout is not None
    while len(process.children(command.pid)) < 2:  # it waits for us to read
        assert command.stdout.readline()
    helpers = list(process.children(command.pid))
    (os.killpg if number == signal.SIGINT else os.kill)(command.pid, number)  # as Ctrl-C does, or kill -9
    _, complaints = command.communicate(timeout=30)
    process.wait_until(lambda: not any(map(process.exists, helpers)))
    assert command.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert complaints == b""


def test_a_reader_that_has_seen_enough(jane):
    process = subprocess.Popen(
        [*COMMAND, "--json", *[str(jane)] * 2_000], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1
    process.stderr.close()
