"""What a 250 promises, and what happens when it cannot be given."""

import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import reports
from tests.daemon.running import Daemon, give, run

JANE = "jane@example.org"
NOTED = "250 2.0.0 Noted"


@contextmanager
def stopped(daemon):
    """The daemon's store, frozen: it takes connections and answers nothing."""
    process = daemon.store_process()
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def assert_451(daemon: Daemon) -> None:
    started = time.monotonic()
    [reply] = daemon.send(reports.soft(JANE, "letter"))
    assert reply == "451 4.3.0 Cannot take it now, try again later"
    assert time.monotonic() - started < 10
    daemon.wait_for("store.unavailable")


def come_again(daemon: Daemon, report: bytes) -> None:
    """Send it as a server does: until it is noted."""
    deadline = time.monotonic() + 15
    while (replies := daemon.send(report)) != [NOTED]:
        assert replies[0].startswith("451 4.3.0 ")
        assert time.monotonic() < deadline


def test_a_store_that_is_not_there_is_451(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with Daemon(tmp_path, f"redis.url=redis://:hunter2@127.0.0.1:{port}/0") as daemon:
        assert daemon.log[0]["event"] == "store.unavailable"
        assert_451(daemon)
    log = daemon.rest_of_log()
    assert "hunter2" not in repr(log) + daemon.greeting
    assert daemon.process.returncode == 0


def test_a_store_that_hangs_is_451_and_nothing_is_counted_twice_when_the_report_comes_again(daemon):
    assert daemon.send(reports.soft(JANE, "first")) == [NOTED]
    with stopped(daemon):
        assert_451(daemon)
    come_again(daemon, reports.soft(JANE, "letter"))
    with daemon.store() as store:
        assert store.hget(f"bounced:addr:{JANE}", "soft") == "2"


@pytest.mark.parametrize("setting", [("maxmemory", "1"), ("min-replicas-to-write", "1")])
def test_a_store_that_refuses_is_451_and_nothing_has_changed(daemon, setting):
    with daemon.store() as store:
        store.config_set(*setting)
        assert_451(daemon)
        store.config_set(setting[0], "0")
        assert store.keys("bounced:*jane*") == []
    assert daemon.send(reports.soft(JANE, "letter")) == [NOTED]


def test_an_embedded_store_that_dies_comes_back_with_all_that_was_confirmed(daemon):
    assert daemon.send(reports.soft(JANE, "first")) == [NOTED]
    os.kill(daemon.store_process(), signal.SIGKILL)
    come_again(daemon, reports.soft(JANE, "second"))
    assert "2 soft" in daemon.command("show", JANE).stdout


UNREADABLE = b"From: stranger@example.org\r\nSubject: hello\r\n\r\nIs this the right place?\r\n"


def quarantined(daemon, reason) -> list[Path]:
    return sorted(daemon.state_dir.glob(f"quarantine/{reason}/*.eml"))


def test_mail_that_cannot_be_read_lies_in_quarantine_as_it_came(daemon):
    assert daemon.send(UNREADABLE, UNREADABLE) == [NOTED] * 2
    [file] = quarantined(daemon, "no-recipient")
    assert file.read_bytes() == UNREADABLE
    assert file.stat().st_mode & 0o077 == 0
    entry = daemon.wait_for("bounce.unrecognised")
    assert (entry["reason"], entry["file"]) == ("no-recipient", str(file))


def test_of_more_recipients_than_the_limit_the_others_are_for_a_person(daemon):
    crowd = [reports.Fate(f"user{n}@example.org") for n in range(101)]
    assert daemon.send(reports.postfix_style(crowd, "letter")) == [NOTED]
    assert len(quarantined(daemon, "too-many-recipients")) == 1
    with daemon.store() as store:
        known = {key.rpartition(":")[2] for key in store.keys("bounced:addr:user*")}
    assert known == {f"user{n}@example.org" for n in range(100)}


@pytest.mark.parametrize("mailbox", ["postmaster", "Abuse@bounces.example.com"])
def test_mail_for_people_is_kept_and_counts_nothing(daemon, mailbox):
    assert daemon.send(reports.hard(JANE, "letter"), to=mailbox) == [NOTED]
    assert len(quarantined(daemon, "postmaster")) == 1
    with daemon.store() as store:
        assert store.keys("bounced:*jane*") == []


def test_a_disk_that_is_full_is_451(tmp_path):
    with Daemon(tmp_path) as daemon:
        (tmp_path / "quarantine").write_bytes(b"")  # a file where a directory is needed: root writes anywhere
        [reply] = daemon.send(UNREADABLE)
        assert reply.startswith("451 4.3.0 ")
        daemon.wait_for("quarantine.failed")


def test_an_autoreply_changes_nothing(daemon):
    reply = b"From: jane@example.org\r\nAuto-Submitted: auto-replied\r\nSubject: Out of office\r\n\r\nBack soon.\r\n"
    assert daemon.send(reply) == [NOTED]
    assert daemon.wait_for("bounce.ignored")["kind"] == "autoreply"
    with daemon.store() as store:
        assert store.keys("bounced:*jane*") == []


def test_sigterm_under_load_answers_everything_that_was_accepted(daemon):
    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(send_until_refused, daemon, worker) for worker in range(4)]
        while sum(entry["event"] == "bounce.recorded" for entry in daemon.log) < 50:
            daemon.wait_for("bounce.recorded")
        daemon.process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        noted = [address for client in clients for address in client.result(40)]
    assert daemon.process.wait(30) == 0
    assert time.monotonic() - asked < 30
    assert len(noted) >= 50
    with Daemon(daemon.state_dir) as again, again.store() as store:
        assert [address for address in noted if not store.exists(f"bounced:addr:{address}")] == []


def send_until_refused(daemon, worker):
    """Send reports, one recipient each; return the recipients of those that got a 250."""
    noted = []
    try:
        with daemon.smtp() as client:
            for n in range(10_000):
                address = f"user{worker}-{n}@example.org"
                if give(client, reports.soft(address, f"{worker}-{n}")) != NOTED:
                    break
                noted.append(address)
    except OSError:  # refused, or closed by 421: smtplib's errors are OSErrors too
        pass
    return noted


def test_a_second_interrupt_ends_at_once(daemon):
    with daemon.smtp() as client:
        client.ehlo()
        for command in ("MAIL FROM:<>", "RCPT TO:<b@bounces.example.com>", "DATA"):
            client.docmd(command)
        daemon.process.send_signal(signal.SIGINT)
        daemon.wait_for("daemon.draining", signal="SIGINT")
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.process.wait(10) == 130  # and not after the 15 s that a message may take to come in
    daemon.command("check", JANE)  # the embedded store has been left alone; the last to use it stops it


def test_a_port_in_use_is_named_with_what_to_do(daemon, tmp_path):
    second = run(["serve", "--set", f"state_dir={tmp_path}", "--set", f"smtp.listen={daemon.address}"])
    assert second.returncode == 1
    assert second.stderr == (
        f"bounced: {daemon.address} is in use: stop what listens there (ss -ltnp shows it), or set smtp.listen\n"
    )


def test_the_size_limit_is_announced_in_octets(daemon):
    with daemon.smtp() as client:
        client.ehlo()
        assert client.esmtp_features["size"] == "5242880"
