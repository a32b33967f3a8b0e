"""The command line: help that teaches, statuses that scripts rely on."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bounced.settings.reading import KEYS
from tests.daemon.running import run

COMMANDS = [
    "serve",
    "check-config",
    "parse",
    "explain",
    "classify",
    "review",
    "rules",
    "check",
    "release",
    "delivered",
    "suppress",
    "export",
    "import",
    "follow",
    "serve-map",
    "snippets",
    "return-path",
    "show",
    "undo",
    "replay",
    "report",
    "doctor",
    "selftest",
    "tail",
]
NOBODY = "--set=redis.url=redis://127.0.0.1:1/0"


def test_help_names_every_command():
    helped = run(["--help"])
    assert helped.returncode == 0
    assert re.findall(r"^    ([a-z-]+)(?: |$)", helped.stdout, re.MULTILINE) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example_and_its_exit_status(command):
    helped = run([command, "--help"])
    assert helped.returncode == 0
    assert f"bounced {command}" in helped.stdout.partition("example")[2]
    assert "Exit status:" in helped.stdout


def test_help_is_there_at_once():
    python = min(_seconds("-c", "") for _ in range(5))
    assert min(_seconds("-m", "bounced", "--help") for _ in range(5)) < python + 0.08


def _seconds(*words: str) -> float:
    """How much time of a processor it takes: what else the machine does takes none of that."""
    before = os.times()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 64, "Try: bounced --help"),
        (["chek"], 64, "invalid choice"),
        (["show"], 64, "Try: bounced show --help"),
        (["show", "nobody"], 64, "nobody: not an address"),
        (["check-config", "--config", "/none.toml"], 78, "/none.toml: No such file"),
        (["serve", "--set", "smtp.listen=x"], 78, "smtp.listen: expected"),
        (["check", "--set", "redis.url=x", "jane@example.org"], 78, "redis.url: expected"),
        (["check", NOBODY, "jane@example.org"], 69, "the store does not answer"),
        (["show", NOBODY, "jane@example.org"], 69, "the store does not answer"),
        (["release", NOBODY, "jane@example.org"], 69, "the store does not answer"),
        (["delivered", NOBODY, "jane@example.org"], 69, "the store does not answer"),
    ],
)
def test_what_goes_wrong_has_its_status_and_its_words(words, status, said):
    done = run(words)
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_shipped_configuration_is_the_default():
    shipped = run(["check-config", "--config", "config/bounced.toml"], STATE_DIRECTORY="/x")
    default = run(["check-config", "--set", "policy.soft_limit=5"], STATE_DIRECTORY="/x")
    assert shipped.returncode == 0
    assert _values(shipped.stdout) == _values(default.stdout)
    keys = re.findall(r"^#?([a-z_]+) = ", shipped.stdout, re.MULTILINE)
    written = re.findall(r"^#?([a-z_]+) = ", Path("config/bounced.toml").read_text(), re.MULTILINE)
    assert set(keys) == set(written)


def _values(shown: str) -> list[str]:
    return [line.partition("#")[0].rstrip() for line in shown.splitlines()]


def test_every_setting_is_documented():
    documented = set(re.findall(r"^\| `([a-z_.]+)", Path("docs/configuration.md").read_text(), re.MULTILINE))
    keys = {key for key in KEYS if not key.startswith("policy.severity.")} | {"policy.severity."}
    assert documented == keys


def test_output_into_a_closed_pipe_is_no_error():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "bounced", "check-config"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert "Traceback" not in done.stderr
