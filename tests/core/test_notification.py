"""Events that a sending service mails as JSON: documented shapes, wrapped and not, and what is none."""

import json
from importlib.resources import files

import pytest

from bounced.core import marks, message, notification
from bounced.core.model import Action, Kind, RecipientReport, Report

MARKS = marks.load(files("bounced.core").joinpath("notices.toml").read_text("utf-8"))
MAIL = {"messageId": "0100-1", "commonHeaders": {"messageId": "<1@sender.example>"}}
BOUNCE = {
    "bounceType": "Permanent",
    "bounceSubType": "General",
    "reportingMTA": "dsn; a8-70.smtp-out.example.com",
    "bouncedRecipients": [
        {
            "emailAddress": "Jane <jane@example.org>",
            "action": "failed",
            "status": "5.1.1",
            "diagnosticCode": "smtp; 550 5.1.1 user unknown",
        },
        {"emailAddress": "joe@example.com", "action": "delayed"},
        {"emailAddress": "nobody"},
    ],
}


def read(text: str) -> Report | None:
    return notification.read(message.read(f"From: no-reply@sns.example\n\n{text}".encode(), MARKS))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"notificationType": "Bounce", "bounce": BOUNCE, "mail": MAIL}),
        json.dumps({"eventType": "Bounce", "bounce": BOUNCE, "mail": MAIL})
        + "\n\n--\nTo stop this, click here",
        json.dumps(
            {
                "Type": "Notification",
                "Message": json.dumps({"eventType": "Bounce", "bounce": BOUNCE, "mail": MAIL}),
            }
        ),
    ],
)
def test_a_bounce(text):
    report = read(text)
    assert report is not None
    assert report.kind is Kind.BOUNCE
    assert report.reporting_mta == "a8-70.smtp-out.example.com"
    assert report.original_message_id == "<1@sender.example>"
    assert report.recipients == (
        RecipientReport(
            final_recipient="jane@example.org",
            action=Action.FAILED,
            status="5.1.1",
            diagnostic="550 5.1.1 user unknown",
            explanation="Permanent General",
        ),
        RecipientReport(
            final_recipient="joe@example.com", action=Action.DELAYED, explanation="Permanent General"
        ),
    )


def test_a_delay():
    detail = {
        "delayType": "MailboxFull",
        "delayedRecipients": [
            {"emailAddress": "jane@example.org", "status": "4.2.2", "diagnosticCode": "smtp; 452 4.2.2 full"}
        ],
    }
    report = read(
        json.dumps({"eventType": "DeliveryDelay", "deliveryDelay": detail, "mail": {"messageId": "0100-1"}})
    )
    assert report is not None
    assert report.kind is Kind.DELAYED
    assert report.original_message_id == "0100-1"
    (recipient,) = report.recipients
    assert (recipient.action, recipient.status, recipient.diagnostic) == (
        Action.DELAYED,
        "4.2.2",
        "452 4.2.2 full",
    )
    assert recipient.explanation == "MailboxFull"


def test_a_delivery():
    detail = {"recipients": ["jane@example.org"], "smtpResponse": "250 2.0.0 Ok"}
    report = read(json.dumps({"notificationType": "Delivery", "delivery": detail}))
    assert report is not None
    assert report.kind is Kind.DELIVERED
    assert [(r.final_recipient, r.action, r.diagnostic) for r in report.recipients] == [
        ("jane@example.org", Action.DELIVERED, "250 2.0.0 Ok")
    ]


def test_a_complaint():
    detail = {"complainedRecipients": [{"emailAddress": "jane@example.org"}]}
    report = read(json.dumps({"notificationType": "Complaint", "complaint": detail}))
    assert report is not None
    assert report.kind is Kind.FEEDBACK
    assert [(r.final_recipient, r.action) for r in report.recipients] == [("jane@example.org", None)]


@pytest.mark.parametrize(
    "text",
    [
        "Your message could not be delivered.",
        "{ not JSON",
        "{" * 100_000,
        '{"Message": "{ not JSON"}',
        '{"Message": "[]"}',
        '{"eventType": "Click"}',
        '{"eventType": 7}',
    ],
)
def test_anything_else_is_none(text):
    assert read(text) is None


@pytest.mark.parametrize("detail", [[], "x", {"bouncedRecipients": {}}, {"bouncedRecipients": [None, 1, {}]}])
def test_a_bounce_of_the_wrong_shape_names_nobody(detail):
    report = read(json.dumps({"eventType": "Bounce", "bounce": detail, "mail": 1}))
    assert report is not None
    assert report.recipients == ()
