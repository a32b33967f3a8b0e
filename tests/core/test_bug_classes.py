"""Mistakes that other bounce processors have made with real mail, one test each, and that are not made here."""

import base64

import pytest

from bounced.core import message, report
from bounced.core.model import Category, Kind, Severity
from tests.core.reading import GROUP, KNOWN, MESSAGES, RETURNED, dsn, names, read, status_report


def told(diagnostic: str, status: str = "5.0.0", extra: str = ""):
    """The verdict on one recipient who failed with that diagnostic."""
    group = f"Final-Recipient: rfc822; jane@example.org\nAction: failed\nStatus: {status}\n"
    (verdict,) = read(dsn(f"{group}Diagnostic-Code: smtp; {diagnostic}\n{extra}", notice="Sorry.\n")).verdicts
    return verdict


def test_07_delayed_counted():
    reading = read(MESSAGES["delayed"])
    assert reading.report.kind is Kind.DELAYED
    assert [verdict.severity for verdict in reading.verdicts] == [Severity.NONE]
    silent = read(
        status_report("Final-Recipient: rfc822; jane@example.org\nAction: delayed\nStatus: 4.0.0\n")
    )
    assert silent.verdicts[0].smtp_reply is None  # nobody said 550, and nobody makes it up


@pytest.mark.parametrize(
    "headers",
    [
        "Subject: Out of office\nAuto-Submitted: auto-replied\n",
        "Subject: Re: The letter\nAuto-Submitted: auto-replied (vacation)\n",
        "Subject: Automatic reply: The letter\nX-Auto-Response-Suppress: All\n",
        "Subject: Abwesenheitsnotiz\n",
    ],
)
def test_08_vacation_counted(headers):
    raw = f"From: jane@example.org\n{headers}\nI am away. Write to joe@example.org; mail to him does not fail.\n"
    reading = read(raw)
    assert reading.report.kind is Kind.AUTOREPLY
    assert reading.verdicts == ()


def test_08_apple_s_opt_out_is_no_vacation_of_a_recipient():
    raw = "From: jane@icloud.example\nSubject: unsubscribe\nX-Apple-Action: unsubscribe\n\nThe user opted out.\n"
    assert read(raw).verdicts == ()


@pytest.mark.parametrize(
    ("diagnostic", "status"),
    [
        ("550 5.7.26 Unauthenticated email is not accepted", "5.7.26"),
        ("450 4.7.25 Client host rejected: cannot find your hostname", "4.7.25"),
        ("550 mail from [92.5.1.10] refused", "5.0.0"),
        ("550 Exim 4.97.1 says no", "5.0.0"),
    ],
)
def test_09_code_matched_by_its_prefix(diagnostic, status):
    assert told(diagnostic).status == status


def test_09_a_word_in_a_host_name_decides_nothing():
    assert (
        told("550 5.1.1 mx.spam-filter.example: user unknown", "5.1.1").category is Category.INVALID_MAILBOX
    )


def test_10_only_the_first_of_several_recipients():
    groups = "\n".join(GROUP.replace("jane", name) for name in ("a", "b", "c"))
    assert names(read(dsn(groups))) == ["a@example.org", "b@example.org", "c@example.org"]


def test_11_bystanders_suppressed():
    returned = "From: news@example.com\nTo: jane@example.org\nCc: joe@example.org, ann@example.org\n"
    assert names(read(dsn(GROUP.replace("jane", "joe"), returned=returned))) == ["joe@example.org"]
    returned_to_nobody = (
        "From: MAILER-DAEMON@example.net\nSubject: failure notice\n\nIt could not be delivered.\n\n"
    )
    assert (
        names(read(f"{returned_to_nobody}--- Below this line is a copy of the message.\n\n{returned}")) == []
    )


def test_12_the_forwarder_s_target_is_not_the_address_that_we_know():
    group = GROUP.replace("Final", "Original-Recipient: rfc822; alias@example.org\nFinal")
    (verdict,) = read(dsn(group)).verdicts
    assert verdict.recipient == "alias@example.org"
    assert verdict.final_recipient == "jane@example.org"


def test_13_any_address_in_the_text_blamed():
    reading = read(
        "From: MAILER-DAEMON@example.net\nTo: bounces@example.com\nSubject: Undelivered Mail Returned to Sender\n\n"
        "Your message from news@example.com could not be delivered. Questions: postmaster@example.net.\n\n"
        "<jane@example.org>: 550 5.1.1 user unknown\n"
    )
    assert names(reading) == ["jane@example.org"]


def test_14_identifier_stripped_by_the_remote_server():
    """Without the returned Message-ID the envelope id, then the report's own id, tells repeated reports apart."""
    returned = "To: jane@example.org\n"
    with_envelope = dsn(f"Original-Envelope-Id: letter-9\n\n{GROUP}", returned=returned)
    assert read(with_envelope).identity == "letter-9"
    without = dsn(GROUP, returned=returned)
    assert read(without).identity == read(without).identity == "<report@relay.example.net>"


def test_15_original_in_rfc822_headers_missed():
    report = read(dsn(GROUP, returned_type="text/rfc822-headers")).report
    assert report.original_message_id == "<letter@app.example.com>"


def test_16_html_report_without_a_delivery_status():
    (verdict,) = read(MESSAGES["web-page"]).verdicts
    assert verdict.recipient == "jane@example.org"
    assert verdict.category is Category.INVALID_MAILBOX


def test_16_wording_changed():
    sentence = "A message that you sent could not be delivered to one or more of its recipients."
    changed = "A message you have sent was not able to be delivered to all who should have had it."
    for words in (sentence, changed):
        raw = (
            "From: Mail Delivery System <Mailer-Daemon@example.net>\nSubject: Mail delivery failed\n"
            f"X-Failed-Recipients: jane@example.org\n\n{words}\n\n  jane@example.org\n    Unrouteable address\n"
        )
        assert names(read(raw)) == ["jane@example.org"]


@pytest.mark.parametrize("label", ["unicode-1-1-utf-7", "x-nonsense", '"', "\N{PILE OF POO}", "idna", "zlib"])
@pytest.mark.parametrize("encoding", ["8bits", "base65", "x-uuencode", ""])
def test_17_one_bad_message_wedges_the_queue(label, encoding):
    part = (
        f"Content-Type: message/delivery-status; charset={label}\nContent-Transfer-Encoding: {encoding}\n"
        if encoding
        else f"Content-Type: message/delivery-status; charset={label}\n"
    )
    assert names(read(dsn(GROUP, part=part))) == ["jane@example.org"]


@pytest.mark.parametrize(
    "octets", [b"\xff\xfe", b"\x00", b"\x1b$B\x80", "\udc80".encode("utf-8", "surrogatepass")]
)
def test_18_character_set_crash(octets):
    fields = GROUP.encode() + b"Diagnostic-Code: smtp; 550 5.1.1 no " + octets + b" such user\n"
    raw = dsn("FIELDS").encode().replace(b"FIELDS", fields)
    (verdict,) = read(raw).verdicts
    assert verdict.recipient == "jane@example.org"
    assert verdict.diagnostic
    verdict.diagnostic.encode()  # no lone surrogate: a database, JSON and a terminal take it


def test_18_a_lone_surrogate_in_json():
    bounced = (
        r'{"emailAddress": "jane@example.org", "action": "failed", "diagnosticCode": "550 \ud800 unknown"}'
    )
    detail = r'"mail": {"messageId": "\udfff"}, "bounce": {"bouncedRecipients": [%s]}'
    event = '{"notificationType": "Bounce", ' + detail % bounced + "}"
    reading = read(f"From: a@sns.example\nSubject: Notification\n\n{event}")
    assert names(reading) == ["jane@example.org"]
    for text in (reading.verdicts[0].diagnostic, reading.identity):
        assert text
        text.encode()


def test_25_over_normalised_address():
    group = GROUP.replace("jane@", "First-Last.Name+tag@")
    assert names(read(dsn(group))) == ["first-last.name+tag@example.org"]


def test_26_local_part_longer_than_64_octets():
    address = f"bounces+{'x' * 80}=example.com@example.org"
    assert names(read(dsn(GROUP.replace("jane@example.org", address)))) == [address]
    long_line = f"Diagnostic-Code: smtp; 550 {'x' * 5_000} user unknown\n"
    assert names(read(dsn(GROUP + long_line))) == ["jane@example.org"]


@pytest.mark.parametrize("status", ["5.9.99", "5.1.999", "6.1.1", "5.1", "5", "5.1.1.1", ""])
def test_27_new_enhanced_code_raises(status):
    (verdict,) = read(dsn(GROUP.replace("5.1.1", status))).verdicts
    assert verdict.category
    assert verdict.recipient == "jane@example.org"


def test_28_batv_address_in_to():
    reading = read(dsn(GROUP, returned=RETURNED).replace("To: bounces@", "To: prvs=4711abcdef=bounces@"))
    assert names(reading) == ["jane@example.org"]
    returned = RETURNED.replace("jane@", "prvs=1234567890=jane@")
    assert read(dsn(GROUP, returned=returned)).report.addressees == ("prvs=1234567890=jane@example.org",)


def test_base64_of_the_whole_report():
    body = base64.encodebytes(GROUP.encode()).decode()
    part = "Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n"
    assert names(read(dsn(body, part=part))) == ["jane@example.org"]


SAMPLE = "Reporting-MTA: dns; relay.example.net\n\n" + GROUP
QUOTED = "".join(f"> {line}\n" for line in SAMPLE.split("\n"))
DISPOSITION = """\
Reporting-UA: mail.example.org; Reader 1.0
Original-Recipient: rfc822; jane@example.org
Final-Recipient: rfc822; jane@example.org
Original-Message-ID: <letter@app.example.com>
Disposition: manual-action/MDN-sent-manually; displayed
"""


@pytest.mark.parametrize("words", ["Your message was displayed.", "It could not be delivered.", DISPOSITION])
@pytest.mark.parametrize(
    "kind", ["message/disposition-notification", "text/disposition-notification", "text/plain"]
)
def test_a_read_receipt_is_no_bounce(kind, words):
    """RFC 8098 has a Final-Recipient too; the part's own type may be lost on the way."""
    mail = dsn(DISPOSITION, notice=words, part=f"Content-Type: {kind}\n", headers="Return-Path: <>\n")
    mail = mail.replace("MAILER-DAEMON@relay", "jane").replace("Undelivered mail", "Read: Our letter")
    reading = read(mail.replace("report-type=delivery-status", "report-type=disposition-notification"))
    assert reading.report.kind is Kind.AUTOREPLY
    assert reading.verdicts == ()


def test_a_receipt_by_which_sieve_refuses_is_a_bounce():
    """RFC 5429 section 2.2.1; Dovecot says so that a mailbox is full."""
    refusal = DISPOSITION.replace(
        "manual-action/MDN-sent-manually; displayed", "automatic-action/MDN-sent-automatically;\n deleted"
    )
    words = "Your message to <jane@example.org> was automatically rejected:\nQuota exceeded (mailbox for user is full)"
    quoted = (
        "Your message\n\n  To: Jane\n  Subject: Undelivered: user unknown\n\nwas deleted without being read."
    )
    in_one = quoted.replace("\n\n", "\n")
    for notice, expected in ((words, ["jane@example.org"]), (quoted, []), (in_one, [])):
        mail = dsn(refusal, notice=notice, part="Content-Type: message/disposition-notification\n")
        assert (
            names(read(mail.replace("report-type=delivery-status", "report-type=disposition-notification")))
            == expected
        )


def test_a_returned_read_receipt_does_not_hide_the_bounce():
    returned = dsn(DISPOSITION, part="Content-Type: message/disposition-notification\n")
    assert names(read(dsn(GROUP, returned=returned.replace("=_b", "=_inner")))) == ["jane@example.org"]


@pytest.mark.parametrize(
    "header",
    [
        "From: Ann <ann@example.com>\nSubject: Re: Undelivered mail\n",
        "From: Ann <ann@example.com>\nSubject: AW: Fwd: Undelivered mail\n",
        "From: Ann <ann@example.com>\nSubject: Re[2]: Undelivered mail\nReturn-Path: <>\n",
        "From: Ann <ann@example.com>\nSubject: Undelivered mail\nIn-Reply-To: <a@example.net>\n",
        "From: Ann <ann@example.com>\nSubject: Undelivered mail\nIn-Reply-To: <a@b.example>\nReturn-Path: <>\n",
        "From: Ann <ann@example.com>\nSubject: How to read this\n",
        "From: News <news@example.com>\nSubject: Fwd: this week\nList-Unsubscribe: <https://example.com>\n",
        "From: News <news@example.com>\nSubject: Delivery failed?\nReturn-Path: <>\nPrecedence: bulk\n",
        "From: Ann <ann@example.com>\nSubject: Away\nReturn-Path: <>\nAuto-Submitted: auto-replied\n",
        "From: Ann <ann@example.com>\nSubject: Out of office\nReturn-Path: <>\n",
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        SAMPLE,
        QUOTED,
        f"Thanks!\n\n{QUOTED}",
        f"Thanks!\n\nOn Sun, 22 Nov 2026, Mail Delivery System <mailer-daemon@example.net> wrote:\n\n{QUOTED}",
    ],
)
def test_fields_quoted_by_somebody_are_not_believed(header, text):
    raw = f"To: joe@example.com\n{header}\n{text}".encode()
    assert report.read(message.read(raw, KNOWN.marks)) is None
    if b"Return-Path" not in raw:  # else the words are weighed
        assert names(read(raw)) == []


@pytest.mark.parametrize(
    "header",
    [
        "From: MAILER-DAEMON@example.net\nSubject: Your mail\n",
        "From: MAILER-DAEMON@example.net\nSubject: Your mail\nIn-Reply-To: <letter@app.example.com>\n",
        "From: MAILER-DAEMON@example.net\nSubject: Your mail\nAuto-Submitted: auto-replied\nPrecedence: bulk\n",
        "From: Relay <relay@example.net>\nReturn-Path: <>\nSubject: Your mail\n",
        "From: Ann <ann@example.com>\nSubject: Fwd: Returned mail\n",
        "From: Ann <ann@example.com>\nSubject: WG: Returned mail\nIn-Reply-To: <report@relay.example.net>\n",
    ],
)
@pytest.mark.parametrize("text", [f"It was not delivered.\n\nTechnical report:\n\n{SAMPLE}", QUOTED])
def test_a_report_in_the_text_of_a_server_or_passed_on_is_read(header, text):
    assert names(read(f"To: joe@example.com\n{header}\n{text}")) == ["jane@example.org"]
