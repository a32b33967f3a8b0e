"""What the documents tell to type works, and prints what they show."""

import json
import os
import shutil
import smtplib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import redis

from bounced import cli
from bounced.settings import load
from tests.daemon.running import Daemon
from tests.redis_server import REDIS
from tests.reports import SOFT, Fate, postfix_style

from . import samples

# The machine of somebody else: blocks that do these things must say so.
OUTSIDE = (
    "apt-get",
    "systemctl",
    "systemd",
    "docker",
    "sudo",
    "journalctl",
    "/usr/",
    "useradd",
    "make ",
    "git ",
)
ANSWERS_NO = ("exit status 1 of: bounced check ", "exit status 1 of: bounced replay ")
JANE, JOHN = Fate("jane@example.org"), Fate("john@example.org", *SOFT)


def each(*languages: str, run: bool = False):
    """A test for each block of these languages; `run`: for those that are run."""
    found = [block for document in samples.DOCUMENTS for block in samples.blocks(document, *languages)]
    found = [block for block in found if not (run and block.norun)]
    return pytest.mark.parametrize("block", found, ids=str)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """The daemon that the documents speak of, with its embedded store."""
    place = tmp_path_factory.mktemp("daemon")
    with Daemon(place / "state", "return_path_domains=bounces.example.com") as running:
        send(running, b"Subject: hello\r\n\r\nNobody could make sense of this.\r\n")
        yield running


def send(daemon: Daemon, *mails: bytes) -> None:
    host, _, port = daemon.address.rpartition(":")
    with smtplib.SMTP(host, int(port)) as client:
        for mail in mails:
            client.sendmail("", "bounces@bounces.example.com", mail)


@pytest.fixture
def scratch(daemon, tmp_path, monkeypatch):
    """A directory with the files that the documents speak of, and a store that knows Jane and John."""
    bounces = postfix_style([JANE], "letter"), postfix_style([JOHN], "letter")
    with redis.Redis.from_url(daemon.store_url) as store:
        store.flushall()
    send(daemon, *bounces)
    for folder in ("etc/bounced", "bin", "rules.d", "Maildir/new", "Maildir/cur", "Maildir/tmp", "log"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "message.eml").write_bytes(bounces[0])
    (tmp_path / "Maildir/new/1").write_bytes(bounces[1])
    (tmp_path / "addresses").write_text("jane@example.org\njohn@example.org\n")
    (tmp_path / "sent.csv").write_text("2026-11-22,120000\n")
    shutil.copy(samples.ROOT / "config/bounced.toml", tmp_path / "etc/bounced")
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    redis_cli = tmp_path / "bin/redis-cli"
    redis_cli.write_text(f'#!/bin/sh\nexec {shutil.which("redis-cli")} -u {daemon.store_url} "$@"\n')
    redis_cli.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}")
    for setting in daemon.settings:
        key, _, value = setting.partition("=")
        monkeypatch.setenv("BOUNCED_" + key.upper().replace(".", "__"), value)
    monkeypatch.setenv("BOUNCED_RETURN_PATH__KEYS_FILE", str(tmp_path / "etc/bounced/return-path.keys"))
    monkeypatch.setenv("BOUNCED_SMTP__LISTEN", daemon.address)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(shell: str, daemon: Daemon, scratch: Path) -> subprocess.CompletedProcess[str]:
    """Run it in bash, with the places of a machine moved to the scratch directory."""
    assert not [word for word in OUTSIDE if word in shell], "say norun, and why"
    if "redis-cli" in shell and not REDIS:
        pytest.skip("needs redis-cli: apt-get install redis-tools")
    for place, here in (
        ("/etc/bounced", scratch / "etc/bounced"),
        ("/var/lib/bounced", daemon.state_dir),
        ("redis://127.0.0.1:6379/0", daemon.store_url),
        ("127.0.0.1:2525", daemon.address),
        (" -g bounced", ""),
    ):
        shell = shell.replace(place, str(here))
    trap = "trap 'echo \"exit status $? of: $BASH_COMMAND\" >&2' ERR\n"
    return subprocess.run(
        ["bash", "-c", trap + shell],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


def failures(printed: str) -> list[str]:
    """Commands that did not do what they are for; some answer no by exit status 1."""
    failed = [line for line in printed.splitlines() if line.startswith("exit status ")]
    return [line for line in failed if not line.startswith(ANSWERS_NO)]


@pytest.mark.parametrize("document", samples.DOCUMENTS, ids=lambda document: document.name)
def test_every_sample_is_fenced_as_the_tests_understand(document):
    assert samples.odd_fences(document) == []


@each("sh", "console", "ini")
def test_what_is_typed_is_understood(block):
    shell = block.text
    if block.language == "console":
        shell = "".join(command.typed for command in samples.commands(shell))
    for words in samples.calls(shell):
        cli.parser().parse_args(words)


@pytest.mark.parametrize("document", samples.DOCUMENTS, ids=lambda document: document.name)
def test_commands_and_options_in_running_text_exist(document):
    known = help_texts()
    for mention in samples.mentions(document):
        _, name, *words = mention.split()
        assert name in known, mention
        for word in words:
            option = word.strip("[]").partition("=")[0]
            assert not option.startswith("--") or option in known[name], mention


def help_texts() -> dict[str, str]:
    """What each command says of itself."""
    [commands] = [action for action in cli.parser()._actions if action.dest == "command"]
    assert isinstance(commands.choices, dict)
    return {name: parser.format_help() for name, parser in commands.choices.items()}


@each("sh", run=True)
def test_shell_samples_run(block, daemon, scratch):
    done = typed(block.text, daemon, scratch)
    assert not failures(done.stdout), done.stdout
    assert "Traceback" not in done.stdout


@each("console", run=True)
def test_what_is_shown_is_printed(block, daemon, scratch):
    for command in samples.commands(block.text):
        printed = typed(command.typed, daemon, scratch).stdout
        printed = (
            "".join(f"{line}\n" for line in printed.splitlines() if not line.startswith("exit status "))
            .replace(str(daemon.state_dir), "/var/lib/bounced")
            .replace(f"{scratch}/", "/")
        )
        assert samples.matches(command.output, printed), f"{command.typed}printed\n{printed}"


@each("toml", run=True)
def test_settings_are_valid_and_rules_hold(block, tmp_path, monkeypatch, daemon, scratch):
    table = tomllib.loads(block.text)
    if "rule" in table:
        (scratch / "rules.d/sample.toml").write_text(block.text)
        assert not failures(typed("bounced rules test rules.d", daemon, scratch).stdout)
        return
    for name in [name for name in os.environ if name.startswith("BOUNCED_")]:
        monkeypatch.delenv(name)
    if "return_path_domains" not in table:
        monkeypatch.setenv("BOUNCED_RETURN_PATH_DOMAINS", "bounces.example.com")
    (tmp_path / "sample.toml").write_text(block.text)
    load(tmp_path / "sample.toml")


@each("json")
def test_json_parses(block):
    try:
        json.loads(block.text)
    except ValueError:
        assert all(json.loads(line) for line in block.text.splitlines())


@each("yaml")
def test_yaml_parses(block):
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(block.text)


def test_python_is_in_a_page_whose_samples_have_a_test_of_their_own():
    """tests/senders/test_document.py, with what they need around them."""
    found = {document.name for document in samples.DOCUMENTS if samples.blocks(document, "python")}
    assert found == {"senders.md"}
