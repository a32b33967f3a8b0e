"""The wheel in an environment of its own: the command, the data, the manual pages, the completions."""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from bounced import cli
from bounced.settings.reading import KEYS
from tests.install.texts import ROOT

DATA = {
    "share/man/man8/bounced.8",
    "share/man/man5/bounced.toml.5",
    "share/bash-completion/completions/bounced",
    "share/zsh/site-functions/_bounced",
    "share/fish/vendor_completions.d/bounced.fish",
    "share/bounced/config/bounced.toml",
    "share/bounced/systemd/bounced.service",
    "share/bounced/systemd/bounced.socket",
    "share/bounced/systemd/bounced.sysusers",
    "share/bounced/systemd/bounced.tmpfiles",
}


@pytest.fixture(scope="module")
def prefix(wheel, tmp_path_factory):
    """A fresh environment with the wheel; its dependencies are those of the tests, so that no network is needed."""
    directory = tmp_path_factory.mktemp("venv")
    venv.create(directory, with_pip=False)
    [site] = directory.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    python = Path(sys.base_prefix, "bin", "python3")
    pip = [python, "-m", "pip", "--python", directory / "bin/python", "install", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--quiet", wheel], check=True, capture_output=True, cwd="/")
    return directory


def say(prefix: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run what the wheel has installed, far from this tree."""
    return subprocess.run(
        [prefix / "bin/bounced", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"HOME": "/"},
    )


def test_every_file_of_the_package_is_in_it(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "bounced"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    missing = {name for name in tracked if (ROOT / name).exists()} - names
    assert not missing
    assert {name.partition(".data/data/")[2] for name in names} >= DATA


def test_the_command_and_its_data_work(prefix):
    assert say(prefix, "--version").stdout.startswith("bounced ")
    assert say(prefix, "rules", "test").stdout.endswith("no problems\n")
    assert say(prefix, "snippets", "postfix").returncode == 0
    classified = say(prefix, "classify", "550 5.1.1 User unknown")
    assert "invalid-mailbox" in classified.stdout


def test_the_example_of_the_settings_can_be_used(prefix):
    assert (
        say(prefix, "check-config", "--config", f"{prefix}/share/bounced/config/bounced.toml").returncode == 0
    )


def test_the_manual_pages_hold_every_command_and_setting(prefix):
    pages = [(prefix / "share/man" / name).read_text() for name in ("man8/bounced.8", "man5/bounced.toml.5")]
    program, settings = (page.replace(r"\-", "-") for page in pages)
    [action] = [one for one in cli.parser()._actions if isinstance(one, argparse._SubParsersAction)]
    for name, command in action.choices.items():
        assert f'.SS "{name}"\n' in program
        for option in command._option_string_actions.keys() - {"-h", "--help"}:
            if command._option_string_actions[option].help != "==SUPPRESS==":
                assert rf"\fB{option}\fR" in program
    for key in KEYS:
        if not key.startswith("policy.severity."):
            assert rf"\fB{key}\fR" in settings


@pytest.mark.parametrize("page", ["man8/bounced.8", "man5/bounced.toml.5"])
def test_groff_finds_nothing_wrong_with_the_manual_pages(prefix, page):
    if not shutil.which("man"):
        pytest.skip("there is no man: apt-get install man-db")
    shown = subprocess.run(
        ["man", "--warnings", "--encoding", "UTF-8", "--local-file", prefix / "share/man" / page],
        capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"], "MANWIDTH": "100"},
    )  # fmt: skip
    assert shown.stderr == ""
    assert "SEE ALSO" in shown.stdout


@pytest.mark.parametrize("page", ["man8/bounced.8", "man5/bounced.toml.5"])
def test_mandoc_finds_nothing_wrong_with_the_manual_pages(prefix, page):
    if not shutil.which("mandoc"):
        pytest.skip("there is no mandoc: apt-get install mandoc")
    linted = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", prefix / "share/man" / page],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (linted.stdout, linted.returncode) == ("", 0)


# What bash offers when TAB is pressed behind the last word.
PRESS_TAB = r"""
source "$1"; shift
[[ $(complete -p bounced) =~ -F\ ([^ ]+) ]] || exit 3
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
"${BASH_REMATCH[1]}" bounced "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["che"], {"check", "check-config"}),
        (["return-path", "s"], {"sign"}),
        (["doctor", "--j"], {"--json"}),
        (["rules", "l"], {"list", "lint"}),
        (["snippets", "post"], {"postfix"}),
        (["parse", "--config", "/etc/passw"], {"/etc/passwd"}),
    ],
)
def test_bash_completes(prefix, words, offered):
    script = prefix / "share/bash-completion/completions/bounced"
    done = subprocess.run(
        ["bash", "-c", PRESS_TAB, "bash", script, "bounced", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert offered <= set(done.stdout.split()), done.stderr


@pytest.mark.parametrize(("shell", "check"), [("zsh", "-n"), ("fish", "--no-execute")])
def test_the_other_shells_can_read_their_completions(prefix, shell, check):
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell}: apt-get install {shell}")
    file = {"zsh": "zsh/site-functions/_bounced", "fish": "fish/vendor_completions.d/bounced.fish"}[shell]
    subprocess.run([shell, check, prefix / "share" / file], check=True, capture_output=True)
