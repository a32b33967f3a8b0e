"""What happened to an address, event by event, and how it would stand had some of it not happened.

An event tells how the address stood before it and after it. So what a wrong rule or an outage did can be taken out
again: begin with how the address stood before the first event that is to go, and let all others happen by the
policy. What was known before comes back, later evidence stays, and nothing is guessed: `without` says None when
the events do not explain how the address stands. No clock, no I/O. Times are whole Unix seconds.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from bounced.core.model import Category
from bounced.core.policy import LETTERS, Change, Policy, Record, What, apply, decide

_CATEGORIES = frozenset(category.value for category in Category)
_WHATS = frozenset(what.value for what in What)

UNDO = "undo"  # what an event says of the undoing of others


class Event(Struct, frozen=True):
    """One change of one address, as the stream tells it. Text may be "": not known, or there is none."""

    address: str  # as it stands in the keys
    what: str  # of policy.What, or UNDO
    state: str
    soft: int
    hard_until: int | None  # None: not hard
    at: int  # when it happened
    soft_before: int | None = None  # None: it is not known how the address stood before
    hard_until_before: int | None = None
    reason_before: str = ""
    reason: str = ""  # why hard, if this made it so
    category: str = ""
    status: str = ""
    rule: str = ""
    diagnostic: str = ""
    remote_mta: str = ""
    reporting_mta: str = ""
    message: str = ""  # digest of its identity
    identity: str = ""
    undoes: tuple[str, ...] = ()  # ids of events
    id: str = ""  # in the stream, which orders them
    recorded: int = 0

    @property
    def suppressed(self) -> bool:
        """Whether the address was to be left alone after this and not before."""
        return self.hard_until is not None and self.hard_until_before is None

    @property
    def released(self) -> bool:
        """Whether the address was to be left alone before this and not after."""
        return self.hard_until is None and self.hard_until_before is not None


@dataclass(frozen=True, slots=True)
class Standing:
    """How an address stands, as far as events change it."""

    soft: int
    hard_until: int | None
    reason: str
    letters: tuple[tuple[str, str], ...] = ()  # how the messages in the events count: digest, letter


def without(
    events: Sequence[Event], gone: Collection[str], record: Record, policy: Policy, now: int
) -> Standing | None:
    """Return how the address would stand if the events with the ids in `gone` had not happened.

    `events` are all that are known of the address, in order, at least one of them gone; `record` is how it stands.
    None: they do not explain that, as something has happened that they do not tell. A record that stands without
    them already is fine.
    """
    first = next(i for i, event in enumerate(events) if event.id in gone)
    stood = _before(events, first)
    if stood is None:
        return None
    known, earlier = stood, events[first - 1] if first else None
    for event in events[first:]:
        if event.soft_before is not None and earlier is not None:
            if event.hard_until_before != _still(earlier.hard_until, event.recorded):
                return None
            if event.soft_before > earlier.soft:
                return None
            if event.soft_before < earlier.soft:  # a sender broke the row, which no event tells
                known = replace(known, soft=0)
        if event.id not in gone and event.what != UNDO:
            if event.what not in _WHATS:  # of a later version
                return None
            known = _happens(known, event, policy)
        earlier = event
    last = events[-1]
    stands, told = _still(record.hard_until, now), _still(last.hard_until, now)
    standing = Standing(
        soft=known.soft if record.soft >= last.soft else min(known.soft, record.soft),
        hard_until=_still(known.hard_until, now),
        reason=(known.reason or "") if _still(known.hard_until, now) else "",
        letters=_letters([event for event in events if event.id in gone], known),
    )
    if (stands, record.soft) == (standing.hard_until, standing.soft):
        return standing
    return standing if stands == told and record.soft in (0, last.soft) else None


def _before(events: Sequence[Event], first: int) -> Record | None:
    """How the address stood before an event: it says so itself, or else the one before it."""
    event = events[first]
    if event.soft_before is not None:
        return Record(
            soft=event.soft_before, hard_until=event.hard_until_before, reason=event.reason_before or None
        )
    if first == 0:
        return None
    earlier = events[first - 1]
    return Record(soft=earlier.soft, hard_until=earlier.hard_until, reason=earlier.reason or None)


def _happens(record: Record, event: Event, policy: Policy) -> Record:
    """Let an event happen by the policy, as of when it was recorded."""
    moved = event.hard_until is not None and event.hard_until != event.hard_until_before
    change = Change(
        event.address,
        What(event.what),
        at=event.at,
        category=Category(event.category) if event.category in _CATEGORIES else None,
        until=event.hard_until if moved else None,
        reason=event.reason or None,
    )
    decision = replace(decide(change, policy, event.recorded), digest=event.message)
    after, _ = apply(record, decision)
    return after or record


def _letters(gone: Sequence[Event], known: Record) -> tuple[tuple[str, str], ...]:
    """How each message counts whose events are gone: as what is left says, else it is only recorded."""
    counted = {entry[:-1]: entry[-1] for entry in known.seen}
    recorded = LETTERS[What.RECORD]
    return tuple({event.message: counted.get(event.message, recorded) for event in gone}.items())


def _still(until: int | None, now: int) -> int | None:
    return until if until is not None and until > now else None
