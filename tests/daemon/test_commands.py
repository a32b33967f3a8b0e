"""What a person or a script does beside the running daemon, and the first minute of a newcomer."""

import re
import shlex
import subprocess
import sys

import pytest

from tests import reports
from tests.daemon.running import Daemon, run

JANE, JOE = "jane@example.org", "joe@example.org"


def test_the_printed_line_sends_a_bounce_that_the_printed_command_shows(tmp_path):
    with Daemon(tmp_path) as daemon:
        pass
    lines = daemon.greeting.splitlines()
    [sample] = [line for line in lines if line.startswith("python3 -c ")]
    [show] = [line for line in lines if line.endswith(f" show {daemon_options(daemon)} {JANE}")]
    with Daemon(tmp_path, listen=daemon.address) as again:
        python = shlex.split(sample)
        subprocess.run([sys.executable, *python[1:]], check=True, timeout=30)
        again.wait_for("bounce.recorded", recipient=JANE, category="invalid-mailbox")
        shown = subprocess.run(shlex.split(show), capture_output=True, text=True, check=True, timeout=30)
    assert "rest until" in shown.stdout


def daemon_options(daemon: Daemon) -> str:
    return shlex.join(daemon.options)


def test_check_tells_who_may_be_sent_to(daemon):
    daemon.send(reports.hard(JANE, "letter"))
    assert daemon.command("check", JOE).returncode == 0
    asked = daemon.command("check", "-", stdin=f"{JOE}\n\n Jane@EXAMPLE.org \nnonsense\n")
    assert asked.returncode == 1
    assert re.fullmatch(
        rf"{JOE}\tsend\nJane@EXAMPLE\.org\trest\t\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ\nnonsense\tinvalid\n",
        asked.stdout,
    )


def test_show_release_and_show_again(daemon):
    assert daemon.command("show", JANE).returncode == 1
    daemon.send(reports.hard(JANE, "letter"))
    shown = daemon.command("show", "JANE@example.org").stdout
    assert re.search(r"^state +rest until 20", shown, re.MULTILINE)
    assert re.search(r"^reason +invalid-mailbox$", shown, re.MULTILINE)
    assert daemon.command("release", JANE).stdout == f"{JANE}: may be sent to again\n"
    assert daemon.command("release", JANE).stdout == f"{JANE}: was not at rest\n"
    assert daemon.command("check", JANE).stdout == f"{JANE}\tsend\n"


def test_delivered_breaks_the_row(daemon):
    daemon.send(*(reports.soft(JANE, f"letter-{n}") for n in range(4)))
    done = daemon.command("delivered", JANE, "-", stdin=f"{JOE}\nnonsense\n")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "bounced: nonsense: not an address\n")
    daemon.send(reports.soft(JANE, "letter-5"))
    assert re.search(r"^in a row +1 soft$", daemon.command("show", JANE).stdout, re.MULTILINE)


def test_a_diagnostic_cannot_steer_the_terminal(daemon):
    fate = reports.Fate(JANE, "5.1.1", "smtp; 550 5.1.1 User unknown \x1b[2J\x07")
    daemon.send(reports.postfix_style([fate], "letter"))
    shown = daemon.command("show", JANE).stdout
    assert all(line.isprintable() for line in shown.splitlines())


def test_commands_work_on_the_embedded_store_without_a_daemon(tmp_path):
    with Daemon(tmp_path) as daemon:
        daemon.send(reports.hard(JANE, "letter"))
    assert daemon.command("check", JANE).returncode == 1
    assert daemon.process.returncode == 0


@pytest.mark.parametrize("argument", ["no-at-sign", "a@", "@example.org"])
def test_what_is_no_address_is_said_to_be_none(tmp_path, argument):
    done = run(["release", "--set", f"state_dir={tmp_path}", argument])
    assert done.returncode == 64
    assert "not an address" in done.stderr
