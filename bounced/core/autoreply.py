"""Stage: mail that a program wrote for a person: RFC 3834 section 5, and what programs wrote before it.

Vacation notices, challenges, receipts (RFC 8098). It says nothing about delivery and changes nothing.
"""

from bounced.core.model import Kind, Report
from bounced.core.returned import ReturnedMail

SOURCE = "autoreply"
_FIELDS = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-response-suppress", "x-apple-action")
_SUBMITTED = ("auto-replied", "auto-generated", "auto-notified")


def read(mail: ReturnedMail) -> Report | None:
    """The autoreply in `mail`; None when it is none."""
    headers = mail.headers
    is_automatic = (
        mail.is_receipt
        or headers.get("auto-submitted").lower().startswith(_SUBMITTED)
        or any(name in headers for name in _FIELDS)
        or headers.get("precedence").lower() == "auto_reply"
        or "autoreply" in mail.marks.says(headers.get("subject")) | mail.marks.says(mail.notice)
    )
    return Report(Kind.AUTOREPLY, source=SOURCE) if is_automatic else None
