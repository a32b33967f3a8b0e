"""Lists of suppressed addresses, ours and those of other systems, read entry by entry, however long they are.

    CSV with a header        a column address, email, EmailAddress or recipient, and perhaps others below; so our own
                             export, and those of SendGrid, Mailgun and Postmark
    CSV without, or lines    the address, and perhaps a word why: the bulk files of Amazon SES
    JSON                     lines of objects, an array of them, or one inside the answer of an API: `aws sesv2
                             list-suppressed-destinations`, SendGrid's /v3/suppression/bounces, Mailgun's
                             /v3/<domain>/bounces, Postmark's suppressions/dump

Names of columns and members are compared without case, blanks and underscores. No I/O; memory is bounded by the
longest entry.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bounced.core.model import Category

MAX_ENTRY = 1 << 20  # characters

_ADDRESS = ("address", "email", "emailaddress", "recipient")
_WHY = ("category", "suppressionreason", "reason", "type")
_SAID = ("error", "diagnostic", "reason")  # what the refusing server said
_WHEN = ("lastat", "createdat", "created", "lastupdatetime", "date", "timestamp")
_STATUS = ("status", "code")

# Who asked not to be written to; a provider lists them beside the bounces.
_ASKED = frozenset(
    {"complaint", "spamcomplaint", "spamreport", "unsubscribe", "unsubscribed", "manualsuppression"}
)
_BEGIN = re.compile(
    r'\s*(?:\[|\{\s*"[^"]*"\s*:\s*\[|\{.{0,4000}?"(?:items|Suppressions)"\s*:\s*\[)', re.DOTALL
)
_NEXT = re.compile(r"[^\[]*\[")


class NotAList(ValueError):  # noqa: N818 - it says what is the case
    """The text is no list of addresses that we know; the words say where reading ended."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One address of a list."""

    number: int  # which one of the list, from 1
    address: str  # as written
    why: str = ""  # the list's word for it
    said: str = ""  # what the refusing server said, if the list tells
    status: str | None = None  # enhanced status code
    at: int | None = None  # when it bounced, Unix seconds
    until: int | None = None  # our own export only: when the suppression ends

    @property
    def category(self) -> Category | None:
        """The category, where the list tells one of ours."""
        return Category(self.why) if self.why in set(Category) else None

    @property
    def asked(self) -> bool:
        """Whether the recipient complained or unsubscribed: no bounce, and no reason to try again."""
        return _name(self.why) in _ASKED


def read(blocks: Iterable[str]) -> Iterator[Entry]:
    """Yield every entry of a list that comes in pieces. Raises NotAList when it is none, perhaps in the middle."""
    pieces = iter(blocks)
    start = ""
    for start in pieces:
        if start.strip():
            break
    start = start.lstrip("\ufeff \t\r\n")
    members = _objects(start, pieces) if start[:1] in {"{", "["} else _rows(start, pieces)
    for number, member in enumerate(members, 1):
        yield _entry(number, member)


def _entry(number: int, member: Mapping[str, str]) -> Entry:
    def first(names: Sequence[str]) -> str:
        return next((member[name].strip() for name in names if member.get(name)), "")

    ours = bool(member.get("until"))
    why = member.get("reason", "") if ours else first(_WHY)
    status = first(_STATUS)
    return Entry(
        number=number,
        address=first(_ADDRESS),
        why=why,
        said="" if ours else first(_SAID),
        status=status if re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", status) else None,
        at=_moment(first(_WHEN)),
        until=_moment(member.get("until", "")),
    )


def _moment(written: str) -> int | None:
    """Unix seconds, of themselves or milliseconds, RFC 3339 or RFC 5322; None: none of these."""
    written = written.strip()
    if re.fullmatch(r"\d{9,13}(?:\.\d+)?", written):
        seconds = int(float(written))
        return seconds // 1000 if seconds > 99_999_999_999 and len(written) == 13 else seconds
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(
                re.sub(r" UTC$", "+00:00" if parse == datetime.fromisoformat else " +0000", written)
            )
        except (ValueError, TypeError, IndexError):
            continue
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return None


def _name(column: str) -> str:
    return re.sub(r"[\s_-]", "", column).lower()


def _rows(start: str, pieces: Iterator[str]) -> Iterator[Mapping[str, str]]:
    rows = csv.reader(_lines(start, pieces))
    try:
        first = next(rows, [])
        names = [_name(cell) for cell in first]
        if not set(names) & set(_ADDRESS):
            if not any("@" in cell or cell.startswith("~") for cell in first):
                raise NotAList(
                    "it begins with no address, and with no header that names a column address or email"
                )
            yield _positional(first)
            for row in rows:
                if row:
                    yield _positional(row)
            return
        for row in rows:
            if row:
                yield dict(zip(names, row, strict=False))
    except csv.Error as error:
        raise NotAList(f"line {rows.line_num} is no CSV: {error}") from error


def _positional(row: Sequence[str]) -> Mapping[str, str]:
    """Without a header: the address, and perhaps why."""
    return {"address": row[0], "reason": row[1] if len(row) > 1 else ""}


def _lines(start: str, pieces: Iterator[str]) -> Iterator[str]:
    rest = start
    while True:
        *whole, rest = rest.split("\n")
        for line in whole:
            yield f"{line}\n"
        if len(rest) > MAX_ENTRY:
            raise NotAList("it has a line of more than a million characters")
        piece = next(pieces, None)
        if piece is None:
            break
        rest += piece
    if rest:
        yield rest


def _objects(start: str, pieces: Iterator[str]) -> Iterator[Mapping[str, str]]:
    """The members of arrays, or objects one after the other; what stands around an array is passed over."""
    decoder, text, here, number = json.JSONDecoder(), start, 0, 0
    inside = outside = False  # of an array; and behind one, until the next, of another answer of the same API
    while True:
        while (here := _next(text, here)) < len(text):
            outside = outside or text[here] == "]"
            opening = None if inside and not outside else (_NEXT if outside else _BEGIN).match(text, here)
            if opening or outside:
                inside, outside = opening is not None, opening is None
                here = opening.end() if opening else len(text)
                continue
            try:
                found, here = decoder.raw_decode(text, here)
            except (json.JSONDecodeError, RecursionError):
                break  # the rest of it may be to come
            if not isinstance(found, dict):
                raise NotAList(f"after {number} entries comes something else than an object")
            number += 1
            yield {_name(key): str(value) for key, value in found.items() if value is not None}
        piece = next(pieces, None)
        if piece is None or len(text) - here > MAX_ENTRY:
            break
        text, here = text[here:] + piece, 0
    if here < len(text) or inside:
        raise NotAList(f"entry {number + 1} is no JSON, or ends in the middle")


def _next(text: str, here: int) -> int:
    """Where the next thing begins."""
    while here < len(text) and text[here] in ", \t\r\n":
        here += 1
    return here
