"""The script and the pure policy are equal, whatever happens in whatever order."""

import asyncio
import itertools
import random
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bounced.core.model import Category
from bounced.core.policy import SKEW, Change, Outcome, Period, Policy, Record, What, apply, decide
from bounced.store import Store, StoreUnavailable
from bounced.store.commit import Committer
from bounced.store.layout import Keys, decision_arguments, read_record
from bounced.store.node import RECORD, Call
from bounced.store.server import Server
from tests.store.proxy import Proxy

DAY = 86400
POLICY = Policy(soft_limit=3, hard_expiry=Period(months=1))
prefixes = itertools.count()


class TravellingServer(Server):
    """A server whose time, as far as decisions go, is what the test says."""

    pretended = 0

    async def now(self, key, deadline) -> int:  # noqa: ARG002
        return self.pretended


@dataclass(frozen=True)
class Step:
    what: What
    message: str
    address: str
    age: int  # of the event, seconds
    days: int  # that pass before it
    daemon: int  # which of the two records it
    crash: bool  # the daemon dies after the hash was written; the sender comes again at the end
    loss: tuple[str, int] | None  # where the connection is lost
    said: dict[str, Any]

    def change(self, now) -> Change:
        command = self.what in {What.RELEASE, What.SUPPRESS}
        return Change(
            self.address,
            self.what,
            "" if command else self.message,
            at=now - self.age,
            until=now + 40 * DAY - self.age if self.what is What.SUPPRESS else None,
            **self.said,
        )


steps = st.builds(
    Step,
    what=st.sampled_from([What.SOFT] * 4 + [What.HARD] + list(What)),
    message=st.sampled_from([f"m{i}" for i in range(15)]) | st.uuids().map(str) | st.just(""),
    address=st.sampled_from(["jane@example.org", "joe@example.org"]),
    age=st.sampled_from([-DAY, 0, 0, 1, 60, SKEW, SKEW + 1, 3 * DAY]),
    days=st.sampled_from([0, 0, 0, 0, 1, 5, 20, 32]),
    daemon=st.integers(0, 1),
    crash=st.sampled_from([True, False, False]),
    loss=st.none() | st.tuples(st.sampled_from(["requests", "replies"]), st.integers(0, 2000)),
    said=st.fixed_dictionaries(
        {
            "category": st.sampled_from(Category),
            "status": st.sampled_from([None, "5.1.1", "4.2.2"]),
            "diagnostic": st.none() | st.text(max_size=20),
            "remote_mta": st.sampled_from([None, "mx.example.org"]),
            "rule": st.sampled_from([None, "user-unknown"]),
            "reason": st.sampled_from([None, "asked us to"]),
        }
    ),
)


class Game:
    """Two daemons on one server, each behind a network that may fail, and the model beside them."""

    def __init__(self, redis, daemons, networks, counts) -> None:
        self.redis = redis
        self.keys = Keys(f"t{next(prefixes)}")
        self.daemons = daemons
        self.networks = networks
        self.counts = counts
        self.committers = [Committer(daemon, self.keys, POLICY) for daemon in daemons]
        self.model: dict[str, Record | None] = {}
        self.now = redis.time()[0]

    async def play(self, script) -> None:
        to_repeat = []
        for step in script:
            self.now += step.days * DAY
            self.forget_what_has_expired()
            change = step.change(self.now)
            if step.crash and change.message:
                await self.crash(change, step.daemon)
                to_repeat.append((change, 1 - step.daemon))
            elif not await self.commit(change, step.daemon, step.loss):
                to_repeat.append((change, 1 - step.daemon))
        for change, daemon in to_repeat:
            assert await self.commit(change, daemon, None)
        for address in self.model:
            self.assert_keys_agree(address)

    async def commit(self, change, daemon, loss) -> bool:
        """Whether the change was confirmed; when it was not, it is in the record or it is not."""
        self.counts["events"] += 1
        before = self.model.get(change.address)
        expected = self.apply(change, daemon)
        cuts = self.networks[daemon].cuts
        if loss is not None:
            self.networks[daemon].arm(*loss)
        try:
            [outcome] = await self.committers[daemon].commit([change])
        except StoreUnavailable:
            if loss is None:
                raise
            self.counts["faults"] += 1
            stored = self.stored(change.address)
            assert stored in (before, self.model[change.address])
            self.model[change.address] = stored
            await back(self.daemons[daemon])
            return False
        finally:
            self.networks[daemon].disarm()
        assert outcome == expected
        assert self.stored(change.address) == self.model[change.address]
        if self.networks[daemon].cuts > cuts:  # behind the last octet of the last reply
            await self.lose_connection(daemon)
        return True

    async def lose_connection(self, daemon) -> None:
        """Ask until there is an answer: who is the next to use a connection that is gone hears of it."""
        async with asyncio.timeout(5):
            while True:
                now = asyncio.get_running_loop().time()
                try:
                    await self.daemons[daemon].expect([("EXISTS", self.keys.events)], now + 1)
                except StoreUnavailable:
                    await back(self.daemons[daemon])
                else:
                    return

    async def crash(self, change, daemon) -> None:
        self.counts["events"] += 1
        self.counts["faults"] += 1
        self.apply(change, daemon)
        deadline = asyncio.get_running_loop().time() + 5
        arguments = decision_arguments(decide(change, POLICY, self.now))
        call = Call(RECORD, self.keys.record(change.address), deadline, arguments)
        await self.daemons[daemon].expect([call], deadline)
        assert self.stored(change.address) == self.model[change.address]

    def apply(self, change, daemon) -> Outcome:
        self.daemons[daemon].pretended = self.now
        decision = decide(change, POLICY, self.now)
        self.model[change.address], outcome = apply(self.model.get(change.address), decision)
        return outcome

    def stored(self, address) -> Record | None:
        key = self.keys.record(address)
        fields = {name.encode(): value.encode() for name, value in self.redis.hgetall(key).items()}
        return read_record(fields, self.redis.expiretime(key)) if fields else None

    def forget_what_has_expired(self) -> None:
        """Do what the server would do if time really passed; it has been told the right moment."""
        for address, record in self.model.items():
            if record is not None and record.expires_at <= self.now:
                self.model[address] = None
                self.redis.delete(self.keys.record(address))
            until = self.redis.get(self.keys.hard(address))
            if until is not None and int(until) <= self.now:
                assert self.redis.expiretime(self.keys.hard(address)) == int(until)
                self.redis.delete(self.keys.hard(address))

    def assert_keys_agree(self, address) -> None:
        record = self.model[address]
        until = record.hard_until if record else None
        expected = str(until) if until is not None and until > self.now else None
        assert self.redis.get(self.keys.hard(address)) == expected
        assert_settled(self.redis, self.keys.record(address))


async def back(daemon) -> None:
    """Wait until the daemon has found its server again."""
    async with asyncio.timeout(5):
        while True:
            try:
                await daemon.ping(asyncio.get_running_loop().time() + 1)
            except StoreUnavailable:
                await asyncio.sleep(0.001)
            else:
                return


def assert_settled(redis, key) -> None:
    assert "?" not in (redis.hget(key, "seen") or "")[12::13]


def test_the_server_equals_the_model(server, redis, monkeypatch, capsys):
    """Whatever happens in whatever order, whoever dies, wherever a connection is lost."""
    monkeypatch.setattr("bounced.store.server.PROBE_SECONDS", 0.001)
    monkeypatch.setattr("bounced.store.commit.COMMIT_SECONDS", 60.0)  # how busy the machine is is not tested
    counts: Counter[str] = Counter()

    async def play(script) -> None:
        async with AsyncExitStack() as closing:
            networks = [await closing.enter_async_context(Proxy.before(server.port)) for _ in range(2)]
            daemons = [TravellingServer(f"redis://127.0.0.1:{network.port}/0") for network in networks]
            for daemon in daemons:
                closing.push_async_callback(daemon.close)
            await Game(redis, daemons, networks, counts).play(script)
        counts["sequences"] += 1
        counts["connections lost"] += sum(network.cuts for network in networks)

    @given(script=st.lists(steps, min_size=10, max_size=60))
    @settings(deadline=None)
    def sequence(script) -> None:
        asyncio.run(play(script))

    sequence()
    with capsys.disabled():
        print(f"\n{server.name}:", ", ".join(f"{number:,} {what}" for what, number in counts.items()))  # noqa: T201


def test_two_daemons_and_an_operator_at_once_leave_keys_that_agree(server, redis):
    """Hard bounces, soft ones, releases and suppressions race; the derived key follows the hash."""
    addresses = [f"a{i}@example.org" for i in range(5)]
    chance = random.Random(5)

    def anything(i) -> Change:
        what = chance.choice(list(What))
        return Change(
            chance.choice(addresses), what, "" if what in {What.RELEASE, What.SUPPRESS} else f"m{i}",
            until=4_000_000_000 + i if what is What.SUPPRESS else None,
        )  # fmt: skip

    async def race() -> None:
        stores = [await Store.open(server.url, "bounced", Policy(), Path("unused")) for _ in range(3)]
        for _ in range(40):
            await asyncio.gather(*(store.record([anything(i)]) for i in range(10) for store in stores))
            for address in addresses:
                until = redis.hget(f"bounced:addr:{address}", "hard_until")
                assert redis.get(f"bounced:hard:{address}") == until
                assert_settled(redis, f"bounced:addr:{address}")
        for store in stores:
            await store.close()

    asyncio.run(race())
