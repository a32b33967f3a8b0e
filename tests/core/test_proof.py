"""A signed return path says who; the report only says why."""

import pytest

from bounced.core.model import Action, Category, Severity
from bounced.core.returnpath import Proof, rid_of
from tests.core.reading import GROUP, dsn, read

RETURNED = "From: news@example.com\nTo: {to}\nMessage-ID: <letter@app.example.com>\n"
OTHERS = (
    "Final-Recipient: rfc822; victim@example.net\nAction: failed\nStatus: 5.1.1\n\n"
    "Final-Recipient: rfc822; john@example.net\nAction: failed\nStatus: 5.2.2\n"
)


def proof(address):
    return Proof("aa", 30000, rid_of(address), "mid000000001")


def test_only_the_proven_recipient_is_judged():
    reading = read(dsn(f"{OTHERS}\n{GROUP}"), proof=proof("jane@example.org"))
    (verdict,) = reading.verdicts
    assert (verdict.recipient, verdict.severity) == ("jane@example.org", Severity.HARD)
    assert reading.left_out == 0


def test_the_proof_names_the_message():
    reading = read(dsn(GROUP), proof=proof("jane@example.org"))
    assert reading.identity == rid_of("jane@example.org") + "mid000000001"


def test_either_address_of_a_forwarded_recipient_may_be_the_proven_one():
    fields = "Original-Recipient: rfc822; other@example.net\n" + GROUP
    (verdict,) = read(dsn(fields), proof=proof("jane@example.org")).verdicts
    assert (verdict.recipient, verdict.category) == ("jane@example.org", Category.INVALID_MAILBOX)


def test_an_address_of_the_returned_header_is_taken_when_a_forwarder_reports_another():
    fields = "Final-Recipient: rfc822; inside@example.net\nAction: failed\nStatus: 5.2.2\n"
    report = dsn(fields, returned=RETURNED.format(to="Jane@Example.org"))
    (verdict,) = read(report, proof=proof("jane@example.org")).verdicts
    assert (verdict.recipient, verdict.category) == ("jane@example.org", Category.FULL_MAILBOX)


def test_a_hidden_address_is_known_by_the_proof_s_name_for_it():
    fields = "Final-Recipient: rfc822; inside@example.net\nAction: failed\nStatus: 5.1.1\n"
    report = dsn(fields, returned=RETURNED.format(to="list@example.net"))
    (verdict,) = read(report, proof=proof("jane@example.org")).verdicts
    assert verdict.recipient == f"~{rid_of('jane@example.org')}"
    assert verdict.severity is Severity.HARD


def test_of_several_strangers_none_lends_the_proven_recipient_a_cause():
    report = dsn(OTHERS, returned=RETURNED.format(to="list@example.net"))
    (verdict,) = read(report, proof=proof("jane@example.org")).verdicts
    assert (verdict.category, verdict.severity) == (Category.OTHER, Severity.SOFT)


def test_nothing_counts_when_some_stranger_s_copy_was_delivered():
    fields = OTHERS + "\nFinal-Recipient: rfc822; joe@example.net\nAction: delivered\nStatus: 2.0.0\n"
    report = dsn(fields, returned=RETURNED.format(to="list@example.net"))
    (verdict,) = read(report, proof=proof("jane@example.org")).verdicts
    assert (verdict.action, verdict.severity) == (None, Severity.NONE)


@pytest.mark.parametrize(
    "text", ["Hello\n", "Subject: Out of office\nAuto-Submitted: auto-replied\n\nAway\n"]
)
def test_proof_makes_no_report_of_other_mail(text):
    assert read(f"From: jane@example.org\n{text}", proof=proof("jane@example.org")).verdicts == ()


def test_a_delayed_report_stays_one():
    fields = GROUP.replace("failed", "delayed")
    (verdict,) = read(dsn(fields), proof=proof("jane@example.org")).verdicts
    assert verdict.action is Action.DELAYED


@pytest.mark.parametrize(
    ("actions", "action"),
    [(("failed", "delivered"), Action.DELIVERED), (("delayed", "failed"), Action.FAILED)],
)
def test_of_several_fates_of_the_proven_recipient_the_same_counts_as_without_proof(actions, action):
    fields = "\n".join(
        f"Original-Recipient: rfc822; jane@example.org\nFinal-Recipient: rfc822; j{n}@example.net\nAction: {one}\n"
        for n, one in enumerate(actions)
    )
    assert read(dsn(fields)).verdicts[0].action is action
    assert read(dsn(fields), proof=proof("jane@example.org")).verdicts[0].action is action


def test_a_notice_that_names_nobody_is_about_the_proven_recipient():
    notice = (
        "From: MAILER-DAEMON@mx.example\nSubject: failure notice\n\nIt could not be delivered: user unknown\n"
    )
    (verdict,) = read(notice, proof=proof("jane@example.org")).verdicts
    assert verdict.recipient == f"~{rid_of('jane@example.org')}"
    assert verdict.category is Category.INVALID_MAILBOX
