"""Where settings come from, and that every error is named with what was expected."""

import os
from pathlib import Path

import pytest

from bounced import settings
from bounced.core.model import Category, Severity
from bounced.core.policy import Period
from bounced.settings import Endpoint, SettingsError


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch, tmp_path):
    for name in os.environ:
        if name.startswith("BOUNCED_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr("bounced.settings.reading.DEFAULT_FILE", tmp_path / "none.toml")


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "bounced.toml"
        path.write_text(text)
        return path

    return write


def problems(path: Path | None = None, *assignments: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings.load(path, assignments)
    return list(caught.value.problems)


def test_without_a_file_everything_stays_on_this_machine():
    chosen = settings.load().settings
    assert chosen.smtp.listen == (Endpoint("127.0.0.1", 2525),)
    assert chosen.redis.url == "embedded"
    assert chosen.return_path_domains == ()
    assert chosen.decisions().hard_expiry == Period(months=6)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"STATE_DIRECTORY": "/var/lib/bounced", "XDG_STATE_HOME": "/x"}, "/var/lib/bounced"),
        ({"XDG_STATE_HOME": "/x"}, "/x/bounced"),
        ({"HOME": "/home/jane"}, "/home/jane/.local/state/bounced"),
    ],
)
def test_state_dir_without_a_setting(monkeypatch, environment, expected):
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(settings.load().settings.state_dir) == expected


def test_every_key_can_be_set_in_the_file(file):
    chosen = settings.load(
        file("""
        return_path_domains = ["Bounces.Example.com."]
        state_dir = "/srv/bounced"
        [smtp]
        listen = ["0.0.0.0:25", "[::]:25"]
        [smtp.limits]
        connections = 10
        message_size = "1 MiB"
        recipients = 0
        [redis]
        url = "rediss://user:word@store.example:6380/2"
        prefix = "b2"
        [policy]
        soft_limit = 3
        hard_expiry = "90 days"
        [policy.severity]
        full-mailbox = "record"
        """)
    ).settings
    assert chosen.return_path_domains == ("bounces.example.com",)
    assert str(chosen.state_dir) == "/srv/bounced"
    assert chosen.smtp.listen == (Endpoint("0.0.0.0", 25), Endpoint("::", 25))
    assert (chosen.smtp.limits.connections, chosen.smtp.limits.recipients) == (10, 0)
    assert chosen.smtp.limits.message_size == 1024**2
    assert chosen.redis.url == "rediss://user:word@store.example:6380/2"
    assert chosen.redis.prefix == "b2"
    policy = chosen.decisions()
    assert (policy.soft_limit, policy.hard_expiry) == (3, Period(days=90))
    assert policy.severity == {Category.FULL_MAILBOX: Severity.RECORD}


def test_command_line_over_environment_over_file_over_default(file, monkeypatch):
    path = file("[policy]\nsoft_limit = 2\nhard_expiry = '2 days'\n[redis]\nprefix = 'file'\n")
    monkeypatch.setenv("BOUNCED_POLICY__SOFT_LIMIT", "3")
    monkeypatch.setenv("BOUNCED_POLICY__HARD_EXPIRY", "3 days")
    effective = settings.load(path, ["policy.soft_limit=4"])
    chosen = effective.settings
    assert chosen.policy.soft_limit == 4
    assert chosen.policy.hard_expiry == Period(days=3)
    assert chosen.redis.prefix == "file"
    assert {key: origin for key, _, origin in settings.shown(effective) if origin != "default"} == {
        "policy.soft_limit": "command line",
        "policy.hard_expiry": "BOUNCED_POLICY__HARD_EXPIRY",
        "redis.prefix": str(path),
    }


def test_the_environment_writes_lists_with_commas_and_hyphens_as_underscores(monkeypatch):
    monkeypatch.setenv("BOUNCED_SMTP__LISTEN", "127.0.0.1:1, [::1]:2")
    monkeypatch.setenv("BOUNCED_RETURN_PATH_DOMAINS", "a.example,b.example")
    monkeypatch.setenv("BOUNCED_POLICY__SEVERITY__FULL_MAILBOX", "hard")
    monkeypatch.setenv("BOUNCED_STATE_DIR", "/srv/b")
    monkeypatch.setenv("BOUNCED_PORT", "tcp://10.0.0.1:25")  # Kubernetes, for a service of our name
    chosen = settings.load().settings
    assert chosen.smtp.listen == (Endpoint("127.0.0.1", 1), Endpoint("::1", 2))
    assert chosen.return_path_domains == ("a.example", "b.example")
    assert chosen.decisions().severity == {Category.FULL_MAILBOX: Severity.HARD}
    assert str(chosen.state_dir) == "/srv/b"


@pytest.mark.parametrize(
    ("assignment", "problem"),
    [
        (
            "smtp.limits.recipient=3",
            "smtp.limits.recipient: no such setting; did you mean smtp.limits.recipients?",
        ),
        ("recipients=3", "recipients: no such setting; did you mean smtp.limits.recipients?"),
        ("colour=red", "colour: no such setting"),
        (
            "smtp.limits.recipients=-1",
            'smtp.limits.recipients: expected a whole number, 0 for no limit, got "-1"',
        ),
        ("smtp.limits.message_size=5 bananas", "expected a size such as"),
        ("smtp.listen=127.0.0.1", "expected a list such as"),
        ("smtp.listen=", "expected a list such as"),
        ("smtp.listen=127.0.0.1:65536", "expected a list such as"),
        ("redis.url=http://localhost", 'expected "embedded", or a URL'),
        ("redis.prefix=a b", "expected 1 to 64 letters"),
        ("policy.soft_limit=0", "expected a whole number of at least 1"),
        ("policy.hard_expiry=half a year", 'expected "6 months" or "180 days", got "half a year"'),
        ("policy.severity.full-mailbox=none", 'expected "hard", "soft" or "record", got "none"'),
        ("policy.severity.full-mailbx=hard", "did you mean policy.severity.full-mailbox?"),
        ("return_path_domains=a b", "expected a list of domain names"),
        ("verbose", "verbose: expected KEY=VALUE"),
    ],
)
def test_an_error_says_what_was_expected(assignment, problem):
    [found] = problems(None, assignment)
    assert found.startswith("command line: ")
    assert problem in found


def test_every_error_is_named_at_once(file, monkeypatch):
    monkeypatch.setenv("BOUNCED_SMPT__LISTEN", "127.0.0.1:25")
    path = file("wrkers = 2\n[policy]\nsoft_limit = 'five'\nhard_expiry = 6\n[redis]\nurl = 1\n")
    assert len(problems(path, "smtp.limits.recipients=x")) == 6


def test_the_whole_world_is_not_let_in_by_omission():
    [found] = problems(None, "smtp.listen=127.0.0.1:25,0.0.0.0:25,[::]:25,localhost:1")
    assert found.startswith("return_path_domains: ")
    assert "0.0.0.0:25, [::]:25 to other machines" in found


@pytest.mark.parametrize("text", ["[smtp\n", "a = \n", "\x00"])
def test_a_file_that_is_not_toml_is_named_with_the_line(file, text):
    [found] = problems(file(text))
    assert "bounced.toml: " in found
    assert "line 1" in found


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert problems(tmp_path / "none.toml") == [f"{tmp_path}/none.toml: No such file or directory"]


@pytest.mark.parametrize(
    "url", ["redis://user:hunter2@h:1/0", "redis://:hunter2@h", "redis://h?password=hunter2"]
)
def test_passwords_are_not_shown(url):
    effective = settings.load(None, [f"redis.url={url}"])
    assert "hunter2" not in repr(list(settings.shown(effective)))
    assert "hunter2" not in repr(problems(None, f"redis.url=x{url}"))


def test_what_is_shown_can_be_read_back(file):
    effective = settings.load(None, ["policy.severity.other=hard", "policy.hard_expiry=90 days"])
    text = "\n".join(f"{key} = {value}" for key, value, _ in settings.shown(effective))
    assert settings.load(file(text)).settings == effective.settings
