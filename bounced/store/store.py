"""The store as the rest of the house sees it: record what happened, once; answer what is known."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Self

from msgspec.structs import replace

from bounced.core.naming import KeyForm, hidden_name
from bounced.core.policy import Change, Outcome, Policy, Record, State, What
from bounced.settings.schema import Redis as Settings
from bounced.store.archive import Archive
from bounced.store.commit import BATCH, Committer
from bounced.store.embedded import Embedded
from bounced.store.faults import StoreUnavailable
from bounced.store.layout import Keys, read_record
from bounced.store.repair import Repair
from bounced.store.server import Server

READ_SECONDS = 5.0
CHECK_SECONDS = 1.0  # between attempts to look at the configuration of a server that does not answer
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
        self.archive = Archive(server, keys)
        self.repair = Repair(server, keys, policy, self.archive)

    @classmethod
    async def open(
        cls,
        url: str,
        prefix: str,
        policy: Policy,
        state_dir: Path,
        form: KeyForm = KeyForm.PLAIN,
        *,
        settings: Settings = Settings(),  # noqa: B008 - frozen
    ) -> Self:
        """Open a URL of settings.places, or "embedded" (a server of our own, its data in `state_dir`).

        Of `settings` password_file, durability, replicas, events_kept and tls count. Does not wait for a server
        at a URL: ping does. Raises StoreUnavailable when the embedded one does not start or the settings contradict
        the URL, and ValueError when the URL is none of these.
        """
        keys = Keys(prefix, form, events_kept=settings.events_kept)
        if url != "embedded":
            return cls(Server(url, settings), keys, policy)
        embedded = await Embedded.enter(state_dir)
        here = Settings(durability=settings.durability, replicas=settings.replicas)
        return cls(Server(embedded.own_url, here), keys, policy, embedded)

    @property
    def url(self) -> str:
        """Where the store is, without user and password: to print and log."""
        return self._server.url if self._embedded is None else self._embedded.url

    async def close(self) -> None:
        """Finish what is queued and leave; the last to leave an embedded server stops it."""
        await self._committer.finish()
        await self._server.close()
        if self._embedded is not None:
            await self._embedded.leave()

    async def watch(self, warn: Callable[[str], None] = lambda _: None) -> None:
        """Keep an embedded server alive, for ever; warn of what is wrong with any. Run it as a task.

        `warn` gets a line of words: once for each problem of the configuration, as soon as the server answers,
        and once a minute while an embedded server does not start again.
        """
        await self._check(warn)
        if self._embedded is not None:
            async for url in self._embedded.revived(warn):
                await self._server.move(url)

    async def _check(self, warn: Callable[[str], None]) -> None:
        while True:
            try:
                problems = await self.problems()
            except StoreUnavailable:
                if self._embedded is not None:
                    return  # its configuration is ours
                await asyncio.sleep(CHECK_SECONDS)
            else:
                for problem in problems:
                    warn(problem)
                return

    async def problems(self) -> list[str]:
        """Return a line for each thing that is wrong with the servers' configuration, and what to do."""
        return await self._server.problems(_deadline())

    async def clock(self) -> int:
        """Return what time it is to the store, Unix seconds."""
        return await self._server.now(self._keys.hard(""), _deadline())

    async def ping(self) -> None:
        """Return when the store answers."""
        await self._server.ping(_deadline())

    async def record(self, changes: Sequence[Change]) -> list[Outcome]:
        """Apply all changes of one report; an outcome for each, in order.

        A delivery breaks the row of the address, and the one that it has where a forwarder hid it. Repeating the
        call after a failure is safe: what was applied comes back as a duplicate.
        """
        hidden = [
            replace(change, address=hidden_name(change.address))
            for change in changes
            if change.what is What.DELIVERED and "@" in change.address
        ]
        outcomes = await self._committer.commit([*changes, *hidden])
        return outcomes[: len(changes)]

    async def lookup(self, address: str) -> Record | None:
        """Return what is known of an address; None: nothing."""
        key = self._keys.record(address)
        fields, expires_at = await self._server.expect([("HGETALL", key), ("EXPIRETIME", key)], _deadline())
        return read_record(fields, expires_at) if fields else None

    async def check(self, addresses: Sequence[str]) -> list[int | None]:
        """Return for each address until when it must be left alone; None: it may be sent to.

        What is kept for the address itself counts, and what for the `rid` of its signed return path.
        """
        keys = [
            key for address in addresses for key in (self._keys.hard(address), self._keys.hidden(address))
        ]
        values = await self._server.expect([("GET", key) for key in keys], _deadline())
        times = [0 if value is None else int(value) if value.isdigit() else FOR_EVER for value in values]
        return [max(pair) or None for pair in zip(times[::2], times[1::2], strict=True)]

    async def rows(self, addresses: Sequence[str]) -> list[int]:
        """Return for each address how many soft bounces it has in a row; the longer row, if it was hidden too."""
        names = [name for address in addresses for name in (address, hidden_name(address))]
        commands = [("HGET", self._keys.record(name), "soft") for name in names]
        values = await self._server.expect(commands, _deadline())
        rows = [int(value) if value is not None and value.isdigit() else 0 for value in values]
        return [max(pair) for pair in zip(rows[::2], rows[1::2], strict=True)]

    async def suppressed(self) -> AsyncIterator[list[tuple[str, int, Record]]]:
        """Yield who must be left alone, some at a time: name in the keys, until when, what is known.

        Who becomes suppressed or is released meanwhile may be left out, and a name may come twice.
        """
        prefix = self._keys.hard("")
        async for keys in self._server.scan(f"{prefix}*", _deadline):
            names = [key.removeprefix(prefix) for key in keys]
            asked = [
                command
                for name in names
                for command in (("GET", f"{prefix}{name}"), ("HGETALL", self._keys.record_named(name)))
            ]
            replies = await self._server.expect(asked, _deadline())
            yield [
                (name, int(until) if until.isdigit() else FOR_EVER, read_record(fields, 0))
                for name, until, fields in zip(names, replies[::2], replies[1::2], strict=True)
                if until is not None
            ]

    async def resting(self) -> AsyncIterator[int]:
        """Yield how many addresses must be left alone, some at a time: the sum is all of them, but for a few."""
        async for keys in self._server.scan(f"{self._keys.hard('')}*", _deadline):
            yield len(keys)

    async def rehearse(self, address: str, seconds: int) -> None:
        """Give an address that is nobody's a row of one soft bounce, and forget it after so many seconds."""
        key = self._keys.record(address)
        await self._server.expect([("HSET", key, "soft", 1), ("EXPIRE", key, seconds)], _deadline())

    async def forget(self, address: str) -> None:
        """Remove all keys of an address, without an event."""
        keys = (self._keys.record(address), self._keys.hard(address))
        await self._server.expect([("DEL", key) for key in keys], _deadline())

    async def delivered(self, addresses: Sequence[str]) -> None:
        """Note that a message got through to each."""
        for i in range(0, len(addresses), BATCH):
            await self.record([Change(address, What.DELIVERED) for address in addresses[i : i + BATCH]])

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
