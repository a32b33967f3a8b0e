"""Undo: let records stand as they would without some of their events, and tell of it.

As in commit.py the hash is changed first, all at once, then bounced:hard: is derived from it and the event is
written. Whoever dies in between is run again: what was undone is then written once more and changes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bounced.core.history import UNDO, Event, Standing, without
from bounced.core.policy import Policy, State
from bounced.store.archive import Archive
from bounced.store.faults import StoreUnavailable
from bounced.store.layout import EVENTS_KEPT, Keys
from bounced.store.node import DERIVE, RESTORE, SETTLE, Call, Command
from bounced.store.server import Server
from bounced.store.stream import undo_entry

WRITE_SECONDS = 5.0
WIDTH = 13  # of an entry of "seen": digest, letter, mark
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


@dataclass(frozen=True, slots=True)
class _Plan:
    name: str
    fate: Fate
    old: tuple[str, str, str] = ("", "", "")  # soft, hard_until, seen
    new: Standing | None = None
    seen: str = ""
    totals: tuple[int, int] = (0, 0)
    told: Event | None = None

    @property
    def writes(self) -> bool:
        return self.told is not None


class Repair:
    """Every method raises StoreUnavailable when the store does not confirm within five seconds."""

    def __init__(self, server: Server, keys: Keys, policy: Policy, archive: Archive) -> None:
        self._server = server
        self._keys = keys
        self._policy = policy
        self._archive = archive

    async def undo(
        self, histories: Mapping[str, list[Event]], wanted: Collection[str], *, dry_run: bool
    ) -> dict[str, Fate]:
        """Take the events with the ids in `wanted` out of these addresses' histories; return each one's fate.

        `histories` holds all events of each name, in order; what has come meanwhile is added to them.
        """
        fates: dict[str, Fate] = {}
        todo = list(histories)
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(WAIT)
            await self._read_on(histories, todo)
            plans = await self._plans(histories, todo, wanted)
            busy = [plan.name for plan in plans if plan.fate is Fate.BUSY]
            if not dry_run:
                busy += await self._carry_out([plan for plan in plans if plan.writes])
            fates |= {plan.name: plan.fate for plan in plans} | dict.fromkeys(busy, Fate.BUSY)
            todo = busy
            if not todo:
                break
        return fates

    async def _read_on(self, histories: Mapping[str, list[Event]], names: Collection[str]) -> None:
        """Add to the histories what the stream has told since they were read."""
        wanted = set(names)
        last = max((_order(histories[name][-1].id) for name in names), default=None)
        if last is None:
            return
        async for page in self._archive.events(after=f"{last[0]}-{last[1]}"):
            for event in page:
                if event.address in wanted:
                    histories[event.address].append(event)

    async def _plans(
        self, histories: Mapping[str, list[Event]], names: Sequence[str], wanted: Collection[str]
    ) -> list[_Plan]:
        deadline = _deadline()
        fields = ("soft", "hard_until", "seen", "reason")
        asked = [("HMGET", self._keys.record_named(name), *fields) for name in names]
        replies = await self._server.expect(asked, deadline)
        records = await self._archive.records(names)
        plans = []
        for name, reply, record in zip(names, replies, records, strict=True):
            soft, hard_until, seen, reason = (_text(value) for value in reply)
            events = histories[name]
            if record is None:
                plans.append(_Plan(name, Fate.FORGOTTEN))
                continue
            if "?" in seen[WIDTH - 1 :: WIDTH]:
                plans.append(_Plan(name, Fate.BUSY))
                continue
            now = await self._server.now(self._keys.record_named(name), deadline)
            undone = {identifier for event in events for identifier in event.undoes}
            fresh = [event for event in events if event.id in wanted and event.id not in undone]
            gone = undone | {event.id for event in fresh}
            if not fresh:
                plans.append(_Plan(name, Fate.SAME))
                continue
            standing = without(events, gone, record, self._policy, now)
            if standing is None:
                plans.append(_Plan(name, Fate.UNEXPLAINED))
                continue
            rested = record.hard_until is not None and record.hard_until > now
            letters = dict(standing.letters)
            told = Event(
                id="",
                recorded=now,
                address=name,
                what=UNDO,
                state=_state(standing, self._policy).value,
                soft=standing.soft,
                hard_until=standing.hard_until,
                category="",
                status="",
                at=now,
                message="",
                rule="",
                diagnostic="",
                remote_mta="",
                reporting_mta="",
                identity="",
                reason=standing.reason,
                soft_before=record.soft,
                hard_until_before=record.hard_until if rested else None,
                reason_before=reason if rested else "",
                undoes=tuple(event.id for event in fresh),
            )
            plans.append(
                _Plan(
                    name,
                    _fate(told),
                    (soft, hard_until, seen),
                    standing,
                    _relettered(seen, letters),
                    _totals(seen, letters),
                    told,
                )
            )
        return plans

    async def _carry_out(self, plans: Sequence[_Plan]) -> list[str]:
        """Write it; return the names of records that have changed meanwhile."""
        deadline = _deadline()
        calls: list[Command] = [self._restore(plan, deadline) for plan in plans]
        replies = await self._run(calls, deadline)
        changed = [plan.name for plan, reply in zip(plans, replies, strict=True) if reply[0] == b"changed"]
        done = [plan for plan, reply in zip(plans, replies, strict=True) if reply[0] != b"changed"]
        await self._derive([(plan.name, _word(plan.new)) for plan in done], deadline)
        await self._run([self._event(plan) for plan in done if plan.told is not None], deadline)
        await self._count(done, deadline)
        return changed

    def _restore(self, plan: _Plan, deadline: float) -> Call:
        new = plan.new
        assert new is not None  # noqa: S101 - of a plan that writes
        arguments = (*plan.old, new.soft, _word(new), new.reason, plan.seen, *plan.totals)
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

    def _event(self, plan: _Plan) -> Command:
        assert plan.told is not None  # noqa: S101 - of a plan that writes
        pairs = [part for pair in undo_entry(plan.told).items() for part in pair]
        return ("XADD", self._keys.events, "MAXLEN", "~", EVENTS_KEPT, "*", *pairs)

    async def _count(self, plans: Sequence[_Plan], deadline: float) -> None:
        days = Counter(
            self._keys.stats(plan.told.at) for plan in plans if plan.told and plan.fate is Fate.LIFTED
        )
        await self._run([("HINCRBY", key, "released", number) for key, number in days.items()], deadline)

    async def _run(self, commands: Sequence[Command], deadline: float) -> list[list[bytes]]:
        replies = await self._server.run(commands, deadline, durable=True)
        for reply in replies:
            if isinstance(reply, StoreUnavailable):
                raise reply
        return replies


def _fate(told: Event) -> Fate:
    if told.hard_until_before is not None:
        return Fate.LIFTED if told.hard_until is None else Fate.RESTS
    return Fate.LOWERED if told.soft < (told.soft_before or 0) else Fate.SAME


def _state(standing: Standing, policy: Policy) -> State:
    if standing.hard_until is not None:
        return State.HARD
    return State.BRINK if standing.soft + 1 >= policy.soft_limit else State.ACTIVE


def _relettered(seen: str, letters: Mapping[str, str]) -> str:
    """Return the field "seen" with how messages count from now on."""
    entries = [seen[i : i + WIDTH] for i in range(0, len(seen), WIDTH)]
    return "".join(entry[:-2] + letters.get(entry[:-2], entry[-2]) + entry[-1] for entry in entries)


def _totals(seen: str, letters: Mapping[str, str]) -> tuple[int, int]:
    """Return what to add to soft_total and hard_total; it counts each message once, so doing it again adds nothing."""
    counted: Counter[str] = Counter()
    for i in range(0, len(seen), WIDTH):
        digest, letter = seen[i : i + WIDTH - 2], seen[i + WIDTH - 2]
        if digest in letters:
            counted[letter] -= 1
            counted[letters[digest]] += 1
    return counted["s"], counted["h"]


def _order(identifier: str) -> tuple[int, int]:
    milliseconds, _, number = identifier.partition("-")
    return int(milliseconds), int(number or 0)


def _word(standing: Standing | None) -> str:
    return "" if standing is None or standing.hard_until is None else str(standing.hard_until)


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "surrogateescape")


def _deadline() -> float:
    return asyncio.get_running_loop().time() + WRITE_SECONDS
