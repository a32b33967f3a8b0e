"""`bounced doctor` against real servers: what is not well is said, with what to do."""

import json
import os
import secrets
import socket
import subprocess
import sys
import threading

import pytest

from tests import certificates
from tests.daemon.running import Daemon, run
from tests.install.nameserver import serving
from tests.redis_server import BINARIES, RedisServer, free_port

# State, words and advice, by what it is about.
Findings = dict[str, list[tuple[str, str, str]]]

ZONE = """
good         60 IN MX    10 mx
good         60 IN TXT   "v=spf1 mx -all"
mx           60 IN A     127.0.0.1
elsewhere    60 IN MX    10 far
far          60 IN A     192.0.2.1
none         60 IN TXT   "nothing"
null         60 IN MX    0 .
lost         60 IN MX    10 nowhere
alias        60 IN MX    10 other
other        60 IN CNAME mx
"""
DOMAINS = ("good", "missing", "none", "null", "lost", "elsewhere", "alias")


def found(*assignments: str, status: int | None = None) -> Findings:
    """What the doctor says: state, words and advice by what it is about."""
    options = [word for one in assignments for word in ("--set", one)]
    return _parsed(run(["doctor", "--json", *options]), status)


def _parsed(done: subprocess.CompletedProcess[str], status: int | None) -> Findings:
    assert done.stderr == ""
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = any(one["state"] == "error" for one in findings)
    assert done.returncode == (1 if wrong else 0)
    assert status in (None, done.returncode)
    by_subject: Findings = {}
    for one in findings:
        by_subject.setdefault(one["about"], []).append((one["state"], one["words"], one["advice"]))
    return by_subject


def test_a_daemon_that_runs_with_its_own_store_is_well(tmp_path):
    with Daemon(tmp_path) as daemon:
        said = found(f"state_dir={tmp_path}", f"smtp.listen={daemon.address}", status=0)
        url = daemon.store_url
    assert said["port"] == [("ok", f"bounced answers on {daemon.address}", "")]
    assert said["store"] == [("ok", f"{url} answers, and its configuration keeps what it is given", "")]
    assert said["clock"][0] == ("ok", "that of the store and ours agree", "")
    assert said["rules"][0][0] == said["settings"][0][0] == said["disk"][0][0] == "ok"
    assert said["quarantine"] == [("ok", "0 messages in quarantine", "")]


def test_without_a_daemon_nothing_is_started(tmp_path):
    said = found(f"state_dir={tmp_path}", f"smtp.listen=127.0.0.1:{free_port()}", status=1)
    assert "nobody listens on 127.0.0.1:" in said["port"][0][1]
    assert said["store"][0][:2] == ("error", f"the embedded store in {tmp_path} does not run")
    assert not list(tmp_path.iterdir())


def test_the_problems_of_a_redis_server_are_told_with_what_to_set(tmp_path):
    server = RedisServer(BINARIES["valkey"], tmp_path, **{"maxmemory-policy": "allkeys-lru"})
    try:
        said = found(f"state_dir={tmp_path}", f"redis.url={server.url}")
    finally:
        server.kill()
    assert [(state, advice) for state, _, advice in said["store"]] == [
        ("warning", "set maxmemory-policy noeviction"),
        ("warning", "set appendonly yes and appendfsync always"),
    ]


def test_who_has_taken_the_port_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        thread = threading.Thread(target=_greet, args=(other,))
        thread.start()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        [(state, words, _)] = found(f"state_dir={tmp_path}", f"smtp.listen={address}")["port"]
        thread.join()
    assert state == "error"
    assert words.startswith(f"{address} is taken by ")
    assert f"(process {os.getpid()}): 220 mx.example.com ESMTP Somebody" in words


def _greet(server):
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"220 mx.example.com ESMTP Somebody\r\n")
        connection.recv(100)


@pytest.mark.parametrize(
    ("days", "state", "words"),
    [(1, "warning", "for mx.example.com, 0 days left"), (91, "ok", "for mx.example.com, 90 days left")],
)
def test_for_whom_the_certificate_is_and_how_long(tmp_path, days, state, words):
    certificate, key = tmp_path / "tls.pem", tmp_path / "tls.key"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days {days} -subj /CN=mx -keyout {key} -out {certificate}"
    names = ["-addext", "subjectAltName=DNS:mx.example.com"]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    [(said, told, _)] = found(
        f"state_dir={tmp_path}", f"smtp.tls.certificate={certificate}", f"smtp.tls.key={key}"
    )["certificate"]
    assert (said, told) == (state, words)


def test_an_expired_certificate(tmp_path):
    certificate, key = certificates.make(tmp_path)
    request = tmp_path / "request"
    (tmp_path / "index").touch()
    (tmp_path / "serial").write_text("01\n")
    (tmp_path / "ca").write_text(
        f"[ca]\ndefault_ca = here\n[here]\ndatabase = {tmp_path}/index\nserial = {tmp_path}/serial\n"
        f"new_certs_dir = {tmp_path}\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n"
    )
    ask = f"openssl req -new -key {key} -subj /CN=mx.example.com -out {request}"
    sign = (
        f"openssl ca -batch -config {tmp_path}/ca -selfsign -keyfile {key} -in {request} -out {certificate}"
    )
    dates = "-startdate 20200101000000Z -enddate 20210101000000Z"
    for command in (ask, f"{sign} {dates}"):
        subprocess.run(command.split(), check=True, capture_output=True)
    [(state, words, advice)] = found(
        f"state_dir={tmp_path}", f"smtp.tls.certificate={certificate}", f"smtp.tls.key={key}"
    )["certificate"]
    assert (state, words) == ("error", f"{certificate}: certificate has expired")
    assert advice.startswith("renew ")


def test_keys_that_everybody_may_read(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"aa {secrets.token_hex(32)}\nbb {secrets.token_hex(32)}\n")
    keys.chmod(0o644)
    said = found(f"state_dir={tmp_path}", "return_path.mode=enforce", f"return_path.keys_file={keys}")[
        "return path"
    ]
    assert said[0] == ("ok", "mode enforce; keys aa, bb", "")
    assert said[1][::2] == ("warning", f"chgrp bounced {keys} && chmod 640 {keys}")


def test_files_that_a_command_has_left_as_somebody_else(tmp_path):
    if os.geteuid():
        pytest.skip("only root can make files of others")
    (tmp_path / "valkey").mkdir()
    os.chown(tmp_path / "valkey", 12345, 12345)
    said = found(f"state_dir={tmp_path}")["disk"]
    assert said[1][0] == "error"
    assert said[1][2] == f"chown -R --reference={tmp_path} {tmp_path}"


def test_rules_of_ones_own_are_linted(tmp_path):
    (tmp_path / "mine.toml").write_text('[[rule]]\nid = "mine"\ncategory = "other"\ntext = ["who are you"]\n')
    [(state, words, _)] = found(f"state_dir={tmp_path}", f"rules_dir={tmp_path}")["rules"]
    assert state == "warning"
    assert "mine.toml:1: rule 'mine': no examples" in words


@pytest.fixture(scope="module")
def resolved(tmp_path_factory):
    """What the doctor says of the domains of the zone, where the resolver asks a name server of the tests."""
    if os.geteuid():
        pytest.skip("port 53 is root's")
    address = f"127.53.{secrets.randbelow(255)}.{1 + secrets.randbelow(250)}"
    file = tmp_path_factory.mktemp("resolver") / "resolv.conf"
    file.write_text(f"nameserver {address}\n")
    script = f'mount --bind {file} "$(readlink -f /etc/resolv.conf)" && exec "$@"'
    domains = ",".join(f"{name}.example.com" for name in DOMAINS)
    options = ["--set", f"return_path_domains={domains}", "--set", f"state_dir={file.parent}"]
    command = [sys.executable, "-m", "bounced", "doctor", "--json", *options]
    with serving(address, ZONE):
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", *command],
            capture_output=True,
            text=True,
            check=False,
        )
    if "unshare" in done.stderr:
        pytest.skip(done.stderr)
    return _parsed(done, None)["dns"]


def test_a_domain_as_it_should_be(resolved):
    assert [one for one in resolved if "good.example.com" in one[1]] == [
        ("ok", "good.example.com is taken by mx.example.com, 127.0.0.1", ""),
        ("ok", "good.example.com says by SPF who sends with it", ""),
    ]


@pytest.mark.parametrize(
    ("domain", "state", "words", "advice"),
    [
        ("missing", "error", "does not exist", "add to its zone: missing.example.com. IN MX 10 "),
        ("none", "error", "has no MX record", "add to its zone: none.example.com. IN MX 10 "),
        ("null", "error", "says by its MX record that it takes no mail", "add to its zone"),
        ("lost", "error", "nowhere.example.com, the MX of lost.example.com, has no address", "IN A <address"),
        ("elsewhere", "warning", "far.example.com, 192.0.2.1: none of this machine's", "forwards port 25"),
        ("alias", "warning", "the MX of alias.example.com, is a CNAME", "address records of its own"),
        ("none", "warning", "has no SPF record", 'IN TXT "v=spf1'),
    ],
)
def test_what_dns_must_say_instead(resolved, domain, state, words, advice):
    said = [one for one in resolved if f"{domain}.example.com" in one[1]]
    assert any(one[0] == state and words in one[1] and advice in one[2] for one in said), said
