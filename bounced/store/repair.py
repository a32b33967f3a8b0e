"""Undo: let records stand as they would without some of their events, and tell of it.

As in commit.py the hash is changed first, all at once, then bounced:hard: is derived from it and the event is
written. Whoever dies in between is run again: what was undone is then written once more and changes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bounced.core.history import UNDO, Event, Standing, without
from bounced.core.policy import Policy, State
from bounced.store.archive import Archive
from bounced.store.faults import StoreUnavailable
from bounced.store.layout import SEEN_WIDTH, Keys, read_record
from bounced.store.node import DERIVE, RESTORE, SETTLE, Call, Command, Plain
from bounced.store.server import Server
from bounced.store.stream import entry

WRITE_SECONDS = 5.0
ATTEMPTS = 5  # while reports for the same address come in
WAIT = 0.05  # seconds between them


class Fate(StrEnum):
    """What an undo does to one address."""

    LIFTED = "lifted"  # it was to be left alone, and may be sent to again
    RESTS = "rests"  # it is still to be left alone, for what was known before or has come since
    LOWERED = "lowered"  # fewer soft bounces in a row
    SAME = "same"  # it would stand as it does
    UNEXPLAINED = "unexplained"  # its events do not explain how it stands: nothing was changed
    FORGOTTEN = "forgotten"  # there is no record any more
    BUSY = "busy"  # it was being changed all the time: nothing was changed


@dataclass(slots=True)
class Histories:
    """All events of some names of the keys, in order, up to the event `end` of the stream."""

    events: dict[str, list[Event]]
    end: str = "0"


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a record is to stand that has stood like this, and the event that tells of it."""

    told: Event
    old: tuple[str, str, str]  # the fields soft, hard_until and seen
    seen: str  # as it is to be
    totals: tuple[int, int]  # what to add to soft_total and hard_total

    @property
    def name(self) -> str:
        return self.told.address

    @property
    def until(self) -> str:
        return "" if self.told.hard_until is None else str(self.told.hard_until)

    @property
    def fate(self) -> Fate:
        told = self.told
        if told.hard_until_before is not None:
            return Fate.LIFTED if told.hard_until is None else Fate.RESTS
        return Fate.LOWERED if told.soft < (told.soft_before or 0) else Fate.SAME


class Repair:
    """Every method raises StoreUnavailable when the store does not confirm within five seconds."""

    def __init__(self, server: Server, keys: Keys, policy: Policy, archive: Archive) -> None:
        self._server = server
        self._keys = keys
        self._policy = policy
        self._archive = archive

    async def histories(self, names: Iterable[str], advance: Callable[[int], None]) -> Histories:
        """Return all events of these names; `advance` hears of each number of events that was read."""
        histories = Histories({name: [] for name in names})
        await self._read_on(histories, advance)
        return histories

    async def undo(
        self, histories: Histories, names: Sequence[str], wanted: Collection[str], *, dry_run: bool
    ) -> dict[str, Fate]:
        """Take the events with the ids in `wanted` out of what happened to these names; return each one's fate."""
        fates: dict[str, Fate] = {}
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(WAIT)
            plans = await self._plans(histories, names, wanted, fates)
            fates |= {plan.name: plan.fate for plan in plans}
            if not dry_run:
                fates |= dict.fromkeys(await self._carry_out(plans), Fate.BUSY)
            names = [name for name in names if fates[name] in (Fate.BUSY, Fate.UNEXPLAINED)]
            if not names:
                break
        return fates

    async def _read_on(self, histories: Histories, advance: Callable[[int], None] = lambda _: None) -> None:
        """Add to the histories what the stream has told since they were read."""
        async for page in self._archive.events(after=histories.end, names=histories.events):
            for event in page.events:
                histories.events[event.address].append(event)
            histories.end = page.end
            advance(page.read)

    async def _plans(
        self,
        histories: Histories,
        names: Sequence[str],
        wanted: Collection[str],
        fates: dict[str, Fate],
    ) -> list[_Plan]:
        """Work out how each is to stand; add to `fates` those for whom there is nothing to do."""
        deadline = _deadline()
        asked: list[Command] = [("HGETALL", self._keys.record_named(name)) for name in names]
        replies = await self._server.expect(asked, deadline)
        await self._read_on(histories)
        plans = []
        for name, fields in zip(names, replies, strict=True):
            events = histories.events[name]
            undone = {identifier for event in events for identifier in event.undoes}
            undoes = tuple(event.id for event in events if event.id in wanted and event.id not in undone)
            if not undoes:
                fates[name] = Fate.SAME
                continue
            if not fields:
                fates[name] = Fate.FORGOTTEN
                continue
            if not _untold(_field(fields, "seen")) <= {event.message for event in events}:
                fates[name] = Fate.UNEXPLAINED
                continue
            now = await self._server.now(self._keys.record_named(name), deadline)
            record = read_record(fields, 0)
            standing = without(events, undone.union(undoes), record, self._policy, now)
            if standing is None:
                fates[name] = Fate.UNEXPLAINED
                continue
            rested = record.hard_until is not None and record.hard_until > now
            told = Event(
                address=name,
                what=UNDO,
                state=_state(standing, self._policy).value,
                soft=standing.soft,
                hard_until=standing.hard_until,
                at=now,
                soft_before=record.soft,
                hard_until_before=record.hard_until if rested else None,
                reason_before=(record.reason or "") if rested else "",
                reason=standing.reason,
                undoes=undoes,
            )
            soft, hard_until, seen = (_field(fields, field) for field in ("soft", "hard_until", "seen"))
            letters = dict(standing.letters)
            plans.append(
                _Plan(
                    told,
                    (soft, hard_until, seen),
                    _relettered(seen, letters),
                    _totals(seen, letters),
                )
            )
        return plans

    async def _carry_out(self, plans: Sequence[_Plan]) -> list[str]:
        """Write it; return the names of records that have changed meanwhile."""
        deadline = _deadline()
        replies = await self._run([self._restore(plan, deadline) for plan in plans], deadline)
        changed = [plan.name for plan, reply in zip(plans, replies, strict=True) if reply[0] == b"changed"]
        done = [plan for plan in plans if plan.name not in changed]
        await self._derive([(plan.name, plan.until) for plan in done], deadline)
        await self._run([self._event(plan) for plan in done], deadline)
        await self._count(done, deadline)
        return changed

    def _restore(self, plan: _Plan, deadline: float) -> Call:
        told = plan.told
        arguments = (*plan.old, told.soft, plan.until, told.reason, plan.seen, *plan.totals)
        return Call(RESTORE, self._keys.record_named(plan.name), deadline, arguments)

    async def _derive(self, keys: Sequence[tuple[str, str]], deadline: float) -> None:
        """Write bounced:hard: from the hash, again where the hash has changed meanwhile."""
        while keys:
            await self._run(
                [Call(DERIVE, self._keys.hard_named(name), deadline, [until]) for name, until in keys],
                deadline,
            )
            settled = await self._run(
                [Call(SETTLE, self._keys.record_named(name), deadline, ["", until]) for name, until in keys],
                deadline,
            )
            keys = [
                (name, reply[1].decode())
                for (name, _), reply in zip(keys, settled, strict=True)
                if reply[0] == b"changed"
            ]

    def _event(self, plan: _Plan) -> Plain:
        return ("XADD", self._keys.events, "MAXLEN", "~", self._keys.events_kept, "*", *entry(plan.told))

    async def _count(self, plans: Sequence[_Plan], deadline: float) -> None:
        days = Counter(self._keys.stats(plan.told.at) for plan in plans if plan.fate is Fate.LIFTED)
        await self._run([("HINCRBY", key, "released", number) for key, number in days.items()], deadline)

    async def _run(self, commands: Sequence[Command], deadline: float) -> list[list[bytes]]:
        replies = await self._server.run(commands, deadline, durable=True)
        for reply in replies:
            if isinstance(reply, StoreUnavailable):
                raise reply
        return replies


def _state(standing: Standing, policy: Policy) -> State:
    if standing.hard_until is not None:
        return State.HARD
    return State.BRINK if standing.soft + 1 >= policy.soft_limit else State.ACTIVE


def _entries(seen: str) -> list[str]:
    """Return the entries of the field "seen": digest, letter and mark, each."""
    return [seen[i : i + SEEN_WIDTH] for i in range(0, len(seen), SEEN_WIDTH)]


def _untold(seen: str) -> set[str]:
    """Return the digests of messages of which the record knows, and no event may tell yet."""
    return {known[:-2] for known in _entries(seen) if known.endswith("?")}


def _relettered(seen: str, letters: Mapping[str, str]) -> str:
    """Return the field "seen" with how messages count from now on."""
    return "".join(known[:-2] + letters.get(known[:-2], known[-2]) + known[-1] for known in _entries(seen))


def _totals(seen: str, letters: Mapping[str, str]) -> tuple[int, int]:
    """Return what to add to soft_total and hard_total; it counts each message once, so doing it again adds nothing."""
    counted: Counter[str] = Counter()
    for known in _entries(seen):
        digest, letter = known[:-2], known[-2]
        if digest in letters:
            counted[letter] -= 1
            counted[letters[digest]] += 1
    return counted["s"], counted["h"]


def _field(fields: Mapping[bytes, bytes], name: str) -> str:
    return fields.get(name.encode(), b"").decode("utf-8", "surrogateescape")


def _deadline() -> float:
    return asyncio.get_running_loop().time() + WRITE_SECONDS
