"""Many RE2 patterns over one text, in time linear in the text, whatever the text and the patterns.

The literals that a pattern cannot do without are looked for first, all of them in one pass; only patterns whose
literals are there are tried. Both a text of a kind that was never seen and one that was seen often are cheap: one
automaton of all patterns at once would be built anew for each new wording, which takes a hundred times as long.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import re2

# Texts whose answer is remembered, and up to which length: servers repeat themselves, once names are masked.
REMEMBERED = 1024
LENGTH = 1024  # characters
# What one pattern may keep of the texts that it has met. There are hundreds of patterns, and strangers write the
# texts: by default each could keep eight times as much.
MEMORY = 1 << 20  # octets


class Patterns:
    """Compiled patterns, numbered in the order given; letters match in either case."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raise re2.error for a pattern that is none."""
        options = _options()
        self._filter = re2.Filter()
        for pattern in patterns:
            self._filter.Add(pattern, options)
        self._filter.Compile()
        self._remembered = lru_cache(REMEMBERED)(self._search)

    def found_in(self, text: str) -> Sequence[int]:
        """The numbers of the patterns that are somewhere in `text`."""
        return self._remembered(text) if len(text) <= LENGTH else self._search(text)

    def _search(self, text: str) -> Sequence[int]:
        return tuple(self._filter.Match(text) or ())


def compiled(pattern: str, *, captures: bool = False) -> "re2._Regexp[bytes]":
    """Return one pattern, which searches octets.

    Raises re2.error when it is none that RE2 can run: it has no look-around and no back-references.
    """
    # Octets, as in a str the wrapper counts every character.
    return re2.compile(pattern.encode(), _options(captures=captures))


def _options(*, captures: bool = False) -> Any:  # noqa: ANN401 - re2 has no type hints
    options = re2.Options()
    options.case_sensitive = False
    options.never_capture = not captures
    options.log_errors = False
    options.max_mem = MEMORY
    return options
