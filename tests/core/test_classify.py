"""Evidence is weighed as CATEGORIES says; the mistakes that other bounce processors made stay unmade."""

import time
from typing import Any

import pytest

from bounced.core.classify import classify, completed, matches
from bounced.core.model import Category, Evidence
from bounced.core.ruleset import WEAK
from tests.core.test_rules import RULES


def category(text: str = "", **fields: Any) -> str:
    return str(classify(Evidence(text=text, **fields), RULES).category)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # 1: specific words of the diagnostic beat the codes, and the words of the explanation
        ({"text": "550 5.2.1 user unknown", "explanation": "mailbox is full"}, "invalid-mailbox"),
        ({"text": "550 5.1.1 mailbox full"}, "full-mailbox"),
        ({"text": "550 5.1.6 account closed"}, "inactive-mailbox"),
        ({"text": "550 5.7.1 no", "explanation": "the mailbox is full"}, "full-mailbox"),
        # 2: a specific status code beats weak words and the reply code
        ({"text": "550 5.2.2 rejected"}, "full-mailbox"),
        ({"text": "550 rejected", "status": "5.1.1"}, "invalid-mailbox"),
        ({"text": "554 5.2.1 said no", "status": "5.0.0"}, "inactive-mailbox"),
        ({"text": "550 5.0.0 no", "status": "5.1.1"}, "invalid-mailbox"),
        # 3: the cause beats the expiry
        ({"text": "delivery time expired; connection refused", "status": "4.4.7"}, "connection-error"),
        ({"text": "delivery time expired", "status": "4.4.7"}, "message-expired"),
        # 4: transient or permanent, the cause is the category
        ({"text": "450 4.1.1 user unknown"}, "invalid-mailbox"),
        # edges
        ({"text": "452 4.3.1 Insufficient system storage"}, "recipient-server-error"),
        ({"text": "552 5.3.4 message exceeds size limit"}, "policy-related"),
        ({"text": "Host not found, try again"}, "connection-error"),
        ({"text": "Host or domain name not found: no such domain"}, "invalid-domain"),
        ({"text": "452 too many recipients in this message"}, "policy-related"),
        ({"text": "451 too many messages from your IP"}, "reputation-issues"),
        ({"text": "553 sender address rejected: domain not found"}, "policy-related"),
        # nothing to go by
        ({}, "other"),
        ({"text": "550 5.0.0"}, "other"),
        ({"text": "xyzzy"}, "other"),
    ],
)
def test_evidence_is_weighed(fields, expected):
    assert category(**fields) == expected


def test_what_weaker_rules_would_have_said_is_kept():
    verdict = classify(Evidence(text="550 5.1.1 mailbox full"), RULES)
    assert (Category.INVALID_MAILBOX, "status-no-mailbox") in verdict.runners_up


def test_the_explanation_is_not_read_when_the_diagnostic_has_decided():
    evidence = Evidence(text="550 mailbox full", explanation="no such user")
    verdict = classify(evidence, RULES)
    assert verdict.category is Category.FULL_MAILBOX
    assert {category for category, _ in verdict.runners_up} == {Category.FULL_MAILBOX}
    assert Category.INVALID_MAILBOX in {rule.category for rule in matches(evidence, RULES)}


def test_codes_and_command_are_read_from_the_text():
    evidence = completed(Evidence(text="mx said: 550 5.1.1 no (in reply to RCPT TO command)", status="5.0.0"))
    assert (evidence.status, evidence.reply_code, evidence.command) == ("5.1.1", "550", "RCPT")


def test_the_command_is_read_from_the_explanation_too():
    assert completed(Evidence(text="550 no", explanation="refused after DATA")).command == "DATA"


def test_codes_are_read_from_the_explanation_when_nothing_else_was_said():
    evidence = completed(Evidence(explanation="jane@example.org: deferred: 452 4.2.2 no"))
    assert (evidence.status, evidence.reply_code) == ("4.2.2", "452")
    evidence = completed(Evidence(text="xyzzy", explanation="deferred: 452 4.2.2 no"))
    assert (evidence.status, evidence.reply_code) == (None, None)


def test_a_code_in_a_supplementary_field_is_found():
    fields = {"x-supplementary-info": "<mx.example.org #5.2.2 smtp; 552 5.2.2 full>"}
    assert completed(Evidence(status="5.0.0", extensions=fields)).status == "5.2.2"


class TestBugClasses:
    """Bugs that users of other bounce processors reported, one test a class."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("550 5.1.1 too many recipients this hour", "policy-related"),
            ("550 5.1.0 <news@example.com> sender rejected", "policy-related"),
            ("550 5.1.1 message rejected as spam", "reputation-issues"),
            ("550 5.1.0 Client host blocked using dnsbl.example.net", "blocklisting-issues"),
        ],
    )
    def test_1_status_511_that_is_no_unknown_user(self, text, expected):
        assert category(text) == expected

    def test_2_blocked_address_is_no_unknown_user(self):
        text = "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent: you are on our block list (S3150)"
        assert category(text) == "blocklisting-issues"

    @pytest.mark.parametrize("remote_mta", [None, "example-org.mail.protection.outlook.com"])
    def test_3_access_denied_of_microsoft_is_an_unknown_user(self, remote_mta):
        text = "550 5.4.1 Recipient address rejected: Access denied"
        assert category(text, remote_mta=remote_mta) == "invalid-mailbox"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("552 mailbox is over quota", "full-mailbox"),
            ("550 your IP address is blocked", "blocklisting-issues"),
            ("550 no such user here", "invalid-mailbox"),
            ("550 5.2.0 Mail rejete. Mail rejected. OFR_506 [506]", "reputation-issues"),
        ],
    )
    def test_4_the_bucket_of_500_is_sorted(self, text, expected):
        assert category(text, status="5.0.0") == expected

    @pytest.mark.parametrize(
        "text",
        [
            "550 5.1.1 The email account that you tried to reach does not exist",
            "450 4.1.1 Recipient address rejected: unverified address: user unknown",
            "550 5.2.1 no such mailbox",
            "550 5.7.1 recipient unknown",
            "550 5.0.1 mailbox not found",
            "550 Requested action not taken: mailbox unavailable",
        ],
    )
    def test_5_an_unknown_user_is_one_whatever_the_code(self, text):
        assert category(text) == "invalid-mailbox"

    def test_6_the_detail_is_in_a_supplementary_field_only(self):
        fields = {"x-supplementary-info": "<mx.example.org #5.0.0 smtp; 552 mailbox is over quota>"}
        assert category("550 failed", status="5.0.0", extensions=fields) == "full-mailbox"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("451 4.7.23 deferred", "dmarc-issues"),
            ("451 4.7.2 deferred", "policy-related"),
            ("host [92.5.1.10] hung up: connection lost", "connection-error"),
            ("host [5.1.1.10] xyzzy", "other"),
            ("550 5.1.1 <jane@spam.example.org>: user unknown", "invalid-mailbox"),
            ("host blocked-spam.example.org[192.0.2.1] said: 552 5.2.2 mailbox full", "full-mailbox"),
        ],
    )
    def test_9_codes_are_whole_and_names_decide_nothing(self, text, expected):
        assert category(text) == expected


@pytest.mark.parametrize(
    "notice",
    [
        (
            "This is the mail system at host mx.example.net. I'm sorry to have to inform you that your "
            "message could not be delivered to one or more recipients. It's attached below. For further "
            "assistance, please send mail to postmaster. If you do so, please include this problem report."
        ),
        (
            "THIS IS A WARNING ONLY. YOU DO NOT NEED TO RESEND YOUR MESSAGE. Your message could not be "
            "delivered for more than 4 hours. It will be retried until it is 5 days old."
        ),
        (
            "This message was created automatically by mail delivery software. A message that you sent could"
            " not be delivered to one or more of its recipients. This is a permanent error. The following "
            "address(es) failed: jane@example.org"
        ),
        (
            "No action is required on your part. Delivery attempts will continue for some time, and this "
            "warning may be repeated at intervals if the message remains undelivered. Eventually the mail "
            "delivery software will give up."
        ),
        (
            "Hi. This is the qmail-send program at example.net. I'm afraid I wasn't able to deliver your "
            "message to the following addresses. This is a permanent error; I've given up. Sorry it didn't "
            "work out. <jane@example.org>:"
        ),
        (
            "The original message was received at Thu, 1 Jan 2026 10:00:00 +0100 from localhost [127.0.0.1] "
            "----- The following addresses had permanent fatal errors ----- <jane@example.org> ----- "
            "Transcript of session follows"
        ),
        (
            "Your message did not reach some or all of the intended recipients. The following recipient(s) "
            "cannot be reached: Jane Doe on 1/1/2026 10:00 AM"
        ),
        (
            "Delivery has failed to these recipients or groups: jane@example.org An error occurred while "
            "trying to deliver this message to the recipient's e-mail address. Please try resending this "
            "message, or provide the following diagnostic text to your system administrator."
        ),
        (
            "** Message not delivered ** There was a problem delivering your message to jane@example.org. "
            "See the technical details below."
        ),
        (
            "Google tried to deliver your message, but it was rejected by the recipient domain. We recommend"
            " contacting the other email provider for further information about the cause of this error."
        ),
        (
            "** Delivery incomplete ** There was a temporary problem delivering your message to "
            "jane@example.org. Gmail will retry for 46 more hours. You'll be notified if the delivery fails "
            "permanently."
        ),
        (
            "Hi! This is the MAILER-DAEMON, please DO NOT REPLY to this email. An error has occurred while "
            "attempting to deliver a message for the following list of recipients: jane@example.org:"
        ),
        (
            "The attached message had PERMANENT fatal delivery errors! After one or more unsuccessful "
            "delivery attempts the attached message has been removed from the mail queue on this server."
        ),
        (
            "Your message to jane@example.org could not be delivered. Possible reasons: the address may be "
            "misspelled, the mailbox may be full, or the recipient's server may be down."
        ),
        (
            "Dies ist eine automatisch erzeugte Benachrichtigung. Ihre Nachricht konnte nicht zugestellt "
            "werden."
        ),
        "Votre message n'a pas pu être remis aux destinataires suivants : jane@example.org.",
    ],
)
def test_what_every_notice_says_decides_nothing(notice):
    words = [rule.id for rule in matches(Evidence(explanation=notice), RULES) if rule.layer not in WEAK]
    assert [rule for rule in words if rule != "expired"] == []


@pytest.mark.parametrize(
    "unit", ["a", "mailbox recipient account ", "user ", "not ", "blocked by ", "é", "5.1.1 "]
)
def test_no_text_makes_matching_slow(unit):
    started = time.perf_counter()
    classify(Evidence(text=(unit * 65536)[:65536]), RULES)
    assert time.perf_counter() - started < 0.5
