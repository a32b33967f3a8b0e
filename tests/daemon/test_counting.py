"""What bounces do to an address, from SMTP to the keys that senders ask for."""

import calendar
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from tests import reports
from tests.daemon.running import Daemon
from tests.reports import Fate

JANE = "jane@example.org"


def six_months_from_now() -> float:
    now = datetime.now(UTC)
    month = now.month + 6
    year, month = now.year + (month - 1) // 12, (month - 1) % 12 + 1
    day = min(now.day, calendar.monthrange(year, month)[1])
    return now.replace(year=year, month=month, day=day).timestamp()


def assert_hard_for_six_months(daemon: Daemon, address: str) -> None:
    with daemon.store() as store:
        key = f"bounced:hard:{address}"
        assert store.exists(key) == 1
        assert float(store.get(key)) == pytest.approx(six_months_from_now(), abs=5)
        until = datetime.now(UTC).timestamp() + store.ttl(key)
        assert until == pytest.approx(six_months_from_now(), abs=5)
        assert store.hget(f"bounced:addr:{address}", "soft") in (None, "0")


def test_five_messages_that_bounce_softly_make_an_address_hard(daemon):
    assert daemon.send(*(reports.soft(JANE, f"letter-{n}") for n in range(4))) == ["250 2.0.0 Noted"] * 4
    with daemon.store() as store:
        assert store.exists(f"bounced:hard:{JANE}") == 0
        assert store.hget(f"bounced:addr:{JANE}", "soft") == "4"
    daemon.send(reports.soft(JANE, "letter-5"))
    assert_hard_for_six_months(daemon, JANE)
    with daemon.store() as store:
        assert store.hget(f"bounced:addr:{JANE}", "reason") == "soft-limit"


def test_a_delivered_message_breaks_the_row(daemon):
    daemon.send(*(reports.soft(JANE, f"letter-{n}") for n in range(4)), reports.delivered(JANE, "letter-4"))
    daemon.send(reports.soft(JANE, "letter-5"))
    with daemon.store() as store:
        assert store.exists(f"bounced:hard:{JANE}") == 0
        assert store.hget(f"bounced:addr:{JANE}", "soft") == "1"


@pytest.mark.parametrize("report", [reports.hard(JANE, "a"), reports.exim_style(Fate(JANE), "a")])
def test_one_hard_bounce_is_enough(daemon, report):
    daemon.send(report)
    assert_hard_for_six_months(daemon, JANE)
    entry = daemon.wait_for("bounce.recorded")
    assert (entry["recipient"], entry["category"], entry["severity"]) == (JANE, "invalid-mailbox", "hard")


def test_the_same_report_a_hundred_times_over_ten_connections_counts_once(daemon):
    report = reports.soft(JANE, "letter")
    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda _: daemon.send(*[report] * 10), range(10)))
    assert replies == [["250 2.0.0 Noted"] * 10] * 10
    with daemon.store() as store:
        assert store.hget(f"bounced:addr:{JANE}", "soft") == "1"
        assert store.hget(f"bounced:addr:{JANE}", "soft_total") == "1"


def test_a_delay_counts_nothing(daemon):
    daemon.send(*(reports.delayed(JANE, f"letter-{n}") for n in range(6)))
    entry = daemon.wait_for("bounce.delayed")
    assert (entry["recipient"], entry["severity"]) == (JANE, "none")
    with daemon.store() as store:
        assert store.keys("bounced:*:jane@*") == []


def test_each_recipient_of_a_report_has_its_own_fate(daemon):
    fates = [Fate("gone@example.org"), Fate("full@example.org", *reports.SOFT)]
    fates.append(Fate("fine@example.org", "2.0.0", "smtp; 250 Ok", "delivered"))
    daemon.send(reports.postfix_style(fates, "letter"))
    logged = [daemon.wait_for("bounce.recorded") for _ in range(2)]
    assert {entry["recipient"]: entry["category"] for entry in logged} == {
        "gone@example.org": "invalid-mailbox",
        "full@example.org": "full-mailbox",
    }
    assert daemon.wait_for("bounce.delivered")["recipient"] == "fine@example.org"
    checked = daemon.command("check", "gone@example.org", "full@example.org", "fine@example.org")
    assert [line.split("\t")[1] for line in checked.stdout.splitlines()] == ["rest", "send", "send"]
    assert checked.returncode == 1


def test_a_report_that_names_nobody_counts_for_whom_its_return_path_names(daemon):
    nobody = (
        b"From: MAILER-DAEMON@mx.example.org\r\nSubject: failure notice\r\nMessage-ID: <r@mx.example.org>\r\n\r\n"
        b"Your message could not be delivered: user unknown.\r\n"
    )
    daemon.send(nobody)
    daemon.wait_for("bounce.unrecognised")
    daemon.send(nobody, to="bounces+jane=example.org@bounces.example.com")
    assert_hard_for_six_months(daemon, JANE)


def test_whom_the_return_path_names_is_not_believed_of_mail_from_a_sender(daemon):
    nobody = (
        b"From: MAILER-DAEMON@mx.example.org\r\nSubject: failure notice\r\n\r\n"
        b"Your message could not be delivered: user unknown.\r\n"
    )
    with daemon.smtp() as client:
        client.sendmail("a@b.example", ["bounces+jane=example.org@bounces.example.com"], nobody)
    daemon.wait_for("bounce.unrecognised")
    with daemon.store() as store:
        assert store.exists(f"bounced:addr:{JANE}") == 0
