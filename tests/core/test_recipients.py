"""Whom a report is about."""

import pytest

from bounced.core import recipients
from bounced.core.model import Action, Evidence, Kind, RecipientReport, Report
from tests.core.reading import GROUP, dsn, read, status_report


def chosen(*entries: RecipientReport, to: tuple[str, ...] = (), limit: int = 100, unread: int = 0):
    return recipients.choose(Report(Kind.BOUNCE, entries, addressees=to, unread=unread), limit)


def entry(
    final: str | None = None, original: str | None = None, action: Action | None = Action.FAILED, **fields
):
    return RecipientReport(final_recipient=final, original_recipient=original, action=action, **fields)


@pytest.mark.parametrize(
    ("report", "to", "address"),
    [
        (entry("inside@example.net", "Jane@Example.org"), (), "jane@example.org"),
        (entry("jane@example.org"), (), "jane@example.org"),
        (entry("jane@example.org", "jane"), (), "jane@example.org"),
        (entry("Jane"), ("joe@example.org", "jane@example.org", "jane@later.example"), "jane@example.org"),
        (entry("jane"), ("joe@example.org", "not an address"), None),
        (entry(), ("joe@example.org",), None),
    ],
)
def test_the_address_that_the_sender_wrote_to(report, to, address):
    found, _ = chosen(report, to=to)
    assert [recipient.address for recipient in found] == ([address] if address else [])


def test_at_most_so_many_are_believed_and_the_rest_is_counted():
    found, left_out = chosen(*(entry(f"u{n}@example.org") for n in (1, 2, 3, 3, 1, 4)), limit=2, unread=5)
    assert [recipient.address for recipient in found] == ["u1@example.org", "u2@example.org"]
    assert left_out == 7


@pytest.mark.parametrize(
    ("one", "other", "believed"),
    [
        (Action.FAILED, Action.DELAYED, Action.FAILED),
        (Action.DELIVERED, Action.FAILED, Action.DELIVERED),
        (Action.EXPANDED, Action.FAILED, Action.FAILED),
        (None, Action.DELAYED, Action.DELAYED),
    ],
)
def test_of_two_fates_of_one_address_one_is_believed(one, other, believed):
    for pair in ((one, other), (other, one)):
        ((recipient,), _) = chosen(*(entry("jane@example.org", action=action) for action in pair))
        assert recipient.report.action is believed


def test_two_entries_of_one_fate_complete_each_other():
    vague = entry("jane@example.org", status="5.0.0", diagnostic="550 Nobody", remote_mta="mx.example.org")
    exact = entry("jane@example.org", status="5.1.1", explanation="There is nobody.")
    ((recipient,), _) = chosen(vague, exact)
    assert recipient.report == entry(
        "jane@example.org",
        status="5.1.1",
        diagnostic="550 Nobody",
        remote_mta="mx.example.org",
        explanation="There is nobody.",
    )


def test_evidence_carries_what_a_category_is_judged_by():
    report = entry("a@example.org", status="5.1.1", diagnostic="550 5.1.1 Nobody", command="RCPT")
    found = recipients.evidence(report, Report(Kind.BOUNCE, reporting_mta="relay.example.net"))
    assert found == Evidence(
        "550 5.1.1 Nobody", status="5.1.1", command="RCPT", reporting_mta="relay.example.net"
    )


@pytest.mark.parametrize(
    ("notice", "explanation"),
    [
        ("<jane@example.org>: no such user\n\nRegards\n", "jane@example.org>: no such user"),
        ("<jane@example.org>\n\nTranscript: no such user\n", "jane@example.org> Transcript: no such user"),
        ("jane@example.org: full\njohn@example.org: unknown\n", "jane@example.org: full"),
        ("It failed.\nFor good.\n", "It failed. For good."),
    ],
)
def test_a_recipient_is_explained_by_the_notice(notice, explanation):
    fields = GROUP + "Diagnostic-Code: smtp; 550 Sorry\n"
    (entry,) = read(dsn(fields, notice=notice)).report.recipients
    assert entry.explanation == explanation


@pytest.mark.parametrize("diagnostic", ["", "Diagnostic-Code: smtp; 554-mx1.example.org\n"])
def test_the_only_recipient_is_explained_by_the_whole_notice_where_no_words_are_diagnosed(diagnostic):
    """A first line that holds the server's name alone, as Cisco's does, says nothing."""
    notice = "<jane@example.org>: failed\n\nThe disk is full.\n"
    (entry,) = read(dsn(GROUP + diagnostic, notice=notice)).report.recipients
    assert entry.explanation == "<jane@example.org>: failed The disk is full."


def test_the_notice_is_asked_for_what_follows_the_first_line_of_a_reply():
    """sendmail hands on that line alone, RFC 5321 section 4.2.1."""
    fields = (
        GROUP.replace("5.1.1", "5.0.0")
        + "Diagnostic-Code: smtp; 550-Requested action not taken: mailbox unavailable\n"
    )
    notice = (
        "<jane@example.org>\n\n<<< 550-Requested action not taken: mailbox unavailable\n"
        "<<< 550 sender domain not found\n"
    )
    (verdict,) = read(dsn(fields, notice=notice)).verdicts
    assert verdict.category == "policy-related"


@pytest.mark.parametrize(
    ("diagnostic", "category"),
    [
        ("Name service error for name=relay.sender.example type=A: Host not found", "connection-error"),
        ("550 5.1.2 Host unknown (Name server: relay.sender.example.: host not found)", "connection-error"),
        ("Name service error for name=example.org type=MX: Host not found", "invalid-domain"),
        ("Name service error for name=mx.example.org type=A: Host not found", "invalid-domain"),
        ("host mx.other.example[192.0.2.1] said: 550 5.1.2 Domain does not exist", "invalid-domain"),
    ],
)
def test_a_host_that_is_none_of_the_recipients_domain_says_nothing_of_it(diagnostic, category):
    """One dead relay must not rest everybody who was written to."""
    fields = GROUP.replace("5.1.1", "5.4.4") + f"Diagnostic-Code: smtp; {diagnostic}\n"
    (verdict,) = read(dsn(fields, notice="")).verdicts
    assert verdict.category == category


def test_the_notice_is_not_asked_when_the_diagnostic_settles_it():
    fields = GROUP + "Diagnostic-Code: smtp; 550 5.1.1 User unknown\n"
    (entry,) = read(dsn(fields, notice="<jane@example.org>: mailbox full\n")).report.recipients
    assert entry.explanation == ""


@pytest.mark.parametrize(
    "recipient", ["jane@example.org", "5.1.1@example.org", "x=y@example.org", "Mailbox-Full@spamhaus.example"]
)
def test_the_name_of_the_recipient_decides_nothing(recipient):
    group = f"Final-Recipient: rfc822; {recipient}\nAction: failed\nDiagnostic-Code: smtp; 542 {recipient} Rejected\n"
    [verdict] = read(status_report(group)).verdicts
    assert (verdict.category, verdict.status, verdict.smtp_reply) == ("other", None, "542")


def test_one_address_of_the_recipient_may_end_in_the_other():
    group = (
        "Original-Recipient: rfc822; 5.1.1.jane@example.org\nFinal-Recipient: rfc822; jane@example.org\n"
        "Action: failed\nDiagnostic-Code: smtp; 542 5.1.1.jane@example.org Rejected\n"
    )
    [verdict] = read(status_report(group)).verdicts
    assert (verdict.category, verdict.status) == ("other", None)


@pytest.mark.parametrize("name", ["5.1.1", "5.1.1.jane", "5.1.1+x", "5.1.1%40example.net"])
def test_the_name_of_somebody_else_blames_nobody(name):
    """Of two recipients, each diagnostic names the other one."""
    group = "Final-Recipient: rfc822; {}@example.org\nAction: failed\nDiagnostic-Code: smtp; 542 {}@example.org Bad\n"
    first, second = (group.format(*names) for names in (("jane", name), (name, "jane")))
    assert {verdict.severity for verdict in read(status_report(f"{first}\n{second}")).verdicts} == {"soft"}


@pytest.mark.parametrize(
    ("diagnostic", "recipient", "category"),
    [
        ("550 news@example.com: no such mailbox", "jane@example.org", "policy-related"),
        ("550 <Postmaster@Example.com> does not exist", "jane@example.org", "policy-related"),
        ("550 example.com: that domain does not exist", "jane@example.org", "policy-related"),
        ("550 mx.example.com said: no such user: jane@example.org", "jane@example.org", "invalid-mailbox"),
        ("550 joe@example.com: no such mailbox", "jane@example.org", "invalid-mailbox"),  # forwarded back
        ("550 news@example.com: no such mailbox", "jane@example.com", "policy-related"),
        ("550 jane@example.com: no such mailbox", "jane@example.com", "invalid-mailbox"),
        ("550 news@example.com: no such mailbox", "news@example.com", "invalid-mailbox"),  # to oneself
    ],
)
def test_a_recipient_is_not_blamed_for_the_sender(diagnostic, recipient, category):
    group = f"Final-Recipient: rfc822; {recipient}\nAction: failed\nDiagnostic-Code: smtp; {diagnostic}\n"
    [verdict] = read(dsn(f"Reporting-MTA: dns; relay.example.net\n\n{group}")).verdicts
    assert verdict.category == category


@pytest.mark.parametrize(
    ("command", "category"),
    [("MAIL FROM", "policy-related"), ("EHLO", "policy-related"), ("RCPT TO", "invalid-mailbox")],
)
def test_what_is_refused_before_the_recipient_is_named_is_not_about_it(command, category):
    notice = (
        f"<jane@example.org>: host mx.example.org said: 550 no such user (in reply to {command} command)\n"
    )
    fields = f"Reporting-MTA: dns; relay.example.net\n\n{GROUP}Diagnostic-Code: smtp; 550 no such user\n"
    [verdict] = read(dsn(fields.replace("Status: 5.1.1\n", ""), notice=notice)).verdicts
    assert verdict.category == category
