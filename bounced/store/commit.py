"""Changes of many callers, committed together: in one pipeline instead of one by one.

Whatever is queued while batches are in flight forms the next one; when nothing is queued nothing waits. A
batch goes through three pipelines, because no script touches two keys:

    record     apply each decision to its hash, the truth; the message is marked as unsettled
    derive     write what follows from it: bounced:hard:, the event, the day's counts
    settle     remove the mark, unless the hash has changed meanwhile: then derive again

Whoever dies in between leaves the mark. The report was not confirmed, so it comes again, is found to be an
unsettled duplicate, and the rest is done then.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from bounced import events
from bounced.core.policy import Change, Decision, Outcome, Policy, Result, State, What, decide
from bounced.store.faults import StoreUnavailable
from bounced.store.layout import STATS_KEPT_DAYS, Keys, decision_arguments
from bounced.store.node import DERIVE, RECORD, SETTLE, Call, Command, Plain
from bounced.store.server import Server
from bounced.store.stream import entry, event_of

COMMIT_SECONDS = 5.0
BATCHES = 2  # on their way at a time: one is being synced while the next one is being made
BATCH = 200  # changes in one pipeline: beyond this it gets no faster, only later
QUEUE = 10_000  # changes waiting; more means that the store cannot keep up

_RESULTS = {result.value.encode(): result for result in Result}
_STATES = {state.value.encode(): state for state in State}


class _Item(Struct, eq=False):
    """One change on its way."""

    change: Change
    name: str  # of the address in keys
    record: str  # the key of its hash
    deadline: float  # loop time
    done: "asyncio.Future[Outcome]"

    def fail(self, cause: str) -> None:
        if not self.done.done():
            self.done.set_exception(StoreUnavailable(cause))


class _Decided(Struct, eq=False):
    """A change that the hash has taken, now or before."""

    item: _Item
    decision: Decision
    outcome: Outcome
    hard_until: bytes  # as in the hash; b"": none
    unsettled: str  # the message's letter while something may be missing; "": nothing is
    stood: tuple[int, bytes, str]  # soft, hard_until and reason before the change
    follows: bool  # whether anything is written after the hash
    news: bool = True  # False: an event would repeat another of this batch

    @property
    def entry(self) -> str:
        """What settle.lua looks for in the field "seen"; "" for a change without identity."""
        return self.unsettled and self.decision.digest + self.unsettled

    @property
    def derives_key(self) -> bool:
        """Whether bounced:hard: is among what follows; an address that never was hard has none."""
        return self.follows and (
            self.hard_until != b""
            or self.outcome.result is Result.DUPLICATE
            or self.item.change.what is What.RELEASE
        )

    @property
    def tells(self) -> bool:
        """Whether an event is among it."""
        return self.follows and self.news and self.outcome.result is not Result.UNCHANGED


class Committer:
    """Takes changes from any number of callers."""

    def __init__(self, server: Server, keys: Keys, policy: Policy) -> None:
        self._server = server
        self._keys = keys
        self._policy = policy
        self._queue: deque[_Item] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._unanswered: deque[_Item] = deque()  # by deadline; some have been answered since
        self._deadline: asyncio.TimerHandle | None = None  # of the first that waits
        self._busy: set[str] = set()  # addresses in batches on their way: the changes of one come one by one

    async def commit(self, changes: Sequence[Change]) -> list[Outcome]:
        """Apply all changes; raise StoreUnavailable when one was not confirmed within COMMIT_SECONDS."""
        if len(self._queue) + len(changes) > QUEUE:
            raise StoreUnavailable(f"it cannot keep up: {len(self._queue)} changes are waiting")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + COMMIT_SECONDS
        items = [self._item(change, deadline, loop.create_future()) for change in changes]
        self._queue.extend(items)
        # One that has just ended is still among them: both may have, in this turn of the loop.
        if sum(not worker.done() for worker in self._workers) < BATCHES:
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        self._unanswered.extend(items)
        self._watch()
        try:
            return [await item.done for item in items]
        except BaseException:
            for item in items:
                if not item.done.cancel() and not item.done.cancelled():
                    item.done.exception()  # one of them says enough
            raise

    def _item(self, change: Change, deadline: float, done: "asyncio.Future[Outcome]") -> _Item:
        name = self._keys.name(change.address)
        return _Item(change, name, self._keys.record_named(name), deadline, done)

    def _watch(self) -> None:
        """Have the first that waits told at its deadline that it waits in vain: one timer for all, as most never do."""
        waiting = self._unanswered
        while waiting and waiting[0].done.done():
            waiting.popleft()
        if waiting and self._deadline is None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_at(waiting[0].deadline, self._give_up)

    def _give_up(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._unanswered and self._unanswered[0].deadline <= now:
            self._unanswered.popleft().fail("no answer in time")
        self._deadline = None
        self._watch()

    async def finish(self) -> None:
        """Return when nothing is queued any more."""
        while self._workers:
            await asyncio.wait(self._workers)

    async def _work(self) -> None:
        while batch := self._next():
            addresses = {item.change.address for item in batch}
            self._busy |= addresses
            started = time.perf_counter()
            try:
                await self._commit(batch, max(item.deadline for item in batch))
                events.batch_committed(len(batch), time.perf_counter() - started)
            except StoreUnavailable as error:  # all of it, as the place that redis.url names is the wrong one
                for item in batch:
                    item.fail(error.cause)
            except Exception as error:  # noqa: BLE001 - a bug here must not leave callers waiting
                for item in batch:
                    item.fail(f"internal error: {type(error).__name__}")
            finally:
                self._busy -= addresses

    def _next(self) -> list[_Item]:
        """Take the next batch from the queue; what is about an address of another batch waits for that one."""
        batch: list[_Item] = []
        waiting: list[_Item] = []
        while self._queue and len(batch) < BATCH:
            item = self._queue.popleft()
            if item.done.done():  # given up while it was queued
                continue
            (waiting if item.change.address in self._busy else batch).append(item)
        self._queue.extendleft(reversed(waiting))
        return batch

    async def _commit(self, batch: Sequence[_Item], deadline: float) -> None:
        decided = await self._record(batch, deadline)
        derived = await self._derive(decided, deadline)
        settled = await self._settle([each for each in derived if each.follows], deadline)
        for each in settled + [each for each in derived if not each.follows]:
            if not each.item.done.done():
                each.item.done.set_result(each.outcome)

    async def _record(self, batch: Sequence[_Item], deadline: float) -> list[_Decided]:
        """Apply each change to its hash. One that is refused fails alone, here and below."""
        decisions: list[tuple[_Item, Decision]] = []
        calls: list[Command] = []
        for item in batch:
            try:
                now = await self._server.now(item.record, deadline)
            except StoreUnavailable as error:
                item.fail(error.cause)
                continue
            decision = decide(self._keys.keepable(item.change), self._policy, now)
            decisions.append((item, decision))
            calls.append(Call(RECORD, item.record, item.deadline, decision_arguments(decision)))
        replies = await self._server.run(calls, deadline, durable=True)
        decided: list[_Decided] = []
        told: set[tuple[str, str]] = set()
        for (item, decision), reply in zip(decisions, replies, strict=True):
            if isinstance(reply, StoreUnavailable):
                item.fail(reply.cause)
                continue
            each = _decided(item, decision, reply)
            message = (item.change.address, decision.digest)
            each.news = each.outcome.result is not Result.DUPLICATE or message not in told
            told.add(message)
            decided.append(each)
        return decided

    async def _derive(self, decided: Sequence[_Decided], deadline: float) -> list[_Decided]:
        """Write what follows. Doing it again changes no key; it repeats an event and a count."""
        deriving = [each for each in decided if each.derives_key]
        telling = [each for each in decided if each.tells]
        counted = self._counted(telling)
        commands: list[Command] = [*map(self._hard_key, deriving), *map(self._event, telling), *counted]
        owners = [[each] for each in deriving + telling] + [telling] * len(counted)
        failed: set[_Decided] = set()
        for owned_by, reply in zip(
            owners, await self._server.run(commands, deadline, durable=True), strict=True
        ):
            if isinstance(reply, StoreUnavailable):
                for each in owned_by:
                    each.item.fail(reply.cause)
                failed.update(owned_by)
        return [each for each in decided if each not in failed]

    async def _settle(self, decided: Sequence[_Decided], deadline: float) -> list[_Decided]:
        """Remove the marks; where the hash has changed meanwhile, derive again until it has not."""
        settled: list[_Decided] = []
        while decided:
            calls = [
                Call(SETTLE, each.item.record, each.item.deadline, [each.entry, each.hard_until])
                for each in decided
            ]
            changed: list[_Decided] = []
            for each, reply in zip(decided, await self._server.run(calls, deadline), strict=True):
                if isinstance(reply, StoreUnavailable):
                    each.item.fail(reply.cause)
                    continue
                word, *hard_until = reply
                if word == b"changed":
                    [each.hard_until] = hard_until
                    changed.append(each)
                else:
                    settled.append(each)
            decided = await self._derive_again(changed, deadline) if changed else []
        return settled

    async def _derive_again(self, changed: Sequence[_Decided], deadline: float) -> list[_Decided]:
        """Write the keys of those whose hash has changed; return those that were written."""
        keys: list[Command] = [self._hard_key(each) for each in changed]
        decided: list[_Decided] = []
        for each, reply in zip(changed, await self._server.run(keys, deadline, durable=True), strict=True):
            if isinstance(reply, StoreUnavailable):
                each.item.fail(reply.cause)
            else:
                decided.append(each)
        return decided

    def _hard_key(self, each: _Decided) -> Call:
        until = each.hard_until
        if until and int(until) <= each.decision.now:
            until = b""
        return Call(DERIVE, self._keys.hard_named(each.item.name), each.item.deadline, [until])

    def _counted(self, telling: Sequence[_Decided]) -> list[Plain]:
        """Return what adds these changes to the day's counts."""
        counts: dict[tuple[str, str], int] = {}
        for each in telling:
            key = self._keys.stats(each.decision.now)
            for name in _counts(each):
                counts[key, name] = counts.get((key, name), 0) + 1
        added: list[Plain] = [("HINCRBY", key, name, number) for (key, name), number in counts.items()]
        kept: list[Plain] = [("EXPIRE", key, STATS_KEPT_DAYS * 86400) for key in {key for key, _ in counts}]
        return added + kept

    def _event(self, each: _Decided) -> Plain:
        item, identity = each.item, self._keys.tellable(each.decision.identity)
        event = event_of(item.name, item.change, each.decision, each.outcome, each.stood, identity=identity)
        return ("XADD", self._keys.events, "MAXLEN", "~", self._keys.events_kept, "*", *entry(event))


def _decided(item: _Item, decision: Decision, reply: Sequence[Any]) -> _Decided:
    """Return what record.lua says of a change."""
    result, before, after, soft, hard_until, unsettled, *stood = reply
    state = _STATES[after]
    until = int(hard_until) if state is State.HARD else None
    outcome = Outcome(_RESULTS[result], _STATES[before], state, soft, until)
    applied = outcome.result is Result.NEW or outcome.result is Result.UPGRADED
    what = item.change.what
    return _Decided(
        item,
        decision,
        outcome,
        hard_until,
        unsettled.decode(),
        (stood[0], stood[1], stood[2].decode()),
        follows=applied or unsettled != b"" or what is What.RELEASE or what is What.SUPPRESS,
    )


def _counts(each: _Decided) -> list[str]:
    """Return the fields of the day's counts that a change belongs to."""
    names: list[str] = []
    if (category := each.item.change.category) is not None:
        _, at, domain = each.item.change.address.rpartition("@")
        names += [category, f"{category}:{domain}"] if at else [category]
    rested, rests = each.outcome.before is State.HARD, each.outcome.after is State.HARD
    if rests and not rested:
        names.append("suppressed")
    elif rested and not rests:
        names.append("released")
    return names
