"""What `bounced doctor` looks at, a module a subject. Each yields findings, and changes nothing."""

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"  # works, but not as it should, or not for long
    ERROR = "error"


class Finding(NamedTuple):
    """One thing that was looked at."""

    state: State
    about: str
    words: str
    advice: str = ""  # what to do, when all is not well


def ok(about: str, words: str) -> Finding:
    """Return that it is well."""
    return Finding(State.OK, about, words)


def warning(about: str, words: str, advice: str) -> Finding:
    """Return that it is not as it should be."""
    return Finding(State.WARNING, about, words, advice)


def error(about: str, words: str, advice: str) -> Finding:
    """Return that it does not work."""
    return Finding(State.ERROR, about, words, advice)
