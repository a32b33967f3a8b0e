"""One returned mail, from bytes to verdicts."""

import pytest

from bounced.core import pipeline
from bounced.core.model import Category, Kind, Severity
from bounced.core.policy import Policy
from tests.core.reading import GROUP, KNOWN, MESSAGES, POLICY, RETURNED, dsn, names, read, status_report


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("unknown-user", Kind.BOUNCE),
        ("mixed-fates", Kind.BOUNCE),
        ("internationalised", Kind.BOUNCE),
        ("plain-words", Kind.BOUNCE),
        ("web-page", Kind.BOUNCE),
        ("forwarded", Kind.BOUNCE),
        ("delayed", Kind.DELAYED),
        ("delivered", Kind.DELIVERED),
        ("complaint", Kind.FEEDBACK),
        ("vacation", Kind.AUTOREPLY),
    ],
)
def test_kind(name, kind):
    assert read(MESSAGES[name]).report.kind is kind


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("From: jane@example.org\nSubject: Hello\n\nA letter.\n", Kind.OTHER),
        ("", Kind.OTHER),
        ("From: a@isp.example\nX-ARF: YES\n\ncomplaint\n", Kind.FEEDBACK),
        ("From: jane@example.org\nAuto-Submitted: auto-generated\n\nhello\n", Kind.OTHER),
        (
            "From: jane@example.org\nAuto-Submitted: auto-generated\nIn-Reply-To: <1@news.example>\n\nhello\n",
            Kind.AUTOREPLY,
        ),
        ("From: jane@example.org\nPrecedence: auto_reply\n\nhello\n", Kind.AUTOREPLY),
        ("From: jane@example.org\nX-Autoreply: yes\n\nhello\n", Kind.AUTOREPLY),
        ("From: jane@example.org\nSubject: Out of office\n\nhello\n", Kind.AUTOREPLY),
    ],
)
def test_kind_of_other_mail(raw, kind):
    reading = read(raw)
    assert reading.report.kind is kind
    assert reading.verdicts == ()


def test_a_verdict_holds_what_a_sender_and_an_operator_need():
    (verdict,) = read(MESSAGES["unknown-user"]).verdicts
    assert verdict.recipient == "jane@example.org"
    assert (verdict.status, verdict.smtp_reply) == ("5.1.1", "550")
    assert verdict.remote_mta == "mx.example.org"
    assert (verdict.category, verdict.severity) == (Category.INVALID_MAILBOX, Severity.HARD)
    assert verdict.rule


def test_the_operator_s_severity_is_used():
    lenient = Policy(severity={**POLICY.severity, Category.INVALID_MAILBOX: Severity.RECORD})
    (verdict,) = pipeline.read(MESSAGES["unknown-user"], KNOWN, lenient).verdicts
    assert verdict.severity is Severity.RECORD


@pytest.mark.parametrize(
    ("raw", "identity"),
    [
        (MESSAGES["mixed-fates"], "<letter-2@app.example.com>"),
        (dsn(f"Original-Envelope-Id: env-1\n\n{GROUP}", returned="To: jane@example.org\n"), "env-1"),
        (dsn(GROUP, returned="To: jane@example.org\n"), "<report@relay.example.net>"),
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (dsn(GROUP, returned="Message-ID: <folded\n"), "<folded"),
    ],
)
def test_the_identity_of_the_message_that_came_back(raw, identity):
    assert read(raw).identity == identity


@pytest.mark.parametrize(
    ("date", "arrival"),
    [
        ("Sun, 22 Nov 2026 04:00:00 +0000", 1795320000),
        ("whenever", None),
        ("Sun, 22 Nov 99999999 04:00:00 +0000", None),
    ],
)
def test_a_bounce_happened_when_the_report_was_written(date, arrival):
    assert read(dsn(GROUP, headers=f"Date: {date}\n")).verdicts[0].at == arrival


def test_a_bounce_happened_at_the_last_attempt_where_that_is_told():
    fields = GROUP + "Last-Attempt-Date: Sun, 22 Nov 2026 04:10:00 +0000\n"
    assert read(dsn(fields, headers="Date: Sun, 22 Nov 2026 05:00:00 +0000\n")).verdicts[0].at == 1795320600


def test_each_recipient_is_explained_by_its_own_lines():
    fields = f"{GROUP}\n{GROUP.replace('jane', 'joe').replace('5.1.1', '5.0.0')}"
    notice = "<jane@example.org>: no such user\n\n<joe@example.org>: mailbox is over quota\n"
    jane, joe = read(dsn(fields, notice=notice)).verdicts
    assert (jane.category, joe.category) == (Category.INVALID_MAILBOX, Category.FULL_MAILBOX)


def test_an_undecided_action_follows_the_words():
    group = "Final-Recipient: rfc822; jane@example.org\nStatus: 4.4.1\n"
    assert read(status_report(group)).report.kind is Kind.BOUNCE
    warning = "Warning: your message is delayed. We will keep trying, you do not need to resend it.\n"
    assert read(dsn(group, notice=warning)).report.kind is Kind.DELAYED


def test_a_file_as_final_recipient_gives_way_to_the_address_in_the_header():
    group = "Final-Recipient: rfc822; /var/mail/jane\nAction: failed\nStatus: 5.2.2\n"
    headers = "X-Failed-Recipients: jane@example.org\n"
    assert names(read(dsn(group, headers=headers, returned="To: list@example.org\n"))) == ["jane@example.org"]


def test_a_report_that_names_nobody_is_about_the_only_addressee():
    raw = (
        "From: MAILER-DAEMON@example.net\nSubject: Undelivered Mail Returned to Sender\n"
        'Content-Type: multipart/report; boundary="b"\n\n--b\n\nYour message could not be delivered.\n'
        f"--b\nContent-Type: text/rfc822-headers\n\n{RETURNED}\n--b--\n"
    )
    assert names(read(raw)) == ["jane@example.org"]
    two = raw.replace("To: jane@example.org", "To: jane@example.org, joe@example.org")
    assert names(read(two)) == []


def test_a_complaint_names_everybody_it_is_about():
    reading = read(MESSAGES["complaint"])
    assert names(reading) == ["jane@example.org", "joe@example.org"]
    assert reading.report.reporting_mta == "mx.isp.example.org"
    assert {verdict.severity for verdict in reading.verdicts} == {Severity.NONE}


def test_at_most_so_many_recipients_are_believed():
    groups = "\n".join(GROUP.replace("jane", f"u{n}") for n in range(12))
    reading = read(dsn(groups), max_recipients=10)
    assert len(reading.verdicts) == 10
    assert reading.left_out == 2


def test_the_last_resort():
    raw = (
        "From: MAILER-DAEMON@example.net\nSubject: Mail System Error - Returned Mail\n\n"
        "This Message was undeliverable due to the following reason:\n\nEach of the following recipients was "
        "rejected by a remote mail server.\n\n    Recipient: <jane@example.org>\n    Reason: no\n"
    )
    assert names(read(raw)) == ["jane@example.org"]
