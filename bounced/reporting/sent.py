"""How many messages were sent: a number for the whole time, or lines of a file.

    2026-11-22,120000                   day, messages
    2026-11-22,example.org,1200         day, recipient domain, messages

Commas, semicolons, tabs or blanks part them. Lines whose last word is no number, such as a header, are left out.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from bounced.core.address import canonical

_PARTS = re.compile(r"[,;\s]+")


@dataclass(slots=True)
class Sent:
    """Messages sent."""

    total: int = 0
    days: Counter[date] = field(default_factory=Counter)
    domains: Counter[str] = field(default_factory=Counter)


def read(words: Iterable[str], first: date, last: date) -> Sent:
    """Add up numbers and files of these days. Raises ValueError, saying what is wrong, and OSError."""
    sent = Sent()
    for word in words:
        if word.replace("_", "").isdigit():
            sent.total += int(word)
        else:
            _read_file(Path(word), sent, first, last)
    return sent


def _read_file(file: Path, sent: Sent, first: date, last: date) -> None:
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            parts = [part for part in _PARTS.split(line.strip()) if part]
            if not parts or not parts[-1].isdigit():
                continue
            try:
                day = date.fromisoformat(parts[0])
            except ValueError:
                raise ValueError(f"{file}:{number}: expected a day first, such as 2026-11-22") from None
            if len(parts) not in (2, 3):
                raise ValueError(f"{file}:{number}: expected day and number, or day, domain and number")
            if not first <= day <= last:
                continue
            messages = int(parts[-1])
            sent.total += messages
            sent.days[day] += messages
            if len(parts) == 3 and (address := canonical(f"x@{parts[1]}")) is not None:
                sent.domains[address.partition("@")[2]] += messages
