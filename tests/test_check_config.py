"""`bounced check-config` opens what the settings name, and tells everything that is wrong at once."""

import subprocess

import pytest

from tests import certificates
from tests.daemon.running import run


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A certificate and its key."""
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another certificate and its key."""
    return certificates.make(tmp_path_factory.mktemp("other"))


def said(*assignments: str) -> list[str]:
    """The lines about mistakes; none: the settings can be used."""
    done = run(["check-config", *(word for one in assignments for word in ("--set", one))])
    assert done.returncode == (78 if done.stderr else 0)
    return done.stderr.splitlines()


def test_what_can_be_used_is_shown(pair, tmp_path):
    (tmp_path / "keys").write_text(f"aa {'00' * 32}\n")
    (tmp_path / "password").write_text("secret\n")
    assert not said(
        f"smtp.tls.certificate={pair[0]}",
        f"smtp.tls.key={pair[1]}",
        f"return_path.keys_file={tmp_path}/keys",
        "return_path.mode=enforce",
        f"redis.password_file={tmp_path}/password",
        "redis.url=redis://127.0.0.1/0",
    )


def test_a_certificate_with_the_key_of_another(pair, other):
    [line] = said(f"smtp.tls.certificate={pair[0]}", f"smtp.tls.key={other[1]}")
    assert line == f"smtp.tls.key: {other[1]} is not the key of {pair[0]}: name the two files of one issuance"


def test_certificate_and_key_exchanged(pair):
    [line] = said(f"smtp.tls.certificate={pair[1]}", f"smtp.tls.key={pair[0]}")
    assert line.startswith(f"smtp.tls.certificate: {pair[1]} holds no certificate: expected PEM")


def test_a_key_that_asks_for_a_password_is_not_waited_for(pair, tmp_path):
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkey", "-in", pair[1], "-out", locked, "-aes256", "-passout", "pass:secret"]
    subprocess.run(command, check=True, capture_output=True)
    [line] = said(f"smtp.tls.certificate={pair[0]}", f"smtp.tls.key={locked}")
    assert line.startswith(f"smtp.tls.key: {locked} asks for a password")


def test_a_key_that_is_none(pair, tmp_path):
    (tmp_path / "key").write_text("secret")
    [line] = said(f"smtp.tls.certificate={pair[0]}", f"smtp.tls.key={tmp_path}/key")
    assert line.startswith(f"smtp.tls.key: {tmp_path}/key cannot be used: expected a private key in PEM")


def test_all_that_is_missing_is_named_at_once(tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/mine.toml").write_text('[[rule]]\nid = "x"\ncategry = "other"\n')
    (tmp_path / "empty").write_text("\n")
    none = tmp_path / "none"
    lines = said(
        f"smtp.tls.certificate={none}",
        f"smtp.tls.key={none}",
        "redis.url=rediss://127.0.0.1/0",
        f"redis.tls.ca_file={none}",
        f"redis.password_file={tmp_path}/empty",
        "return_path.mode=observe",
        f"return_path.keys_file={none}",
        f"rules_dir={tmp_path}/rules",
    )
    assert lines[:5] == [
        f"smtp.tls.certificate: {none}: No such file or directory",
        f"smtp.tls.key: {none}: No such file or directory",
        f"redis.tls.ca_file: {none}: No such file or directory",
        f"redis.password_file: {tmp_path}/empty is empty: expected the password",
        f"return_path.keys_file: {none}: No such file or directory",
    ]
    assert lines[5].startswith("rules_dir: mine.toml:")


def test_keys_that_nobody_asks_for_need_not_be_there(tmp_path):
    assert not said(f"return_path.keys_file={tmp_path}/none")


def test_a_credential_is_known_to_the_daemon_only():
    [line] = said("redis.url=redis://127.0.0.1/0", "redis.password_file=redis-password")
    assert "a systemd credential, which only the daemon has" in line


@pytest.mark.parametrize(
    ("assignments", "problem"),
    [
        (["redis.durability=wait-replicas"], "redis.durability: the embedded store has no replicas"),
        (
            ["redis.url=redis://h/0", "redis.tls.ca_file=/x"],
            "redis.tls: expected redis.url to begin with rediss",
        ),
        (
            ["redis.url=rediss://h/0", "redis.tls.key_file=/x"],
            "redis.tls: expected both cert_file and key_file",
        ),
        (["smtp.limits.message_memory=1 MiB"], "message_memory: 1 MiB is less than one message"),
        (["smtp.listen=127.0.0.1:9325"], "127.0.0.1:9325 is named twice"),
        (["smtp.lmtp=unix:/x,unix:/x"], "unix:/x is named twice"),
        (["smtp.tls.required=true"], "expected smtp.tls.certificate and smtp.tls.key"),
    ],
)
def test_settings_that_contradict_each_other(assignments, problem):
    [line] = said(*assignments)
    assert problem in line
