"""SMTP dialogue that is quoted in running text: the reply, the command it answers, the host that gave it.

What counts as a reply is narrow, because numbers are everywhere: a code of RFC 5321 section 4.2 before a
status code or a word, or a status code that opens a line or a value. Linear in the text, never raises.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import dropwhile, islice, takewhile

from msgspec import Struct

from bounced.core import mailbox, status

MAX_TEXT = 2_000  # characters of a reply
# A ruler of dashes or the like: what is below it is about something else.
SEPARATOR = re.compile(r"^\s*[-=_*#|+~]{2,}(?![-=>])")
MAX_CANDIDATES = 20  # what looks like a reply, in one text

# An SMTP reply in running text: a code, then a status or a word that is no unit.
_REPLY = re.compile(
    r"[45](?:(?<![\w./@#$-].)(?<!\w:.)(?=[0-5]\d(?:-|[ ]|: |#|\n))|(?<=#.)(?=[0-5]\d [45]\.))[0-5]\d"
    r"(?:(?:(?<=: \d\d\d)|(?<=\d :))\s{1,12}|[ :-]){0,6}"
    r"(?!(?:bytes?|kb|mb|seconds?|secs?|minutes?|hours?|days?|times|octets)\b)"
    r"(?:#?[45]\.\d{1,3}\.\d{1,3}|[<(#\"'\[A-Za-z\u0080-\uffff])",
    re.IGNORECASE,
)
# The same without its code, where a line or a labelled value begins with the status.
_STATUS_REPLY = re.compile(r"[45]\.\d\.\d{1,3}[ :-]{1,3}\S")
_BEFORE_STATUS = re.compile(r"(?:^|: |:\t)[ \t]{0,20}\Z", re.MULTILINE)
# What a dialogue goes on with. A lookbehind stands behind the first character, which the engine can skip to then.
_PROMPT = re.compile(
    r"[<>=IO-](?<!\S.)(?:(?<=<)(?:<<|-+)|(?<=>)>>|(?<=-)-*>|(?<==)>|(?<=I)n:|(?<=O)ut:)(?:\s|$)"
)
_TOLD = re.compile(r"\s*(?:\.\.\. )?[Ww]hile (?:talking|connected)|Giving up on")
_CODE = re.compile(r"\s*([245]\d\d)(?=[ -]|$)")
_FIELD = re.compile(r"(\s*)[^\W\d_][\w -]{1,40}[:\uff1a](?=\s|$)")
# In capital letters, as hosts below in small ones: a search that ignores case tries every character.
_VERB = re.compile(r"\b(?:MAIL (?:FROM|COMMAND)|RCPT (?:TO|COMMAND)|DATA|EHLO|HELO|STARTTLS)\b")
_NAME = r"(?i:((?:[A-Z0-9_-]{1,63}\.){1,10}[A-Z][A-Z0-9-]{1,62}))"
_IP_ADDRESS = re.compile(r"[\[(](?:IPv6:)?[0-9a-f.:]{6,45}[\])]", re.IGNORECASE)
_BEFORE_IP_ADDRESS = re.compile(rf"(?<![\w.@-]){_NAME}\.?\s?\Z")
_SAYS = ("host", "server <", "talking to ", "remote system: ")
_HOST_SAID = re.compile(
    rf"(?:(?<!at )\bhost:? ['\"]?|\bserver <|talking to |remote system: (?:dns;)?){_NAME}"
)


class Reply(Struct, frozen=True):
    """An SMTP reply as it was quoted, on one line, and the command that it answered."""

    text: str
    command: str | None  # "MAIL", "RCPT", "DATA" ...


def has_reply(text: str) -> bool:
    """Whether an SMTP reply with its code is quoted in `text`."""
    return _REPLY.search(text) is not None


def codes(text: str) -> set[str]:
    """The codes of the SMTP replies that are quoted in `text`."""
    return {match[0][:3] for match in islice(_REPLY.finditer(text), MAX_CANDIDATES)}


def reply(text: str) -> Reply | None:
    """The first reply in `text` that says something in words; None when there is none."""
    for start in _starts(text):
        found = _reply_at(text, start)
        if any(map(str.isalpha, status.words(found.text))):
            return found
    return None


def host(text: str) -> str | None:
    """The first host that `text` names as the other side, in lower case."""
    match = _host_with_address(text) if "[" in text or "(" in text else None
    if match is None:
        lower = text.lower()
        said = [at for words in _SAYS if (at := lower.find(words)) >= 0]
        if said:
            match = _HOST_SAID.search(lower, min(said))
    return match[1].lower() if match else None


def _host_with_address(text: str) -> re.Match[str] | None:
    """The first name of a host before an IP address in brackets: those are few, and words are many."""
    after = 0
    for literal in _IP_ADDRESS.finditer(text):
        at = literal.start()
        match = _BEFORE_IP_ADDRESS.search(text, max(text.rfind(" ", after, at - 1) + 1, after), at)
        if match:
            return match
        after = literal.end()
    return None


def _starts(text: str) -> Iterator[int]:
    """Where something stands that looks like a reply: those with a code first."""
    for match in islice(_REPLY.finditer(text), MAX_CANDIDATES):
        yield match.start()
    if "4." in text or "5." in text:
        statuses = (match.start() for match in _STATUS_REPLY.finditer(text) if _begins(text, match.start()))
        yield from islice(statuses, MAX_CANDIDATES)


def _begins(text: str, start: int) -> bool:
    """Whether a line or a labelled value begins at `start`."""
    return _BEFORE_STATUS.search(text, max(start - 24, 0), start) is not None


def _reply_at(text: str, start: int) -> Reply:
    opening = text.rfind("\n", 0, start) + 1
    lines = text[start : start + 2 * MAX_TEXT].split("\n")
    said = one_line([lines[0], *_continued(lines, text[opening:start])])
    return Reply(said, status.command(said) or _command_before(text, start))


def _command_before(text: str, start: int) -> str | None:
    """The last command that stands in the paragraph above a reply."""
    paragraph = max(text.rfind("\n\n", 0, start), start - 400, 0)
    verbs = _VERB.findall(text[paragraph:start].upper())
    return verbs[-1].partition(" ")[0] if verbs else None


def _continued(lines: list[str], opening: str) -> Iterator[str]:
    """The lines after the first of a reply that still belong to it; `opening` is what stands before it."""
    code = lines[0][:3]
    label = _FIELD.match(opening)
    for line in lines[1:]:
        if (
            not line.strip()
            or _PROMPT.search(line)
            or _TOLD.match(line)
            or SEPARATOR.match(line)
            or ((another := _CODE.match(line)) and another[1] != code)
            or (label and (field := _FIELD.match(line)) and field[1] == label[1])
        ):
            return
        yield line


def one_line(lines: Iterable[str]) -> str:
    """One line without what a frame around it left: colons before it, a bracket that opens or closes elsewhere."""
    text = " ".join(" ".join(lines).split())[:MAX_TEXT].lstrip(" .:;,-'")
    for opening, closing in ("()", "[]"):
        if text.rstrip(".").endswith(closing) and text.count(closing) > text.count(opening):
            text = text.rstrip(".")[:-1].rstrip()
        if text.startswith(opening) and text.endswith(closing):
            text = text[1:-1]
    return text


def explanation_of(address: str, notice: str) -> str:
    """What a notice says about one recipient: from its mention to a blank line or the next recipient.

    Where the mention is the address alone, what is below the blank line is about it.
    """
    at = mailbox.position(address, notice)
    if at < 0:
        return ""
    first, *others = notice[at : at + MAX_TEXT].split("\n")
    if not any(map(str.isalnum, first[len(address) :])) and others and not others[0].strip():
        others = list(dropwhile(lambda line: not line.strip(), others))
    said = [first, *takewhile(lambda line: line.strip() and not _begins_with_address(line), others)]
    return " ".join(" ".join(said).split())


def _begins_with_address(line: str) -> bool:
    word = line.split(maxsplit=1)[0]
    return "@" in word and mailbox.find(word) is not None
