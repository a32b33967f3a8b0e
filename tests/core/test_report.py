"""RFC 3464 whole, and the ways in which servers depart from it."""

import base64
import quopri

import pytest

from bounced.core import fields, report
from bounced.core.mime import Headers
from bounced.core.model import Action, Kind
from bounced.core.returned import ReturnedMail
from tests.core.reading import GROUP, KNOWN, MESSAGES, dsn, names, read, status_report


def report_of(fields):
    """What the stage makes of a delivery-status part with these fields."""
    return report.read(ReturnedMail(Headers(b""), (), fields, KNOWN.marks))


WHOLE = """\
Reporting-MTA: dns; relay.example.net
Original-Envelope-Id: QQ314159
DSN-Gateway: dns; gate.example.net
Received-From-MTA: dns; app.example.com
Arrival-Date: Sun, 22 Nov 2026 04:00:00 +0000

Original-Recipient: rfc822; jane@example.org
Final-Recipient: rfc822; jane@inside.example.org
Action: failed
Status: 5.1.1 (no such mailbox)
Remote-MTA: dns; MX.Example.Org. (198.51.100.7)
Diagnostic-Code: smtp; 550-5.1.1 Nobody
  550 5.1.1 of that name
Last-Attempt-Date: Sun, 22 Nov 2026 04:10:00 +0000 (UTC)
Final-Log-ID: aa1
X-Supplementary-Info: <mx.example.org #5.1.1 smtp;550 Nobody>
"""


def test_every_field_that_means_something_is_read():
    status = report_of(WHOLE)
    (entry,) = status.recipients
    assert status.reporting_mta == "relay.example.net"
    assert status.envelope_id == "QQ314159"
    assert entry.original_recipient == "jane@example.org"
    assert entry.final_recipient == "jane@inside.example.org"
    assert entry.action is Action.FAILED
    assert entry.status == "5.1.1"
    assert entry.remote_mta == "mx.example.org"
    assert entry.diagnostic == "550-5.1.1 Nobody 550 5.1.1 of that name"
    assert entry.last_attempt == 1795320600
    assert entry.extensions == {"x-supplementary-info": "<mx.example.org #5.1.1 smtp;550 Nobody>"}
    assert status.problems == ()
    assert status.unread == 0


def test_fields_without_a_recipient_are_no_report():
    assert report_of(HEAD) is None
    assert report_of(HEAD + "\nFinal-Recipient: rfc822; \nAction: failed\n") is None


def test_the_action_is_believed_against_the_words_beside_it():
    fields = "Final-Recipient: rfc822; jane@example.org\nAction: delayed\nStatus: 4.4.7\n"
    notice = "jane@example.org: Envelope expired\n"  # OpenSMTPD up to 6.8 calls its last failure a delay
    assert read(dsn(fields, notice=notice)).report.kind is Kind.DELAYED


@pytest.mark.parametrize(
    ("field", "action"),
    [
        ("failed", Action.FAILED),
        ("Failure", Action.FAILED),
        ("error", Action.FAILED),
        ("expired", Action.FAILED),
        ("delayed", Action.DELAYED),
        ("deferred", Action.DELAYED),
        ("delivered", Action.DELIVERED),
        ("relayed", Action.RELAYED),
        ("expanded (to a list)", Action.EXPANDED),
        ("delivery failed", Action.FAILED),
        ("delivery has been delayed", Action.DELAYED),
        ("relayed (nobody knows whether it failed)", Action.RELAYED),
        ("exploded", Action.FAILED),  # unknown, and the notice does not say that it is a delay
    ],
)
def test_action(field, action):
    (entry,) = report_of(f"Final-Recipient: rfc822; a@example.org\nAction: {field}\n").recipients
    assert entry.action is action


@pytest.mark.parametrize(
    ("code", "action"), [("5.1.1", Action.FAILED), ("2.0.0", Action.DELIVERED), ("4.4.7", Action.FAILED)]
)
def test_the_class_of_the_status_stands_in_for_a_missing_action(code, action):
    (entry,) = report_of(f"Final-Recipient: rfc822; a@example.org\nStatus: {code}\n").recipients
    assert entry.action is action


@pytest.mark.parametrize("more", ["", "Status: 4.4.1\n", "Status: 5.0.0\n"])
def test_what_will_be_tried_again_is_delayed(more):
    retry = "Will-Retry-Until: Thu, 26 Nov 2026 04:00:00 +0000\n"
    status = report_of(f"Final-Recipient: rfc822; a@example.org\n{more}{retry}")
    assert status.recipients[0].action is Action.DELAYED


def test_an_address_without_a_fate_has_failed_only_when_the_words_say_so():
    alone = "Final-Recipient: rfc822; jane@example.org\n"
    assert report_of(f"{HEAD}\n{alone}") is None
    assert names(read(dsn(alone, notice="Your message could not be delivered.\n"))) == ["jane@example.org"]
    assert names(read(dsn(alone, notice="Thank you.\n").replace("Undelivered mail", "Your mail"))) == []


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("rfc822; jane@example.org", "jane@example.org"),
        ("RFC822;<jane@example.org>", "jane@example.org"),
        ("rfc822; Jane Doe <jane@example.org>", "jane@example.org"),
        ("rfc822; <@gate.example.net,@b.example:jane@example.org>", "jane@example.org"),
        ('rfc822; "jane.doe"@example.org', '"jane.doe"@example.org'),
        ("rfc822; jane@example.org (Jane)", "jane@example.org"),
        ("jane@example.org", "jane@example.org"),
        ("utf-8; j\\x{FC}rgen@b\\x{FC}cher.example", "jürgen@bücher.example"),  # utf-8-addr-xtext
        ("utf-8; j\\x{fc}rgen@bücher.example", "jürgen@bücher.example"),  # utf-8-addr-unitext
        ("UTF-8; jürgen@bücher.example", "jürgen@bücher.example"),  # utf-8-address
        ("utf-8; j\\x{D800}@example.org", "j\ufffd@example.org"),
        ("rfc822; ja`ne@example.org", "ja`ne@example.org"),
        ("rfc822; ja|ne@example.org", "ja|ne@example.org"),
        ('rfc822; <"jane@home"@example.org>', '"jane@home"@example.org'),
        ('rfc822; "a b@evil.example"@example.org', '"a b@evil.example"@example.org'),
        (f"rfc822; {'a' * 400}@example.org", f"{'a' * 400}@example.org"),
        ("rfc822; mailto:jane@example.org", "jane@example.org"),
        ("rfc822; recipient: 'jane@example.org'", "jane@example.org"),
        ("x400; /S=jane/ADMD=x/", "/S=jane/ADMD=x/"),
        ("unknown; jane", "jane"),
    ],
)
def test_address_types(written, address):
    (entry,) = report_of(f"Final-Recipient: {written}\nAction: failed\n").recipients
    assert entry.final_recipient == address


@pytest.mark.parametrize(
    "written",
    ['jane+"x"@example.org', f"jane@{'a.' * 140}org", "jane doe@example.org", "Jane Doe/Sales@example.org"],
)
def test_a_piece_of_an_address_is_nobody_s(written):
    fields = f"Final-Recipient: rfc822; {written}\nAction: failed\nStatus: 5.1.1\n"
    assert report_of(fields) is None


def test_recipients_have_their_own_fates():
    reading = read(MESSAGES["mixed-fates"])
    fates = [(verdict.recipient, verdict.action, verdict.severity) for verdict in reading.verdicts]
    assert fates == [
        ("failed@example.org", "failed", "hard"),
        ("delayed@example.org", "delayed", "none"),
        ("delivered@example.org", "delivered", "none"),
        ("relayed@example.org", "relayed", "none"),
        ("list@example.org", "expanded", "none"),
    ]
    assert reading.report.kind is Kind.BOUNCE
    assert reading.report.envelope_id == "QQ314159"
    assert reading.report.original_message_id == "<letter-2@app.example.com>"
    assert reading.report.addressees == ("failed@example.org", "delayed@example.org")


TWO = "Final-Recipient: rfc822; a@example.org\nAction: failed\nStatus: 5.1.1\n"
OTHER = "Final-Recipient: rfc822; b@example.org\nAction: failed\nStatus: 5.2.2\n"
HEAD = "Reporting-MTA: dns; relay.example.net\n"


@pytest.mark.parametrize(
    "fields",
    [
        f"{HEAD}\n{TWO}\n{OTHER}",
        f"{HEAD}{TWO}{OTHER}",  # no blank lines
        f"\n\n{HEAD}\n\n\n{TWO}\n\n\n{OTHER}\n\n",
        f"{TWO}\n{OTHER}\n{HEAD}",  # the message's fields last
        f"{HEAD}\n{TWO}\n{HEAD}\n{OTHER}",  # and again
        f"{HEAD}\n{TWO}\n{TWO}\n{OTHER}",  # a block twice
        f"{HEAD}\n{TWO}\n{OTHER}".replace("\nStatus", "\n\nStatus"),  # a blank line inside a group
        f"{HEAD}\nStatus: 5.1.1\nAction: failed\nFinal-Recipient: rfc822; a@example.org\n\n{OTHER}",  # any order
        f"{HEAD}\n{TWO}\n{OTHER}".replace(":", " : "),
        f"{HEAD}\n{TWO}X-Queue: 1\n\n{OTHER}",
        f"{HEAD}\nX-Before: 1\n{TWO}\n{OTHER}",
        f"not a field\n{HEAD}\n{TWO}\nnor this\n\n{OTHER}",
    ],
)
def test_groups_however_they_are_laid_out(fields):
    reading = read(dsn(fields))
    assert [(v.recipient, v.status) for v in reading.verdicts] == [
        ("a@example.org", "5.1.1"),
        ("b@example.org", "5.2.2"),
    ]
    assert reading.report.reporting_mta == "relay.example.net"


@pytest.mark.parametrize("line_end", ["\r\n", "\r", "\n"])
def test_line_ends(line_end):
    raw = MESSAGES["unknown-user"].decode().replace("\n", line_end).encode()
    (verdict,) = read(raw).verdicts
    assert verdict.recipient == "jane@example.org"
    assert verdict.diagnostic == (
        "550 5.1.1 <jane@example.org>: Recipient address rejected: User unknown in local table"
    )


def test_a_diagnostic_that_lost_its_indentation():
    status = report_of(
        f"{GROUP}Diagnostic-Code: smtp; 550 5.1.1 Nobody\nof that name, see\nhttps://example.org/\n"
    )
    assert status.recipients[0].diagnostic == "550 5.1.1 Nobody of that name, see https://example.org/"


@pytest.mark.parametrize("between", ["", "\n"])
def test_of_an_action_and_a_status_that_stand_twice_the_first_counts(between):
    again = f"{between}Action: delivered to somebody\nStatus: 2.0.0 (delivered)\nStatus: 2.1.5\n"
    status = report_of(
        f"{HEAD}\nFinal-Recipient: rfc822; a@example.org\nStatus: 4.4.7\nAction: delayed\n{again}"
    )
    assert [(entry.action, entry.status) for entry in status.recipients] == [(Action.DELAYED, "4.4.7")]
    assert status.kind is Kind.DELAYED


def test_an_action_before_each_address():
    group = "Action: {}\nFinal-Recipient: rfc822; {}@example.org\nStatus: 5.0.0\n"
    status = report_of(HEAD + group.format("failed", "a") + group.format("delayed", "b"))
    assert [(entry.final_recipient, entry.action) for entry in status.recipients] == [
        ("a@example.org", Action.FAILED),
        ("b@example.org", Action.DELAYED),
    ]


def test_of_a_diagnostic_that_stands_twice_the_longer_counts():
    status = report_of(f"{GROUP}Diagnostic-Code: smtp; 550\nDiagnostic-Code: smtp; 550 Nobody\nRemote-MTA:\n")
    assert status.recipients[0].diagnostic == "550 Nobody"
    assert status.recipients[0].remote_mta is None


@pytest.mark.parametrize(
    ("encoding", "encode"), [("base64", base64.encodebytes), ("quoted-printable", quopri.encodestring)]
)
def test_encoded_parts(encoding, encode):
    fields = encode(f"{HEAD}\n{TWO}Diagnostic-Code: smtp; 550 5.1.1 Kein Empfänger\n".encode()).decode()
    part = f"Content-Type: message/delivery-status\nContent-Transfer-Encoding: {encoding}\n"
    (verdict,) = read(dsn(fields, part=part)).verdicts
    assert verdict.recipient == "a@example.org"
    assert verdict.diagnostic == "550 5.1.1 Kein Empfänger"


def test_internationalised_report():
    reading = read(MESSAGES["internationalised"])
    (verdict,) = reading.verdicts
    assert verdict.recipient == "jürgen@xn--bcher-kva.example"
    assert verdict.final_recipient == "jürgen@bücher.example"
    assert verdict.category == "invalid-mailbox"
    assert reading.report.original_message_id == "<letter-3@app.example.com>"


def test_a_report_that_is_not_labelled_as_one():
    assert names(read(status_report(GROUP).replace("multipart/report", "multipart/mixed"))) == [
        "jane@example.org"
    ]


def test_fields_in_plain_text():
    text = f"From: admin@example.com\nSubject: Fwd: Undelivered\n\nLook:\n\n{HEAD}\n{GROUP}"
    assert names(read(text)) == ["jane@example.org"]
    without_head = f"From: admin@example.com\nSubject: Fwd: Undelivered\n\nLook:\n\n{GROUP}"
    assert names(read(without_head)) == ["jane@example.org"]
    quoted = (
        text.replace("\n\n", "\n\n> ", 1)
        .replace("\nL", "\n> L")
        .replace("\nR", "\n> R")
        .replace("\nF", "\n> F")
    )
    quoted = quoted.replace("\nA", "\n> A").replace("\nSt", "\n> St").replace("\n\n>", "\n>\n>")
    assert names(read(quoted.replace(">\n> Look", "\n> Look", 1))) == ["jane@example.org"]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (f"{HEAD}\n{TWO}Last-Attempt-Date: whenever\n", "last-attempt-date: not a date: 'whenever'"),
        (
            f"{HEAD}\n{TWO}Last-Attempt-Date: Sun, 22 Nov 99999999 04:00:00 +0000\n",
            "last-attempt-date: not a date",
        ),
        (f"{HEAD}\n{TWO}Original-Recipient: rfc822; ((((\n", "original-recipient: no address in"),
        (f"{HEAD}\n{TWO}".replace("5.1.1", "bad"), "Status: no status code in 'bad'"),
    ],
)
def test_a_bad_field_costs_only_itself(fields, problem):
    reading = read(dsn(fields))
    assert [found for found in reading.report.problems if found.startswith(problem)]
    assert names(reading) == ["a@example.org"]


def test_a_status_in_words_is_still_found():
    (entry,) = report_of("Final-Recipient: rfc822; a@example.org\nStatus: error 5.1.1 (unknown)\n").recipients
    assert entry.status == "5.1.1"


def test_the_address_may_stand_in_an_extension():
    (entry,) = report_of(
        "Final-Recipient: x400; /S=jane/\nX-Actual-Recipient: rfc822; jane@example.org\nAction: failed\n"
    ).recipients
    assert entry.final_recipient == "jane@example.org"


@pytest.mark.parametrize(
    ("field", "host"),
    [
        ("dns; MX.example.org.", "mx.example.org"),
        ("mx.example.org", "mx.example.org"),
        ("dns; (comment) [192.0.2.7]", "192.0.2.7"),
        ("dns;", None),
        ("dns; <mx.example.org> (198.51.100.7, the backup)", "mx.example.org"),
    ],
)
def test_remote_mta(field, host):
    assert report_of(f"{GROUP}Remote-MTA: {field}\n").recipients[0].remote_mta == host


def test_what_lies_beyond_a_very_long_report_is_counted():
    group = "Final-Recipient: rfc822; u{}@example.org\nAction: failed\nStatus: 5.1.1\n"
    text = HEAD + "\n" + "\n".join(map(group.format, range(20_000)))
    status = report_of(text)
    assert len(text) > fields.MAX_TEXT
    assert len(status.recipients) + status.unread == 20_000


def test_an_address_folded_behind_its_at():
    fields = GROUP.replace("jane@example.org", "jane@\n\texample.org")
    assert (
        read(dsn(f"Reporting-MTA: dns; relay.example.net\n\n{fields}")).verdicts[0].recipient
        == "jane@example.org"
    )
