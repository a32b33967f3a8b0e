"""Stage: mail that a program wrote for a person: RFC 3834 section 5, and what programs wrote before it.

Vacation notices, challenges, receipts (RFC 8098). It says nothing about delivery and changes nothing.
"""

from bounced.core.model import Kind, Report
from bounced.core.returned import ReturnedMail

SOURCE = "autoreply"
_FIELDS = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-response-suppress", "x-apple-action")
_SUBMITTED = ("auto-replied", "auto-notified")
# Of what a program wrote of itself, RFC 3834 section 5, only what names the mail that it answers is a reply.
_ANSWERED = ("in-reply-to", "references")


def read(mail: ReturnedMail) -> Report | None:
    """The autoreply in `mail`; None when it is none."""
    headers = mail.headers
    submitted = headers.get("auto-submitted").lower()
    is_automatic = (
        mail.is_receipt
        or submitted.startswith(_SUBMITTED)
        or (submitted.startswith("auto-generated") and any(name in headers for name in _ANSWERED))
        or any(name in headers for name in _FIELDS)
        or headers.get("precedence").lower() == "auto_reply"
        or "autoreply" in mail.marks.says(mail.subject) | mail.marks.says(mail.notice)
    )
    return Report(Kind.AUTOREPLY, source=SOURCE) if is_automatic else None
