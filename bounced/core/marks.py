"""The marks by which a person, too, knows a report: sentences and lines, as data (`notices.toml`).

A mark has a role. `failed`, `delayed`, `delivered`, `autoreply` and `feedback` are sentences that say what a mail is about;
`copy` is the line after which the returned message is copied; `recipient` is a line that names a recipient
that the report is about, with the address as its group; `bystander` is a line that names somebody else.
A new server is a new entry with its own example, not code.

All patterns are RE2: linear in the text, whatever the text.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import re2

from bounced.core import mailbox
from bounced.core.text import fold

SENTENCES = ("failed", "delayed", "delivered", "autoreply", "feedback")
ROLES = (*SENTENCES, "copy", "recipient", "bystander")
MAX_NOTICE = 65_536  # characters of a notice that are read
MAX_LINE = 1_000  # characters of one line
MAX_LINES = 2_000

# The returned message, when nothing announces it: its trace header, RFC 5321 section 4.4, at the left margin.
_TRACE = re2.compile(
    r"(?m)^(?:Return-Path|Received|DKIM-Signature|X-Received|X-Google-Smtp-Source|Delivered-To|X-Envelope-From"
    r"|X-Originating-IP|ARC-Seal|Message-ID|X-Apparently-To): ?.*\n(?:[ \t]+.*\n|[A-Za-z][A-Za-z0-9-]*:.*\n)"
)


class MarksError(ValueError):
    """A mark in the data is wrong; the message names it."""


@dataclass(frozen=True, slots=True)
class Mark:
    id: str
    role: str
    pattern: str
    examples: tuple[str, ...]


class Marks:
    """All marks, compiled: one pass over a text for its sentences, one over a line for its roles."""

    def __init__(self, marks: Iterable[Mark]) -> None:
        self.marks = tuple(marks)
        self._sentences = _Set([m for m in self.marks if m.role in SENTENCES])
        self._copies = _Set([m for m in self.marks if m.role == "copy"])
        self._lines = _Set([m for m in self.marks if m.role in ("recipient", "bystander")])
        self._recipients = {m.id: _compile(m) for m in self.marks if m.role == "recipient"}

    def says(self, text: str) -> frozenset[str]:
        """The roles of the sentences in `text`."""
        return frozenset(mark.role for mark in self._sentences.match(fold(text[:MAX_NOTICE])))

    def sentences(self, text: str) -> list[Mark]:
        return self._sentences.match(fold(text[:MAX_NOTICE]))

    def cut(self, text: str) -> tuple[str, str]:
        """Split a notice where a copy of the returned message begins: what is before, and the copy."""
        text = text[:MAX_NOTICE]
        if self._copies.match(fold(text)):
            at = 0
            for line in text.split("\n"):
                after = at + len(line) + 1
                if line and self._copies.match(fold(line[:MAX_LINE])):
                    return text[:at], text[after:]
                at = after
        trace = _TRACE.search(text)
        if trace:
            return text[: trace.start()], text[trace.start() :]
        return text, ""

    def named(self, line: str) -> str | None:
        """The recipient that this line names by a label or in a sentence; "" for a bystander; None for neither."""
        found = self._lines.match(fold(line[:MAX_LINE]))
        for mark in found:
            if mark.role == "bystander":
                return ""
        for mark in found:
            match = self._recipients[mark.id].search(fold(line[:MAX_LINE]))
            address = mailbox.find(match[1]) if match else None
            if address:
                # The line as written, where the pattern saw it without accents.
                return next((one for one in mailbox.find_all(line) if fold(one) == address), address)
        return None


class _Set:
    """Patterns of several marks, matched in one pass."""

    def __init__(self, marks: list[Mark]) -> None:
        self._marks = marks
        options = re2.Options()
        options.case_sensitive = False
        options.log_errors = False
        options.max_mem = 64 << 20
        self._set = re2.Set.SearchSet(options)
        for mark in marks:
            self._set.Add(f"(?m){mark.pattern}")
        self._set.Compile()

    def match(self, text: str) -> list[Mark]:
        return [self._marks[index] for index in sorted(self._set.Match(text) or ())]


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


def _compile(mark: Mark) -> Any:
    try:
        return re2.compile(f"(?im){mark.pattern}")
    except re2.error as error:
        raise MarksError(f"mark {mark.id}: {error}") from error
