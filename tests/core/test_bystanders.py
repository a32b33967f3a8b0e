"""Nobody is blamed who is only near a report: in the returned header, below an introduction, in what is enclosed."""

import pytest

from bounced.core.model import Action, Category
from tests.core.reading import GROUP, dsn, names, read

NOBODY_NAMED = """\
From: MAILER-DAEMON@mx.example.org
Subject: failure notice

Your message could not be delivered: user unknown.

--- Below this line is a copy of the message.

{header}
"""


def test_a_report_that_names_nobody_means_the_only_recipient():
    report = NOBODY_NAMED.format(header="From: news@example.com\nTo: jane@example.org\n")
    assert names(read(report)) == ["jane@example.org"]


def test_a_warning_that_names_nobody_means_the_only_recipient_too():
    header = "From: news@example.com\nTo: jane@example.org\n"
    report = NOBODY_NAMED.format(header=header).replace("failure notice", "Delayed mail, still being retried")
    verdict = read(report).verdicts[0]
    assert (verdict.recipient, verdict.action) == ("jane@example.org", Action.DELAYED)


@pytest.mark.parametrize(
    "header",
    [
        "From: news@example.com\nTo: a@example.org, b@example.org\n",
        "From: news@example.com\nTo: boss@example.org\nCc: team@example.org\n",
        "From: news@example.com\nCc: boss@example.org\n",
        "From: news@example.com\nTo: members@example.org\nList-Id: <members.example.org>\n",
        "From: news@example.com\nTo: News <News@example.com>\n",
        "From: news@example.com\nSubject: To whom it may concern\n",
    ],
)
def test_nobody_in_a_header_that_does_not_show_the_envelope_is_meant(header):
    assert names(read(NOBODY_NAMED.format(header=header))) == []


NAMELESS = "Reporting-MTA: dns; mx.example.org\n\nFinal-Recipient: rfc822;\nAction: failed\nStatus: 5.2.2\n"


def test_fields_that_name_nobody_mean_whom_the_returned_mail_or_the_return_path_does():
    verdict = read(dsn(NAMELESS)).verdicts[0]
    assert (verdict.recipient, verdict.category) == ("jane@example.org", Category.FULL_MAILBOX)
    lists = "From: news@example.com\nTo: a@example.org, b@example.org\n"
    assert names(read(dsn(NAMELESS, returned=lists))) == []
    verdict = read(
        dsn(NAMELESS, returned=lists), reported_to="bounces+b=example.org@bounces.example.com"
    ).verdicts[0]
    assert (verdict.recipient, verdict.status) == ("b@example.org", "5.2.2")


def test_an_address_that_other_words_introduce_is_no_recipient():
    notice = (
        "From: MAILER-DAEMON@mx.example.org\nSubject: failure notice\n\n"
        "<jane@example.org>: the mailbox does not exist.\n\nOur new sales team:\nkim@corp.example\n"
    )
    assert names(read(notice)) == ["jane@example.org"]


@pytest.mark.parametrize(
    "below",
    [
        "Examplia Ltd, 12 High Street. info@gateway.example",
        "This message is confidential. Was it not meant for you, let privacy@gateway.example know.",
        "If you have received this mail in error, please notify us: virus-desk@gateway.example",
    ],
)
def test_nobody_is_meant_by_what_a_gateway_writes_below_every_mail(below):
    notice = "From: MAILER-DAEMON@mx.example.org\nSubject: failure notice\n\nThe mailbox is full.\n\n"
    assert names(read(notice + below)) == []
    assert names(read(notice + "It could not be delivered to jane@example.org\n\n" + below)) == [
        "jane@example.org"
    ]


@pytest.mark.parametrize(
    "notice",
    [
        "This was created automatically to inform the sender that the mail to jane@example.org could not be delivered.",
        "It could not be delivered.\n-- \n\n<jane@example.org>: 550 5.1.1 user unknown",
        "It could not be delivered.\n\nThere is nobody called jane@example.org at our company any more.",
        "550 <jane@example.org>... Sender is not on the recipient's list",
    ],
)
def test_a_recipient_beside_whom_somebody_else_is_spoken_of(notice):
    report = f"Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.org\nSubject: failure notice\n\n{notice}\n"
    assert names(read(report)) == ["jane@example.org"]


def test_the_bounce_of_a_digest():
    report = "Subject: Undeliverable: club Digest, Vol 41, Issue 12\n\n<jane@example.org>: 550 5.1.1 user unknown\n"
    assert names(read(f"Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.org\n{report}")) == [
        "jane@example.org"
    ]


def test_the_address_before_an_alias_that_the_words_alone_tell():
    notice = "  copy@other.example\n    (generated from jane@example.org)\n    550 5.1.1 user unknown\n"
    fields = "Final-Recipient: rfc822;copy@other.example\nAction: failed\nStatus: 5.1.1\n"
    assert names(read(dsn(fields, notice=notice))) == ["jane@example.org"]
    assert names(read(dsn(fields, notice="copy@other.example is not there: generated from a template"))) == [
        "copy@other.example"
    ]


@pytest.mark.parametrize(
    "headers", ["List-Id: <club.example.net>\n", "In-Reply-To: <letter@app.example.com>\n"]
)
def test_a_letter_that_encloses_a_report_blames_nobody(headers):
    by_a_server = dsn(GROUP, headers=headers)
    assert names(read(by_a_server)) == ["jane@example.org"]
    assert names(read(by_a_server.replace("MAILER-DAEMON@relay.example.net", "Ann <ann@example.net>"))) == []


@pytest.mark.parametrize(
    "notice",
    [
        "The mailbox of jane@example.org is full and cannot receive messages.",
        "There was a problem with your mail to jane@example.org: the mailbox is full",
        "550 5.2.2 jane@example.org: quota exceeded",
    ],
)
def test_a_mailer_daemon_writes_of_nothing_else(notice):
    """Whatever the subject, and though no word says that delivery failed."""
    header = "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.org\nTo: bounces@example.com\nSubject: News\n"
    report = f"{header}\n{notice}\n"
    (verdict,) = read(report).verdicts
    assert (verdict.recipient, verdict.category) == ("jane@example.org", Category.FULL_MAILBOX)
    assert names(read(report.replace("jane@example.org", "bounces@example.com"))) == []


def test_a_postmaster_writes_letters_too():
    letter = (
        "From: postmaster@customer.example\nTo: bounces@example.com\nSubject: Mail to you comes back\n\n"
        "Your server says <sales@example.com>: 550 5.1.1 user unknown. Could you look into it?\n"
    )
    assert names(read(f"Return-Path: <john.smith@customer.example>\n{letter}")) == []


@pytest.mark.parametrize(
    "promise",
    ["The message will be retried.", "Next attempt in 30 minutes.", "Der Server versucht es weiterhin."],
)
def test_what_is_tried_again_is_delayed_whatever_the_subject_calls_it(promise):
    header = "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.org\nSubject: Undelivered mail\n"
    verdict = read(f"{header}\njane@example.org: host not found\n\n{promise}\n").verdicts[0]
    assert (verdict.recipient, verdict.action) == ("jane@example.org", Action.DELAYED)


def test_some_got_the_message():
    notice = (
        "Your message reached these recipients:\n\n  bob@example.org\n\nIt could not be delivered to the following "
        "recipients because there is no such user:\n\n  jane@example.org\n\njim@example.org: 250 2.1.5 Ok\n"
    )
    report = read(f"Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.org\nSubject: failure notice\n\n{notice}")
    assert {verdict.recipient: verdict.action for verdict in report.verdicts} == {
        "bob@example.org": Action.DELIVERED,
        "jane@example.org": Action.FAILED,
        "jim@example.org": Action.DELIVERED,
    }


def test_what_is_said_of_an_address_that_ends_with_another():
    notice = "joann@example.org\n  Unrouteable address\n\nann@example.org\n  mailbox is full\n"
    groups = "".join(
        f"\nFinal-Recipient: rfc822; {name}@example.org\nAction: failed\nStatus: 5.0.0\n"
        for name in ("ann", "joann")
    )
    found = {
        v.recipient: v.category
        for v in read(dsn(f"Reporting-MTA: dns; mx.example.org\n{groups}", notice=notice)).verdicts
    }
    assert found == {"ann@example.org": Category.FULL_MAILBOX, "joann@example.org": Category.INVALID_MAILBOX}


@pytest.mark.parametrize("closing", ["-- ", "Kind regards,", "Mit freundlichen Grüßen"])
def test_nobody_is_meant_below_the_end_of_a_letter(closing):
    notice = f"The mailbox of the recipient is full.\n\n{closing}\nIT Department\nhelp@gateway.example\n"
    report = f"Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.org\nSubject: failure notice\n\n{notice}"
    assert names(read(report)) == []


def test_a_new_address_is_nobody_who_failed():
    notice = "El correo de jane@example.org no existe.\n\nNueva dirección:\nbob@example.org\n"
    report = f"Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.org\nSubject: failure notice\n\n{notice}"
    assert "bob@example.org" not in names(read(report))


def test_nobody_is_meant_in_a_signature():
    notice = "From: MAILER-DAEMON@mx.example.org\nSubject: failure notice\n\nThe mailbox is full.\n"
    assert names(read(f"{notice}\n-- \nhotline@gateway.example\n")) == []


def test_a_file_is_no_recipient():
    notice = (
        "From: MAILER-DAEMON@mx.example.org\nSubject: failure notice\n\n"
        "The following address failed:\n\n  jane@example.org\n    cannot write\n"
        "/var/mail/jane@example.org: no space\n"
    )
    assert names(read(notice)) == ["jane@example.org"]


def test_a_report_inside_a_report_is_not_believed_even_if_that_names_nobody():
    forged = dsn("Final-Recipient: rfc822; victim@example.net\nAction: failed\nStatus: 5.1.1\n").replace(
        "=_b", "=_c"
    )
    assert names(read(dsn("Reporting-MTA: dns; mx.example.org\n", returned=forged))) == []


@pytest.mark.parametrize("empty", ["<>", '""', "< >"])
def test_an_empty_message_id_is_no_identity(empty):
    returned = f"From: news@example.com\nTo: jane@example.org\nMessage-ID: {empty}\n"
    report = dsn(
        "Final-Recipient: rfc822; jane@example.org\nAction: failed\nStatus: 4.2.2\n", returned=returned
    )
    assert read(report).identity == "<report@relay.example.net>"


def test_without_a_limit_every_recipient_is_believed():
    fields = "\n".join(f"Final-Recipient: rfc822; u{n}@example.org\nAction: failed\n" for n in range(150))
    assert len(read(dsn(fields), max_recipients=0).verdicts) == 150


@pytest.mark.parametrize(
    "text",
    [
        "I am away until Monday. Your mail was not delivered.\n\nkim@corp.example\n",
        "Your message has not been delivered. To deliver your message, please click below.\n\nkim@corp.example\n",
    ],
)
def test_a_postmaster_s_own_answer_is_no_bounce(text):
    mail = f"From: postmaster@corp.example\nAuto-Submitted: auto-replied\nSubject: Your message\n\n{text}"
    assert read(mail).report.kind == "autoreply"


BULK = """\
Return-Path: <>
From: Delivery Weekly <editor@weekly.example>
Subject: Why mail comes back
{headers}

This week: how to read a report. A server writes that your message could not be delivered:

<victim@example.net>: host mx.example.net[192.0.2.1] said: 550 5.1.1 User unknown

---------- Forwarded message ---------
From: MAILER-DAEMON@mx.example.net
Subject: failure notice

Your message could not be delivered.

<victim@example.net>: 550 5.1.1 User unknown
"""


@pytest.mark.parametrize(
    "headers",
    [
        "Precedence: bulk",
        "Precedence: list",
        "List-Id: <weekly.example>",
        "List-Unsubscribe: <https://weekly.example>",
    ],
)
def test_what_a_newsletter_quotes_is_no_report_though_its_return_path_is_null(headers):
    reading = read(BULK.format(headers=headers))
    assert (reading.report.kind, names(reading)) == ("other", [])


def test_a_report_may_be_called_bulk():
    report = (
        "Return-Path: <>\nFrom: Example Net <info@isp.example>\nPrecedence: bulk\nSubject: Undeliverable mail\n\n"
        "Your message could not be delivered.\n\n<jane@example.org>: 550 5.1.1 User unknown\n"
    )
    assert names(read(report)) == ["jane@example.org"]
