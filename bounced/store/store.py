"""The store as the rest of the house sees it: record what happened, once; answer what is known."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from bounced.core.naming import KeyForm, hidden_name
from bounced.core.policy import Change, Outcome, Policy, Record, State, What
from bounced.store.commit import BATCH, Committer
from bounced.store.embedded import Embedded
from bounced.store.layout import Keys, read_record
from bounced.store.server import Server

READ_SECONDS = 5.0
FOR_EVER = 253402300799  # 9999-12-31: for a bounced:hard: key that holds no time, set by another hand


class Store:
    """Every method raises StoreUnavailable when the store did not confirm within five seconds.

    Addresses are canonical (core.address), or names that stand for them (core.naming).
    """

    def __init__(
        self,
        server: Server,
        keys: Keys,
        policy: Policy,
        embedded: Embedded | None = None,
    ) -> None:
        self._server = server
        self._embedded = embedded
        self._keys = keys
        self._committer = Committer(server, self._keys, policy)

    @classmethod
    async def open(
        cls, url: str, prefix: str, policy: Policy, state_dir: Path, form: KeyForm = KeyForm.PLAIN
    ) -> Self:
        """Open redis://, rediss://, unix:// or "embedded" (a server of our own, its data in `state_dir`).

        Does not wait for a server at a URL: ping does. Raises StoreUnavailable when the embedded one does
        not start, and ValueError when the URL is none of these.
        """
        keys = Keys(prefix, form)
        if url != "embedded":
            return cls(Server(url), keys, policy)
        embedded = await Embedded.enter(state_dir)
        return cls(Server(embedded.url), keys, policy, embedded)

    @property
    def url(self) -> str:
        """Where the store is, without user and password: to print and log."""
        return self._server.url

    async def close(self) -> None:
        """Finish what is queued and leave; the last to leave an embedded server stops it."""
        await self._committer.finish()
        await self._server.close()
        if self._embedded is not None:
            await self._embedded.leave()

    async def watch(self) -> None:
        """Keep an embedded server alive, for ever; return at once when there is none. Run it as a task."""
        if self._embedded is not None:
            async for url in self._embedded.revived():
                await self._server.move(url)

    async def ping(self) -> None:
        """Return when the store answers."""
        async with self._server.within(_deadline()):
            await self._server.expect([("PING",)])

    async def record(self, changes: Sequence[Change]) -> list[Outcome]:
        """Apply all changes of one report; an outcome for each, in order.

        Repeating the call after a failure is safe: what was applied comes back as a duplicate.
        """
        return await self._committer.commit(changes)

    async def lookup(self, address: str) -> Record | None:
        """Return what is known of an address; None: nothing."""
        key = self._keys.record(address)
        async with self._server.within(_deadline()):
            fields, expires_at = await self._server.expect([("HGETALL", key), ("EXPIRETIME", key)])
        return read_record(fields, expires_at) if fields else None

    async def check(self, addresses: Sequence[str]) -> list[int | None]:
        """Return for each address until when it must be left alone; None: it may be sent to.

        What is kept for the address itself counts, and what for the `rid` of its signed return path.
        """
        keys = [
            key for address in addresses for key in (self._keys.hard(address), self._keys.hidden(address))
        ]
        async with self._server.within(_deadline()):
            values = await self._server.expect([("GET", key) for key in keys])
        times = [0 if value is None else int(value) if value.isdigit() else FOR_EVER for value in values]
        return [max(pair) or None for pair in zip(times[::2], times[1::2], strict=True)]

    async def delivered(self, addresses: Sequence[str]) -> list[Outcome]:
        """Note that a message got through to each: the row of soft bounces is broken."""
        outcomes: list[Outcome] = []
        for i in range(0, len(addresses), BATCH):
            changes = [Change(address, What.DELIVERED) for address in addresses[i : i + BATCH]]
            outcomes += await self._committer.commit(changes)
        return outcomes

    async def release(self, address: str) -> Outcome:
        """Lift the suppression and forget the row of soft bounces, of the hidden address too."""
        names = (address, hidden_name(address))
        outcome, hidden = await self._committer.commit([Change(name, What.RELEASE) for name in names])
        return hidden if hidden.before is State.HARD else outcome

    async def suppress(self, address: str, until: int | None = None, reason: str = "manual") -> Outcome:
        """Leave the address alone until the Unix time given, else for the policy's hard_expiry.

        A suppression that lasts longer stands.
        """
        [outcome] = await self._committer.commit([Change(address, What.SUPPRESS, until=until, reason=reason)])
        return outcome


def _deadline() -> float:
    return asyncio.get_running_loop().time() + READ_SECONDS
