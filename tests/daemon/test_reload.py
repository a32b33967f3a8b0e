"""SIGHUP: what can change at run time changes, and what cannot be read changes nothing."""

import signal
import smtplib
import ssl
import time

import pytest

from bounced.core import returnpath
from tests import certificates, reports
from tests.daemon.running import Daemon, give

JANE = "jane@example.org"
NOTED = "250 2.0.0 Noted"
DOMAIN = "bounces.example.com"
OLD, NEW = bytes(range(32)), bytes(range(1, 33))


def signed(kid: str, key: bytes, mid: str = "m") -> str:
    today = int(time.time() // 86400)
    return returnpath.sign(JANE, DOMAIN, kid=kid, key=key, mid=mid.zfill(12), expires=today + 1)


def reload(daemon: Daemon) -> None:
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("daemon.reloaded", what="rules")  # the last


def test_keys_are_rotated_and_revoked_without_a_restart(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"aa {OLD.hex()}\n")
    settings = (f"return_path_domains={DOMAIN}", "return_path.mode=enforce", f"return_path.keys_file={keys}")
    with Daemon(tmp_path, *settings) as daemon:
        assert daemon.send(reports.soft(JANE, "a"), to=signed("aa", OLD, "1")) == [NOTED]
        assert daemon.send(reports.soft(JANE, "b"), to=signed("bb", NEW, "2"))[0].startswith("550 5.1.1")
        keys.write_text(f"bb {NEW.hex()}\n")
        reload(daemon)
        assert daemon.send(reports.soft(JANE, "b"), to=signed("bb", NEW, "2")) == [NOTED]
        assert daemon.send(reports.soft(JANE, "c"), to=signed("aa", OLD, "3"))[0].startswith("550 5.1.1")
        keys.write_text("bb is no key\n")
        reload(daemon)
        assert daemon.send(reports.soft(JANE, "d"), to=signed("bb", NEW, "4")) == [NOTED]
        failed = [entry for entry in daemon.log if entry["event"] == "reload.failed"]
        assert [entry["what"] for entry in failed] == ["keys"]
        with daemon.store() as store:
            assert store.hget(f"bounced:addr:{JANE}", "soft") == "3"


def test_without_a_key_file_mail_waits_until_there_is_one(tmp_path):
    keys = tmp_path / "keys"
    settings = (f"return_path_domains={DOMAIN}", "return_path.mode=enforce", f"return_path.keys_file={keys}")
    with Daemon(tmp_path, *settings) as daemon:
        assert daemon.send(reports.soft(JANE, "a"), to=signed("aa", OLD))[0].startswith("451 4.3.0")
        keys.write_text(f"aa {OLD.hex()}\n")
        reload(daemon)
        assert daemon.send(reports.soft(JANE, "a"), to=signed("aa", OLD)) == [NOTED]


def test_limits_and_modes_change_and_the_others_are_named(tmp_path):
    file = tmp_path / "bounced.toml"
    text = '[smtp]\nlisten = ["127.0.0.1:0"]\n[smtp.limits]\nmessage_size = %s\n[policy]\nsoft_limit = %d\n'
    file.write_text(text % (10_000, 5))
    with Daemon(tmp_path, config=file) as daemon, daemon.smtp() as open_before:
        open_before.ehlo()
        assert open_before.esmtp_features["size"] == "10000"
        file.write_text(text % (20_000, 4))
        daemon.process.send_signal(signal.SIGHUP)
        assert daemon.wait_for("daemon.reloaded", what="settings")["needs_restart"] == ["policy.soft_limit"]
        daemon.wait_for("daemon.reloaded", what="rules")
        open_before.ehlo()
        assert open_before.esmtp_features["size"] == "20000"
        file.write_text(text % ('"much"', 4))
        reload(daemon)
        open_before.ehlo()
        assert open_before.esmtp_features["size"] == "20000"
        assert any(entry["event"] == "reload.failed" for entry in daemon.log)


OWN_RULE = """
[[rule]]
id = "{id}"
category = "{category}"
text = ["user unknown"]
why = "The partner says so of all of us."
source = "a letter"
examples = ["550 5.1.1 user unknown"]
"""


def test_rules_of_ones_own_decide_and_are_renewed_as_a_whole(tmp_path):
    rules = tmp_path / "rules.d"
    rules.mkdir()
    (rules / "partner.toml").write_text(OWN_RULE.format(id="partner", category="policy-related"))
    with Daemon(tmp_path, f"rules_dir={rules}") as daemon:

        def decided_by(message: bytes) -> tuple[str, str]:
            assert daemon.send(message) == [NOTED]
            entry = daemon.wait_for("bounce.recorded")
            return entry["rule"], entry["severity"]

        assert decided_by(reports.hard(JANE, "a")) == ("partner", "soft")
        assert decided_by(large("b")) == ("partner", "soft")
        (rules / "partner.toml").write_text(OWN_RULE.format(id="newer", category="full-mailbox"))
        reload(daemon)
        assert decided_by(large("c")) == ("newer", "soft")
        (rules / "bad.toml").write_text("[[rule]]\nid = 1\n")
        (rules / "partner.toml").unlink()
        daemon.process.send_signal(signal.SIGHUP)
        assert "bad.toml" in daemon.wait_for("reload.failed", what="rules")["cause"]
        for name, message in (("d", reports.hard(JANE, "d")), ("e", large("e"))):
            assert decided_by(message) == ("newer", "soft"), name


def large(message_id: str) -> bytes:
    return reports.postfix_style([reports.Fate(JANE)], message_id, padding=1 << 20)


def test_a_daemon_without_its_rules_does_not_start(tmp_path):
    daemon = Daemon(tmp_path, f"rules_dir={tmp_path / 'none'}")
    with pytest.raises(AssertionError, match="No such file"):
        daemon.__enter__()
    assert daemon.process.returncode == 78


def test_mail_over_starttls_and_a_renewed_certificate(tmp_path):
    certificate, key = certificates.make(tmp_path)
    with Daemon(tmp_path, f"smtp.tls.certificate={certificate}", f"smtp.tls.key={key}") as daemon:
        for name in ("mx.example.com", "new.example.com"):
            certificates.make(tmp_path, name)
            with daemon.smtp() as client:
                client.starttls(context=certificates.trusting())
                assert isinstance(client.sock, ssl.SSLSocket)
                assert name.encode() in (client.sock.getpeercert(binary_form=True) or b"")
                assert give(client, reports.hard(JANE, "letter")) == NOTED
        with daemon.store() as store:
            assert store.hget(f"bounced:addr:{JANE}", "hard_total") == "1"


def test_a_certificate_that_cannot_be_used_stops_the_start(tmp_path):
    broken = tmp_path / "tls.pem"
    broken.write_text("nothing")
    daemon = Daemon(tmp_path, f"smtp.tls.certificate={broken}", f"smtp.tls.key={broken}")
    with pytest.raises(AssertionError, match="the certificate cannot be used"):
        daemon.__enter__()
    assert daemon.process.returncode == 78


def test_mail_over_lmtp_counts(tmp_path):
    path = tmp_path / "lmtp"
    with Daemon(tmp_path, f"smtp.lmtp=unix:{path}") as daemon, smtplib.LMTP(str(path)) as client:
        client.ehlo("relay.example")
        assert give(client, reports.hard(JANE, "letter")) == NOTED
        with daemon.store() as store:
            assert store.exists(f"bounced:hard:{JANE}") == 1
