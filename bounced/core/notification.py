"""Stage: read the notifications that sending services mail as JSON (Amazon SES through SNS).

Documented by Amazon as "Amazon SNS notification contents for Amazon SES": `notificationType` or `eventType` is
Bounce, Complaint or Delivery; `bouncedRecipients[]` hold emailAddress, action, status and diagnosticCode, the
fields of RFC 3464 under other names.
"""

import json
from collections.abc import Iterable
from typing import Any

from bounced.core import mailbox, status
from bounced.core.message import ReturnedMail
from bounced.core.model import Action, Kind, RecipientReport, Report

SOURCE = "notification"
MAX_JSON = 131_072


def read(mail: ReturnedMail) -> Report | None:
    """The report in a JSON notification; None when the text is none, or of another kind."""
    text = "\n".join(part.text for part in mail.texts[:1]).lstrip()
    if not text.startswith("{"):
        return None
    try:
        # Services append a footer after the object, and mail gateways fold it: raw_decode stops at its end.
        notification, _ = json.JSONDecoder(strict=False).raw_decode(text[:MAX_JSON])
    except (ValueError, RecursionError):
        return None
    if isinstance(notification.get("Message"), str):  # SNS wraps it when raw delivery is off
        try:
            notification = json.loads(notification["Message"], strict=False)
        except (ValueError, RecursionError):
            return None
    return _read(notification) if isinstance(notification, dict) else None


def _read(notification: dict[str, Any]) -> Report | None:
    what = str(notification.get("notificationType") or notification.get("eventType") or "").lower()
    mail = _object(notification, "mail")
    detail = _object(notification, what)
    if what == "bounce":
        kind, recipients = (
            Kind.BOUNCE,
            [_bounced(entry, detail) for entry in _objects(detail, "bouncedRecipients")],
        )
    elif what == "complaint":
        kind, recipients = (
            Kind.FEEDBACK,
            [_named(entry) for entry in _objects(detail, "complainedRecipients")],
        )
    elif what == "delivery":
        kind = Kind.DELIVERED
        recipients = [
            RecipientReport(
                final_recipient=mailbox.find(str(address)),
                action=Action.DELIVERED,
                diagnostic=str(detail.get("smtpResponse") or "") or None,
            )
            for address in _list(detail, "recipients")
        ]
    else:
        return None
    message_id = mail.get("messageId")
    return Report(
        kind=kind,
        recipients=tuple(recipient for recipient in recipients if recipient.final_recipient),
        reporting_mta=str(detail.get("reportingMTA") or "").removeprefix("dsn;").removeprefix("dns;").strip()
        or None,
        original_message_id=str(_object(mail, "commonHeaders").get("messageId") or message_id or "") or None,
        source=SOURCE,
    )


def _bounced(entry: dict[str, Any], bounce: dict[str, Any]) -> RecipientReport:
    diagnostic = str(entry.get("diagnosticCode") or "").strip()
    head, semicolon, rest = diagnostic.partition(";")
    diagnostic = (
        rest.strip() if semicolon and head.strip().lower() in ("smtp", "x-unix", "dns") else diagnostic
    )
    return RecipientReport(
        final_recipient=mailbox.find(str(entry.get("emailAddress"))),
        action=Action.DELAYED if str(entry.get("action")).lower().startswith("delay") else Action.FAILED,
        status=status.normalise(str(entry.get("status") or "")),
        diagnostic=diagnostic or None,
        # SES's own judgement, in words: "Permanent General", "Transient MailboxFull", ...
        explanation=f"{bounce.get('bounceType', '')} {bounce.get('bounceSubType', '')}".strip(),
    )


def _named(entry: dict[str, Any]) -> RecipientReport:
    return RecipientReport(final_recipient=mailbox.find(str(entry.get("emailAddress"))))


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _list(holder: dict[str, Any], name: str) -> list[Any]:
    value = holder.get(name)
    return value if isinstance(value, list) else []


def _objects(holder: dict[str, Any], name: str) -> Iterable[dict[str, Any]]:
    return (value for value in _list(holder, name) if isinstance(value, dict))
