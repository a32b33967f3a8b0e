"""What a bounce does to an address: decided here, once; the store only applies it.

The state of an address is known to nobody but the store, so a decision is a row: the effect for each state
in which the address may be found. `EFFECTS` holds the rows, `store/lua/record.lua` looks one up and applies
it, and `apply` here does the same to a `Record` in memory: it is the reference that the script is tested
against. No clock: `now` is an argument. Times are whole Unix seconds.
"""

import calendar
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bounced.core.model import Category, Severity

SEEN_LIMIT = 12  # message identities that a record remembers


class What(StrEnum):
    """What happened to an address."""

    HARD = "hard"
    SOFT = "soft"
    RECORD = "record"  # a bounce that the operator wants noted, never counted
    DELIVERED = "delivered"
    RELEASE = "release"  # an operator lifts the suppression
    SUPPRESS = "suppress"  # an operator sets one


class State(StrEnum):
    """In which state an address may be found."""

    ACTIVE = "active"
    BRINK = "brink"  # one soft bounce short of the limit
    HARD = "hard"  # to be left alone


class Result(StrEnum):
    """What became of a change."""

    NEW = "new"  # applied
    UPGRADED = "upgraded"  # applied: the message had been counted as something milder
    DUPLICATE = "duplicate"  # the message has been counted: nothing changed
    STALE = "stale"  # older than what is known: nothing changed
    UNCHANGED = "unchanged"  # nothing to do


@dataclass(frozen=True, slots=True)
class Period:
    """Calendar months or days."""

    months: int = 0
    days: int = 0

    @classmethod
    def parse(cls, text: str) -> "Period":
        """Read "6 months" or "180 days". Raises ValueError, saying what is wanted."""
        raise NotImplementedError

    def after(self, now: int) -> int:
        """Return the Unix time that lies this period after `now`, by the calendar of UTC."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's choices."""

    soft_limit: int = 5
    hard_expiry: Period = Period(months=6)
    severity: Mapping[Category, Severity] = field(default_factory=dict)  # overrides

    def severity_of(self, category: Category) -> Severity:
        """Return HARD, SOFT or RECORD."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to one address.

    `what` of a bounce follows its severity: What(severity). `message` is the identity of the message that
    came back; "" for what an operator or sender says by command, which is applied each time.
    """

    address: str  # canonical
    what: What
    message: str = ""
    at: int | None = None  # when it happened; None: now. Never later than now.
    category: Category | None = None
    status: str | None = None
    diagnostic: str | None = None
    remote_mta: str | None = None
    until: int | None = None  # SUPPRESS only: when it ends; None: after hard_expiry
    reason: str | None = None  # SUPPRESS only


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a change, and how the address stands after it."""

    result: Result
    before: State
    after: State
    soft: int  # soft bounces in a row
    hard_until: int | None  # None: not hard


@dataclass(frozen=True, slots=True)
class Record:
    """All that is known of an address: the typed view of its hash."""

    soft: int = 0
    hard_until: int | None = None  # may lie in the past, which means not hard
    reason: str | None = None  # why hard: a category, "soft-limit", or an operator's words
    category: str | None = None  # of the last bounce, as are the three below
    status: str | None = None
    diagnostic: str | None = None
    remote_mta: str | None = None
    first_at: int | None = None
    last_at: int | None = None
    soft_total: int = 0
    hard_total: int = 0
    seen: tuple[str, ...] = ()  # the last messages: digest and a letter for how it was counted
    expires_at: int | None = None  # when the record is forgotten
