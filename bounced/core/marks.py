"""The marks by which a person, too, knows a report: sentences and lines, as data (`notices.toml`).

A mark has a role, which is one of

- `failed`, `delayed`, `delivered`, `autoreply`, `feedback`: a sentence that says what a mail is about; `reason`
  says why delivery failed, `final` that nobody tries any longer, `warning` that nothing is final;
- `server`: the From field of a server; `unrelated`: a subject of mail that reports on none of ours;
- `incoming`: a sentence about mail that the addressee should have got, as quarantines and phishers write;
- `copy`: the line after which the returned message is copied; `closing`: one below which a letter is signed;
- `footer`: a sentence of a paragraph in which a gateway advertises itself, and which is about no message;
- `recipient`: a sentence that names a recipient that the report is about, with the address as its group;
  `label`: a line that does so and says nothing else; `bystander`: a line that names somebody else.

A new server is a new entry with its own example, not code.

All patterns are RE2: linear in the text, whatever the text.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import re2
from msgspec import Struct

from bounced.core import mailbox
from bounced.core.patterns import Patterns, compiled
from bounced.core.text import fold

SENTENCES = (
    "failed", "reason", "final", "delayed", "warning", "delivered", "autoreply", "feedback", "server",
    "unrelated", "incoming",
)  # fmt: skip
# What became of a message.
ABOUT_DELIVERY = frozenset(("failed", "final", "reason", "delayed", "warning", "delivered"))
# In the order in which they are asked: a bystander is nobody's recipient, a sentence says more than a mere label.
NAMES = ("bystander", "recipient", "label")
ROLES = (*SENTENCES, "copy", "closing", "footer", *NAMES)
MAX_NOTICE = 65_536  # characters of a notice that are read
MAX_LINE = 1_000  # characters of one line
MAX_LINES = 2_000

# The returned message, when nothing announces it: its trace header, RFC 5321 section 4.4, at the left margin.
_TRACE = re.compile(
    r"(?m)^(?:Return-Path|Received|DKIM-Signature|X-Received|X-Google-Smtp-Source|Delivered-To|X-Envelope-From"
    r"|X-Originating-IP|ARC-Seal|Message-ID|X-Apparently-To): ?.*+\n(?:[ \t]++.*+\n|[A-Za-z][A-Za-z0-9-]*+:.*+\n)"
)
_FIELD = re.compile(r"\s*\S{1,40} ?:")
# Where a sentence goes on in the next line. The lookbehind stands behind what the engine can skip to.
_WRAPPED = re.compile(r"\n(?<=[a-z\u0430-\u044f,]\n)[ \t]*+(?=[a-z\u0430-\u044f])")
# A gateway that has looked for something and found it speaks of this message.
_FOUND = compiled(
    r"infected|(?:was|were|been) (?:found|detected|rejected|refused|blocked|quarantined)|contain(?:s|ed) "
    r"|not (?:been )?(?:delivered|accepted)|@"
)


class MarksError(ValueError):
    """A mark in the data is wrong; the message names it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One entry of the data."""

    id: str
    role: str
    pattern: str
    examples: tuple[str, ...]


class Named(Struct, frozen=True):
    """A recipient that a line names, "" for a bystander; whether by a mere label, and what follows."""

    address: str
    is_label: bool = False
    rest: str = ""


class Marks:
    """All marks, compiled: one pass over a text for its sentences, one over a line for its roles."""

    def __init__(self, marks: Iterable[Mark]) -> None:
        self.marks = tuple(marks)
        sentences = [m for m in self.marks if m.role in SENTENCES]
        names = [m for role in NAMES for m in self.marks if m.role == role]
        self._sentences = _patterns(sentences)
        self._copies = _patterns(m for m in self.marks if m.role == "copy")
        self._closings = _patterns(m for m in self.marks if m.role == "closing")
        self._footers = _patterns(m for m in self.marks if m.role == "footer")
        self._lines = _patterns(names)
        self._roles = [m.role for m in sentences]
        self._names = [(m.role, _compile(m)) for m in names]

    def says(self, text: str) -> frozenset[str]:
        """The roles of the sentences in `text`."""
        text = fold(text[:MAX_NOTICE])
        if "\n" in text:
            text = _WRAPPED.sub(" ", text.replace(" \n", "\n"))
        return frozenset([self._roles[n] for n in self._sentences.found_in(text)])

    def cut(self, text: str) -> tuple[str, str]:
        """Split a notice where a copy of the returned message begins: what is before, and the copy."""
        text = text[:MAX_NOTICE]
        for at, after in _lines_found(self._copies, text):
            if text[:at].strip() or _FIELD.match(text, after):  # else it is a heading
                return text[:at], text[after:]
        trace = _TRACE.search(text)
        if trace:
            return text[: trace.start()], text[trace.start() :]
        return text, ""

    def closings(self, text: str) -> Iterator[int]:
        """Where each line begins that closes a letter; what is below is a signature, or another letter."""
        return (at for at, _ in _lines_found(self._closings, text[:MAX_NOTICE]))

    def without_footers(self, text: str) -> str:
        """The notice without the paragraphs that gateways put under every mail that they let through."""
        if not self._footers.found_in(fold(text)):
            return text
        kept = (
            paragraph
            for paragraph in text.split("\n\n")
            if not self._footers.found_in(fold(" ".join(paragraph.split())))
            or _FOUND.search(paragraph.encode())
        )
        return "\n\n".join(kept)

    def named(self, line: str) -> "Named | None":
        """Whom this line names, by a label or in a sentence; None when it names nobody."""
        line = line[:MAX_LINE]
        folded = fold(line)
        for number in sorted(self._lines.found_in(folded)):
            role, pattern = self._names[number]
            if role == "bystander":
                return Named("")
            match = pattern.search(folded.encode())
            address = mailbox.find(match[1].decode()) if match else None
            if address:
                # As written, where the pattern saw it without accents; and all of it, where it saw a part.
                whole = [one for one in mailbox.find_all(line) if address in fold(one)]
                address = next((one for one in whole if fold(one) == address), whole[0] if whole else address)
                return Named(address, role == "label", line.partition(address)[2].strip(" >\"']"))
        return None


def load(text: str) -> Marks:
    """Compile the marks of one TOML text. Raises MarksError naming the mark that is wrong."""
    entries: list[dict[str, Any]] = tomllib.loads(text)["mark"]
    marks: list[Mark] = []
    for entry in entries:
        name = entry.get("id", "(no id)")
        if entry.get("role") not in ROLES:
            raise MarksError(f"mark {name}: role must be one of {', '.join(ROLES)}")
        mark = Mark(name, entry["role"], fold(entry["pattern"].strip()), tuple(entry["examples"]))
        _compile(mark)
        marks.append(mark)
    return Marks(marks)


def _patterns(marks: Iterable[Mark]) -> Patterns:
    return Patterns(f"(?m){mark.pattern}" for mark in marks)


def _lines_found(patterns: Patterns, text: str) -> Iterator[tuple[int, int]]:
    """Where each line begins that one of the patterns is found in, and where the line after it does."""
    if patterns.found_in(fold(text)):
        at = 0
        for line in text.split("\n"):
            after = at + len(line) + 1
            if line and patterns.found_in(fold(line[:MAX_LINE])):
                yield at, after
            at = after


def _compile(mark: Mark) -> "re2._Regexp[bytes]":
    try:
        return compiled(f"(?m){mark.pattern}", captures=True)
    except re2.error as error:
        raise MarksError(f"mark {mark.id}: {error}") from error
