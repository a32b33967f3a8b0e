"""What a bounce does to an address: decided here, once; the store only applies it.

The state of an address is known to nobody but the store, so a decision is a row: the effect for each state
in which the address may be found. `EFFECTS` holds the rows, `decide` completes one with all else that the
store needs, `store/lua/record.lua` looks the state up and applies the effect. `apply` here does the same to
a `Record` in memory: it is the reference that the script is tested against. No clock: `now` is an argument.
Times are whole Unix seconds.
"""

import base64
import calendar
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from bounced.core.model import Category, Severity

SEEN_LIMIT = 12  # message identities that a record remembers
SOFT_LIMIT_REASON = "soft-limit"
SKEW = 300  # seconds by which the clocks of two reporting servers may differ


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


class Effect(StrEnum):
    """What is done to the record."""

    NOTHING = "nothing"
    NOTE = "note"  # the bounce is remembered, not counted
    COUNT = "count"  # one more soft bounce in a row
    SUPPRESS = "suppress"  # hard until the later of what stands and what is new
    BREAK = "break"  # the row of soft bounces starts again
    LIFT = "lift"  # neither hard nor soft any more


EFFECTS: Mapping[What, Mapping[State, Effect]] = {
    What.HARD: {State.ACTIVE: Effect.SUPPRESS, State.BRINK: Effect.SUPPRESS, State.HARD: Effect.SUPPRESS},
    What.SOFT: {State.ACTIVE: Effect.COUNT, State.BRINK: Effect.SUPPRESS, State.HARD: Effect.NOTE},
    What.RECORD: {State.ACTIVE: Effect.NOTE, State.BRINK: Effect.NOTE, State.HARD: Effect.NOTE},
    What.DELIVERED: {State.ACTIVE: Effect.BREAK, State.BRINK: Effect.BREAK, State.HARD: Effect.NOTHING},
    What.RELEASE: {State.ACTIVE: Effect.LIFT, State.BRINK: Effect.LIFT, State.HARD: Effect.LIFT},
    What.SUPPRESS: {State.ACTIVE: Effect.SUPPRESS, State.BRINK: Effect.SUPPRESS, State.HARD: Effect.SUPPRESS},
}

# The letter by which a record remembers how it counted a message. A later letter upgrades an earlier one;
# a delivered message is remembered apart from a bounced one (see `_digest`), so "d" meets only "d".
LETTERS = {What.DELIVERED: "d", What.RECORD: "r", What.SOFT: "s", What.HARD: "h"}
_RANKS = {"d": 0, "r": 1, "s": 2, "h": 3}


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
        """Read "6 months" or "180 days", at most a century. Raises ValueError, saying what is wanted."""
        match = re.fullmatch(r"\s*([0-9]{1,5})\s*(month|day)s?\s*", text)
        if match:
            number, unit = int(match[1]), match[2]
            if unit == "month" and 1 <= number <= 1200:
                return cls(months=number)
            if unit == "day" and 1 <= number <= 36500:
                return cls(days=number)
        raise ValueError(f'"{text}" is not a period: write "6 months" or "180 days"')

    @lru_cache(16)  # noqa: B019 - of a few periods, each asked for many times in a second
    def after(self, now: int) -> int:
        """Return the Unix time that lies this period after `now`, by the calendar of UTC.

        The day is clipped to the last of the month: six months after 31 August is the last of February.
        """
        start = datetime.fromtimestamp(now, UTC)
        years, month = divmod(start.month - 1 + self.months, 12)
        year = start.year + years
        day = min(start.day, calendar.monthrange(year, month + 1)[1])
        end = start.replace(year=year, month=month + 1, day=day) + timedelta(days=self.days)
        return int(end.timestamp())


# The address itself is wrong; in every other case somebody may put right what failed.
_HARD_CATEGORIES = frozenset({Category.INVALID_MAILBOX, Category.INVALID_DOMAIN})


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's choices."""

    soft_limit: int = 5
    hard_expiry: Period = Period(months=6)
    severity: Mapping[Category, Severity] = field(default_factory=dict)  # overrides

    def severity_of(self, category: Category) -> Severity:
        """Return HARD, SOFT or RECORD: the operator's choice, else our own."""
        if category in self.severity:
            return self.severity[category]
        return Severity.HARD if category in _HARD_CATEGORIES else Severity.SOFT


class Change(Struct, frozen=True):
    """One thing that happened to one address.

    `what` of a bounce follows its severity: What(severity). `message` is the identity of the message that
    came back; "" for what an operator or sender says by command, which is applied each time.
    """

    address: str  # canonical
    what: What
    message: str = ""
    at: int | None = None  # when it happened; None: now, which it cannot be later than
    category: Category | None = None
    status: str | None = None
    diagnostic: str | None = None
    remote_mta: str | None = None
    reporting_mta: str | None = None
    rule: str | None = None  # by which the category was decided
    until: int | None = None  # HARD and SUPPRESS: when it ends; None: after hard_expiry
    reason: str | None = None  # SUPPRESS only


class Outcome(Struct, frozen=True):
    """What became of a change, and how the address stands after it."""

    result: Result
    before: State
    after: State
    soft: int  # soft bounces in a row
    hard_until: int | None  # None: not hard


class Record(Struct, frozen=True):
    """All that is known of an address: the typed view of its hash."""

    soft: int = 0
    hard_until: int | None = None  # may lie in the past, which means not hard
    reason: str | None = None  # why hard: a category, "soft-limit", or an operator's words
    category: str | None = None  # of the last bounce, as are the four below
    status: str | None = None
    diagnostic: str | None = None
    remote_mta: str | None = None
    rule: str | None = None  # by which the category was decided
    first_at: int | None = None
    last_at: int | None = None
    soft_total: int = 0
    hard_total: int = 0
    seen: tuple[str, ...] = ()  # the last messages: digest and a letter for how it was counted
    expires_at: int | None = None  # when the record is forgotten


class Decision(Struct, frozen=True):
    """A change, judged: all that the store needs to apply it without knowing why."""

    effects: Mapping[State, Effect]
    now: int
    soft_limit: int
    digest: str  # of the message's identity; "": applied each time
    letter: str  # how the message is counted; "" when it is no bounce or delivery
    at: int
    until: int  # when a suppression ends that starts now
    keep_until: int  # when a record that says nothing more is forgotten
    reason: str
    category: str
    status: str
    diagnostic: str
    remote_mta: str
    rule: str
    # What only the event tells:
    reporting_mta: str
    identity: str  # of the message, cut


def decide(change: Change, policy: Policy, now: int) -> Decision:
    """Return what is to be done about a change that is recorded at `now`."""
    what, end, reason = change.what, policy.hard_expiry.after(now), change.reason
    if what is What.HARD:
        reason = change.category
    elif what is What.SOFT:
        reason = SOFT_LIMIT_REASON
    return Decision(
        effects=EFFECTS[what],
        now=now,
        soft_limit=policy.soft_limit,
        digest=_digest(change),
        letter=LETTERS.get(what, ""),
        at=now if change.at is None else min(change.at, now),
        # From now, not from `at`: clocks of strangers are wrong, and a report with a date of 1970 counts too.
        until=end if change.until is None else change.until,
        keep_until=end,
        reason=_text(reason, 200),
        category=_text(change.category, 40),
        status=_text(change.status, 20),
        diagnostic=_text(change.diagnostic, 500),
        remote_mta=_text(change.remote_mta, 255),
        rule=_text(change.rule, 80),
        reporting_mta=_text(change.reporting_mta, 255),
        identity=_text(change.message, 200),
    )


def apply(record: Record | None, decision: Decision) -> tuple[Record | None, Outcome]:
    """Return the record after the decision, and what became of it. None: nothing is known."""
    known = record or Record()
    before = _state(known, decision)
    effect = decision.effects[before]
    earlier = next((entry[-1] for entry in known.seen if entry[:-1] == decision.digest), None)

    result = Result.NEW if earlier is None else Result.UPGRADED
    if earlier is not None and _RANKS[earlier] >= _RANKS[decision.letter]:
        result = Result.DUPLICATE
    elif effect is Effect.NOTHING or (record is None and effect in {Effect.BREAK, Effect.LIFT}):
        result = Result.UNCHANGED
    elif effect is Effect.BREAK and known.last_at is not None and _latest(decision) < known.last_at:
        result = Result.STALE
    if result not in {Result.NEW, Result.UPGRADED}:
        return record, _outcome(result, before, known, decision)

    after = _EFFECTS[effect](known, decision)
    if decision.letter in {"r", "s", "h"}:
        after = _noted(after, decision, upgraded_from=earlier)
    if decision.digest:
        others = tuple(entry for entry in known.seen if entry[:-1] != decision.digest)
        after = replace(after, seen=(*others, decision.digest + decision.letter)[-SEEN_LIMIT:])
    return after, _outcome(result, before, after, decision)


def _latest(decision: Decision) -> int:
    """When a delivery may have been, at the latest: a log has one clock, each report that of its server."""
    return decision.at + SKEW if decision.digest else decision.at


def _state(record: Record, decision: Decision) -> State:
    if record.hard_until is not None and record.hard_until > decision.now:
        return State.HARD
    return State.BRINK if record.soft + 1 >= decision.soft_limit else State.ACTIVE


def _outcome(result: Result, before: State, record: Record, decision: Decision) -> Outcome:
    after = _state(record, decision)
    return Outcome(result, before, after, record.soft, record.hard_until if after is State.HARD else None)


def _kept(record: Record, decision: Decision) -> Record:
    """Keep the record until it means nothing any more."""
    return replace(
        record, expires_at=max(record.expires_at or 0, record.hard_until or 0, decision.keep_until)
    )


def _count(record: Record, decision: Decision) -> Record:
    return _kept(replace(record, soft=record.soft + 1), decision)


def _suppress(record: Record, decision: Decision) -> Record:
    if decision.until > (record.hard_until or 0):
        record = replace(record, hard_until=decision.until, reason=decision.reason or None)
    return _kept(replace(record, soft=0), decision)


def _break(record: Record, _: Decision) -> Record:
    return replace(record, soft=0)


def _lift(record: Record, decision: Decision) -> Record:
    return replace(record, soft=0, hard_until=None, reason=None, expires_at=decision.keep_until)


_EFFECTS = {
    Effect.NOTE: _kept,
    Effect.COUNT: _count,
    Effect.SUPPRESS: _suppress,
    Effect.BREAK: _break,
    Effect.LIFT: _lift,
}


def _noted(record: Record, decision: Decision, upgraded_from: str | None) -> Record:
    """Remember a bounce: the totals, its time, and what was said unless something newer is known."""
    at = decision.at
    record = replace(
        record,
        first_at=at if record.first_at is None else min(record.first_at, at),
        soft_total=record.soft_total + (decision.letter == "s") - (upgraded_from == "s"),
        hard_total=record.hard_total + (decision.letter == "h"),
    )
    if record.last_at is not None and at < record.last_at:
        return record
    return replace(
        record,
        last_at=at,
        category=decision.category or None,
        status=decision.status or None,
        diagnostic=decision.diagnostic or None,
        remote_mta=decision.remote_mta or None,
        rule=decision.rule or None,
    )


def _digest(change: Change) -> str:
    """Return 11 characters of base64url: 66 bits, for a dozen messages of one address."""
    if not change.message:
        return ""
    family = "delivered:" if change.what is What.DELIVERED else ""
    octets = (family + change.message).encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(hashlib.sha256(octets).digest())[:11].decode("ascii")


def _text(value: str | None, limit: int) -> str:
    """Cut what a stranger wrote, and make it encodable."""
    if not value:
        return ""
    text = value[:limit]
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
