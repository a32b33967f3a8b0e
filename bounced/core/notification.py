"""Stage: read the notifications that sending services mail as JSON (Amazon SES through SNS).

Documented by Amazon as "Amazon SNS notification contents for Amazon SES": `notificationType` or `eventType` is
Bounce, Complaint, Delivery or DeliveryDelay; `bouncedRecipients[]` hold emailAddress, action, status and
diagnosticCode, the fields of RFC 3464 under other names.
"""

import json
from typing import Any

from bounced.core import mailbox, status
from bounced.core.model import Action, Kind, RecipientReport, Report
from bounced.core.returned import ReturnedMail

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
        if isinstance(notification.get("Message"), str):  # SNS wraps it when raw delivery is off
            notification = json.loads(notification["Message"], strict=False)
        # Lone surrogates, which JSON can write (RFC 8259 section 8.2), are no text: nobody could encode them.
        notification = json.loads(json.dumps(notification, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return _read(notification) if isinstance(notification, dict) else None


# For each type of event, Amazon's name of the object that holds the detail, and of the recipients in it.
_EVENTS = {
    "bounce": (Kind.BOUNCE, Action.FAILED, "bounce", "bouncedRecipients"),
    "complaint": (Kind.FEEDBACK, None, "complaint", "complainedRecipients"),
    "delivery": (Kind.DELIVERED, Action.DELIVERED, "delivery", "recipients"),
    "deliverydelay": (Kind.DELAYED, Action.DELAYED, "deliveryDelay", "delayedRecipients"),
}


def _read(notification: dict[str, Any]) -> Report | None:
    event = str(notification.get("notificationType") or notification.get("eventType") or "").lower()
    if event not in _EVENTS:
        return None
    kind, action, name, recipients = _EVENTS[event]
    detail = _object(notification, name)
    entries = (
        _recipient(entry if isinstance(entry, dict) else {"emailAddress": entry}, detail, action)
        for entry in _list(detail, recipients)
    )
    mail = _object(notification, "mail")
    return Report(
        kind=kind,
        recipients=tuple(entry for entry in entries if entry.final_recipient),
        reporting_mta=_untyped(detail.get("reportingMTA")),
        original_message_id=str(
            _object(mail, "commonHeaders").get("messageId") or mail.get("messageId") or ""
        )
        or None,
        source=SOURCE,
    )


def _recipient(entry: dict[str, Any], detail: dict[str, Any], action: Action | None) -> RecipientReport:
    # SES's own judgement, in words: "Permanent General", "Transient MailboxFull", "SpamDetected" ...
    judgement = (detail.get(name) for name in ("bounceType", "bounceSubType", "delayType"))
    return RecipientReport(
        final_recipient=mailbox.find(str(entry.get("emailAddress"))),
        action=Action.DELAYED if str(entry.get("action")).lower().startswith("delay") else action,
        status=status.normalise(str(entry.get("status") or "")),
        diagnostic=_untyped(entry.get("diagnosticCode") or detail.get("smtpResponse")),
        explanation=" ".join(str(word) for word in judgement if word),
    )


def _untyped(value: Any) -> str | None:  # noqa: ANN401 - whatever JSON holds
    """The rest of a typed field of RFC 3464: "smtp; 550 ...", "dns; host"."""
    text = str(value or "").strip()
    head, semicolon, rest = text.partition(";")
    return (
        rest.strip() if semicolon and head.strip().lower() in ("smtp", "x-unix", "dns", "dsn") else text
    ) or None


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _list(holder: dict[str, Any], name: str) -> list[Any]:
    value = holder.get(name)
    return value if isinstance(value, list) else []
