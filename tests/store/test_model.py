"""The script and the pure policy are equal, whatever happens in whatever order."""

import asyncio
import itertools
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bounced.core.model import Category
from bounced.core.policy import Change, Outcome, Period, Policy, Record, What, apply, decide
from bounced.store import Store
from bounced.store.commit import Committer
from bounced.store.layout import Keys, decision_arguments, read_record
from bounced.store.server import RECORD, Server

DAY = 86400
POLICY = Policy(soft_limit=3, hard_expiry=Period(months=1))
prefixes = itertools.count()


class TravellingServer(Server):
    """A server whose time, as far as decisions go, is what the test says."""

    pretended = 0

    async def now(self) -> int:
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
    age=st.sampled_from([-DAY, 0, 0, 1, 60, 3 * DAY]),
    days=st.sampled_from([0, 0, 0, 0, 1, 5, 20, 32]),
    daemon=st.integers(0, 1),
    crash=st.booleans(),
    said=st.fixed_dictionaries(
        {
            "category": st.sampled_from(Category),
            "status": st.sampled_from([None, "5.1.1", "4.2.2"]),
            "diagnostic": st.none() | st.text(max_size=20),
            "remote_mta": st.sampled_from([None, "mx.example.org"]),
            "reason": st.sampled_from([None, "asked us to"]),
        }
    ),
)


class Game:
    """Two daemons on one server, and the model beside them."""

    def __init__(self, redis, daemons) -> None:
        self.redis = redis
        self.keys = Keys(f"t{next(prefixes)}")
        self.daemons = daemons
        self.committers = [Committer(daemon, self.keys, POLICY) for daemon in daemons]
        self.model: dict[str, Record | None] = {}
        self.now = redis.time()[0]

    async def play(self, script) -> None:
        crashed = []
        for step in script:
            self.now += step.days * DAY
            self.forget_what_has_expired()
            change = step.change(self.now)
            if step.crash and change.message:
                await self.crash(change, step.daemon)
                crashed.append((change, 1 - step.daemon))
            else:
                await self.commit(change, step.daemon)
        for change, daemon in crashed:
            await self.commit(change, daemon)
        for address in self.model:
            self.assert_keys_agree(address)

    async def commit(self, change, daemon) -> None:
        expected = self.apply(change, daemon)
        [outcome] = await self.committers[daemon].commit([change])
        assert outcome == expected
        assert self.stored(change.address) == self.model[change.address]

    async def crash(self, change, daemon) -> None:
        self.apply(change, daemon)
        deadline = await self.daemons[daemon].deadline_ms(asyncio.get_running_loop().time() + 5)
        arguments = decision_arguments(decide(change, POLICY, self.now))
        call = RECORD.call(self.keys.record(change.address), deadline, *arguments)
        await self.daemons[daemon].expect([("SCRIPT", "LOAD", RECORD.source), call])
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


def assert_settled(redis, key) -> None:
    assert "?" not in (redis.hget(key, "seen") or "")[12::13]


@given(script=st.lists(steps, min_size=10, max_size=60))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_server_equals_the_model(server, redis, script):
    async def play() -> None:
        async with AsyncExitStack() as closing:
            daemons = [TravellingServer(server.url) for _ in range(2)]
            for daemon in daemons:
                closing.push_async_callback(daemon.close)
            await Game(redis, daemons).play(script)

    asyncio.run(play())


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
