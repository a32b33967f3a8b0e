"""Stage: find the parts of a returned mail that mean something (RFC 6522, RFC 3462's elder forms, and none).

A report has up to three things in it: words for a person (the notice), fields for a program (delivery-status,
feedback-report), and the returned message. Only the header of the returned message is ever looked at, for the
identifiers of the mail that its sender sent; nothing in it is believed to be a report.
"""

import re

from bounced.core import fields
from bounced.core.marks import Marks
from bounced.core.mime import Headers, Part, header_of, parse
from bounced.core.returned import ReturnedMail

MAX_DEPTH = 8  # multiparts within multiparts; real reports have two
MAX_TEXTS = 8  # text parts that are taken for the notice
MAX_RECEIPT = 8_192  # characters of a receipt's fields

_RETURNED = frozenset(
    (
        "message/rfc822",
        "message/global",
        "text/rfc822-headers",
        "message/rfc822-headers",
        "message/global-headers",
    )
)
_STATUS = frozenset(
    ("message/delivery-status", "message/global-delivery-status", "message/delivery-status-report")
)
_RECEIPT = frozenset(
    (
        "message/disposition-notification",
        "message/global-disposition-notification",
        "text/disposition-notification",
    )
)
_FIELD_LINE = re.compile(r"^[ \t]*[^\s:]{1,40}:[ \t]+\S.*$", re.MULTILINE)
_FEEDBACK = frozenset(("message/feedback-report", "text/feedback-report"))
# Delivery-status fields, RFC 3464 section 2, in a part of their own that is called something else.
_UNTYPED = ("text/plain", "application/octet-stream")
_STATUS_LINES = re.compile(r"\s*Reporting-MTA[ \t]*:", re.IGNORECASE)
_HEADER_LINES = re.compile(r"\s*(?:[A-Za-z][A-Za-z-]{1,40}:[^\n]*\n(?:[ \t]+\S[^\n]*\n)*){3}")


def read(raw: bytes, marks: Marks) -> ReturnedMail:
    """Take the mail in `raw` apart. Never raises; time and memory linear in its size."""
    return of_part(parse(raw), marks)


def of_part(root: Part, marks: Marks) -> ReturnedMail:
    """The same for a message that lies inside another."""
    texts: list[Part] = []
    statuses: list[str] = []
    receipts: list[Part] = []
    feedback: str | None = None
    inner: Part | None = None
    returned: Headers | None = None
    for part in _leaves(root, 0):
        kind = part.content_type
        if kind in _STATUS or (texts and returned is None and _is_status(part)):
            statuses.append(part.text)
        elif kind in _FEEDBACK:
            feedback = feedback or part.text
        elif kind in _RECEIPT:
            receipts.append(part)
        elif kind in _RETURNED:
            message = part.message
            if kind in ("message/rfc822", "message/global"):
                inner = inner or message
            returned = returned or message.headers
        elif returned is None and (
            header := _header_of_returned(part, is_root=part is root, is_first=not texts)
        ):
            returned = header
        elif (
            returned is None
            and kind.startswith(("text/", "message/", "multipart/"))
            and len(texts) < MAX_TEXTS
        ):
            texts.append(part)
    statuses = statuses or _refusals(receipts, texts, marks)
    is_receipt = not statuses and (bool(receipts) or _calls_itself_receipt(root))
    if is_receipt:
        texts = []  # a mail was displayed or thrown away: whatever the words are, they report no delivery
    return ReturnedMail(
        root.headers, tuple(texts), "\n\n".join(statuses), marks, is_receipt, feedback, inner, returned
    )


def _refusals(receipts: list[Part], texts: list[Part], marks: Marks) -> list[str]:
    """The fields of receipts by which Sieve says that it refused a message, RFC 5429 section 2.2.1.

    Dovecot says so that a mailbox is full. What is thrown away unread has the same disposition, and quotes a subject.
    """
    automatic = [part.text for part in receipts if _is_automatic(part.text[:MAX_RECEIPT])]
    opening = _FIELD_LINE.sub("", texts[0].text.lstrip().partition("\n\n")[0]) if texts and automatic else ""
    return automatic if "failed" in marks.says(opening) else []


def _is_automatic(receipt: str) -> bool:
    """Whether nobody looked at the message before it was deleted: the disposition of RFC 8098 section 3.2.6."""
    disposition = next((value for name, value, _ in fields.each(receipt) if name == "disposition"), "")
    mode, _, kind = disposition.lower().partition(";")
    return "automatic-action" in mode and kind.strip().startswith("deleted")


def _header_of_returned(part: Part, *, is_root: bool, is_first: bool) -> Headers | None:
    """The header of the returned message, where it took the place of the part's, or is a text by itself."""
    if "received" in part.headers and not is_root:
        return part.headers
    return header_of(part.text) if not is_first and _is_header(part) else None


def _calls_itself_receipt(root: Part) -> bool:
    return root.parameters.get("report-type", "").lower() == "disposition-notification"


def _is_status(part: Part) -> bool:
    return part.content_type in _UNTYPED and _STATUS_LINES.match(part.text) is not None


def _is_header(part: Part) -> bool:
    return part.content_type == "text/plain" and _HEADER_LINES.match(part.text[:4096]) is not None


def _leaves(part: Part, depth: int) -> list[Part]:
    """Every part that is no multipart, in order; of several forms of one text the plain one alone."""
    children = part.children
    if not children:  # of a multipart too: one whose delimiters are gone is text
        return [part]
    if depth == MAX_DEPTH:
        return []
    if part.content_type == "multipart/alternative":  # RFC 2046 section 5.1.4
        plain = [child for child in children if child.content_type == "text/plain" and child.body.strip()]
        children = tuple(plain[:1]) or children
    leaves: list[Part] = []
    for child in children:
        leaves += _leaves(child, depth + 1) if child.is_multipart else [child]
    return leaves
