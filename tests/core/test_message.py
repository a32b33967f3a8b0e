"""What a returned mail has in it, and which message came back."""

import base64

import pytest

from bounced.core import message
from bounced.core.returned import ReturnedMail
from tests.core.reading import GROUP, KNOWN, MESSAGES, RETURNED, dsn, names, read


def taken_apart(raw: str) -> ReturnedMail:
    return message.read(raw.encode(), KNOWN.marks)


FIELDS = f"Reporting-MTA: dns; relay.example.net\n\n{GROUP}"


@pytest.mark.parametrize(
    "returned_type",
    [
        "message/rfc822",
        "text/rfc822-headers",
        "message/rfc822-headers",
        "message/global",
        "message/global-headers",
    ],
)
def test_the_returned_part(returned_type):
    report = read(dsn(FIELDS, returned_type=returned_type)).report
    assert report.original_message_id == "<letter@app.example.com>"
    assert report.addressees == ("jane@example.org",)


@pytest.mark.parametrize(
    "returned",
    [
        f"\n\n{RETURNED}",
        f"From news@example.com Sun Nov 22 04:00:00 2026\n{RETURNED}",
        f"Received: from a by b\n\tfor c\n{RETURNED}",
    ],
)
def test_a_returned_header_with_something_before_it(returned):
    assert read(dsn(FIELDS, returned=returned)).report.original_message_id == "<letter@app.example.com>"


def test_a_returned_header_in_a_text_part():
    assert (
        read(dsn(FIELDS, returned_type="text/plain")).report.original_message_id == "<letter@app.example.com>"
    )


def test_a_returned_header_that_took_the_place_of_the_part_s():
    mail = dsn(FIELDS).replace("Content-Type: message/rfc822\n\n", "Received: from a by b\n")
    assert read(mail).report.original_message_id == "<letter@app.example.com>"


def test_the_copy_below_a_line():
    reading = read(MESSAGES["plain-words"])
    assert reading.report.original_message_id == "<letter-5@app.example.com>"
    assert names(reading) == ["jane@example.org"]  # and nobody whom the copy names


def test_the_body_of_the_returned_message_is_not_looked_at():
    body = f"{RETURNED}\nMessage-ID: <body@evil.example>\n\n{GROUP.replace('jane', 'victim')}"
    reading = read(dsn(FIELDS, returned=body))
    assert reading.report.original_message_id == "<letter@app.example.com>"
    assert names(reading) == ["jane@example.org"]


NESTED = dsn(FIELDS.replace("jane", "victim")).replace("=_b", "=_inner")


def test_a_report_in_the_returned_mail_is_not_believed():
    assert names(read(dsn(FIELDS, returned=NESTED))) == ["jane@example.org"]
    in_words = MESSAGES["plain-words"].decode().partition("--- Below")[0]
    raw = f"{in_words}--- Below this line is a copy of the message.\n\n{NESTED}"
    assert names(read(raw)) == ["jane@example.org"]


def test_a_copy_below_the_notice_may_be_indented():
    in_words = MESSAGES["plain-words"].decode().partition("--- Below")[0]
    copy = "    Message-ID: <letter@app.example.com>\n    To: jane@example.org\n"
    raw = f"{in_words}--- Below this line is a copy of the message.\n\n{copy}"
    assert read(raw).report.original_message_id == "<letter@app.example.com>"


def test_a_report_forwarded_by_somebody_is_read():
    reading = read(MESSAGES["forwarded"])
    assert names(reading) == ["jane@example.org"]
    assert reading.report.original_message_id == "<letter-8@app.example.com>"


def test_the_plain_form_of_an_alternative_is_read():
    alternative = (
        "Content-Type: multipart/alternative; boundary=a\n\n"
        "--a\nContent-Type: text/html\n\n<p>marked up</p>\n--a\nContent-Type: text/plain\n\nplain\n--a--\n"
    )
    assert taken_apart(alternative).notice.strip() == "plain"
    assert taken_apart(alternative.replace("text/plain", "text/x-other")).notice.split() == [
        "marked",
        "up",
        "plain",
    ]


@pytest.mark.parametrize("beyond", [0, 1, 2])
def test_parts_nested_too_deep_do_not_exist(beyond):
    raw = "body\n"
    for depth in range(message.MAX_DEPTH + beyond):
        raw = f"Content-Type: multipart/mixed; boundary=b{depth}\n\n--b{depth}\n{raw}\n--b{depth}--\n"
    assert ("body" in taken_apart(raw).notice) is (beyond == 0)


def test_attachments_are_not_read():
    raw = dsn(FIELDS, returned_type="application/pdf")
    assert taken_apart(raw).returned is None


def test_a_complaint_in_plain_text():
    raw = "From: a@isp.example\nSubject: Complaint\n\nFeedback-Type: abuse\nOriginal-Rcpt-To: jane@example.org\n"
    reading = read(raw)
    assert reading.report.kind == "feedback"
    assert names(reading) == ["jane@example.org"]


def test_a_notice_quoted_as_a_whole():
    raw = f"From: admin@example.com\nSubject: Fwd: Undelivered\n\n> {FIELDS}".replace("\nF", "\n> F")
    raw = raw.replace("\nAct", "\n> Act").replace("\nSta", "\n> Sta").replace("net\n\n", "net\n>\n")
    assert names(read(raw.replace("> From", "From").replace("\n> Fwd", "\nFwd"))) == ["jane@example.org"]


def test_at_most_so_many_texts_make_the_notice():
    parts = "".join(f"--b\n\ntext {n}\n" for n in range(20))
    notice = taken_apart(f"Content-Type: multipart/mixed; boundary=b\n\n{parts}--b--\n").notice
    assert f"text {message.MAX_TEXTS - 1}" in notice
    assert f"text {message.MAX_TEXTS}" not in notice


def test_parts_without_blank_lines():
    """What follows the Content- fields of such a part is its body, RFC 2046 section 5.1."""
    reading = read(
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n--b\n'
        "These had errors:\n<jane@example.org>\n--b\n"
        "Content-Type: message/delivery-status\nReporting-MTA: dns; relay.example.net\n"
        "Final-Recipient: rfc822; jane@example.org\nAction: failed\nStatus: 5.1.1\n--b\n"
        "Content-Type: message/rfc822\nFrom: news@example.com\nMessage-ID: <letter@app.example.com>\n--b--\n"
    )
    assert reading.report.source == "delivery-status"
    assert [(verdict.recipient, verdict.status) for verdict in reading.verdicts] == [
        ("jane@example.org", "5.1.1")
    ]
    assert reading.report.original_message_id == "<letter@app.example.com>"


@pytest.mark.parametrize("read_as", ["delivery-status", ""])
def test_delivery_status_fields_in_a_part_that_is_called_plain_text(read_as):
    """Only where the part begins with them: who quotes them in a letter reports nothing."""
    before = "" if read_as else "Look at this:\n\n"
    reading = read(
        'From: gateway@example.net\nContent-Type: multipart/mixed; boundary="b"\n\n--b\n\nSee below.\n--b\n'
        f'Content-Type: text/plain; name="details.txt"\n\n{before}{FIELDS}\n--b--\n'
    )
    assert reading.report.source == read_as
    assert bool(reading.verdicts) == bool(read_as)


def test_fields_in_an_attachment_without_a_type():
    encoded = base64.b64encode(FIELDS.replace("\n", "\r\n").encode()).decode()
    reading = read(
        'From: postmaster@example.net\nContent-Type: multipart/mixed; boundary="b"\n\n--b\n\nSee below.\n--b\n'
        f"Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n{encoded}\n--b--\n"
    )
    assert reading.report.source == "delivery-status"
    assert [verdict.recipient for verdict in reading.verdicts] == ["jane@example.org"]


def test_a_header_without_a_blank_line_after_it():
    reading = read(
        'From: postmaster@example.net\nContent-Type: multipart/report; boundary="b"\n--b\n'
        "Content-Type: message/delivery-status\nFinal-Recipient: rfc822; jane@example.org\nAction: failed\n--b--\n"
    )
    assert [verdict.recipient for verdict in reading.verdicts] == ["jane@example.org"]


@pytest.mark.parametrize(
    ("written", "subject"),
    [
        ("[EXT] Re: Undelivered mail", "Re: Undelivered mail"),
        ("***SPAM*** [External]: Rejected posting to CLUB", "Rejected posting to CLUB"),
        ("{Spam?} failure notice", "failure notice"),
        ("[club] Undelivered mail", "[club] Undelivered mail"),
        ("[Delivery failure] Our letter", "[Delivery failure] Our letter"),
        ("Extended warranty", "Extended warranty"),
    ],
)
def test_a_subject_is_read_without_what_gateways_put_before_it(written, subject):
    assert message.read(f"Subject: {written}\n\n".encode(), KNOWN.marks).subject == subject
