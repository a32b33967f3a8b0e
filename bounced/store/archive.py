"""What the store has kept of days past: the events, the day's counts, every record. Reads only, some at a time."""

import asyncio
from collections.abc import AsyncIterator, Collection
from datetime import date
from typing import NamedTuple

from bounced.core.history import Event
from bounced.store.layout import Keys
from bounced.store.server import Server
from bounced.store.stream import read_entry

READ_SECONDS = 5.0
PAGE = 1000  # events in one answer


class Page(NamedTuple):
    """Some events."""

    events: list[Event]  # those that were asked for
    read: int  # how many were looked at
    end: str  # the id of the last of these


class Archive:
    """Every method raises StoreUnavailable when the store does not answer within five seconds."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys

    def name(self, address: str) -> str:
        """Return what stands for an address in events."""
        return self._keys.name(address)

    async def lost(self, since: int) -> bool:
        """Return whether events that were recorded after `since` may not be kept any more."""
        oldest = await self.oldest()
        return oldest is not None and oldest > since and await self.length() >= self._keys.events_kept

    async def length(self) -> int:
        """Return how many events there are."""
        [length] = await self._server.expect([("XLEN", self._keys.events)], _deadline())
        return int(length)

    async def events(
        self,
        since: int | None = None,
        until: int | None = None,
        *,
        after: str = "",
        names: Collection[str] | None = None,
    ) -> AsyncIterator[Page]:
        """Yield the events that were recorded from `since` to before `until`, or after the id `after`, in order.

        `names`: only those of these names of the keys; None: all.
        """
        start = f"({after}" if after else "-" if since is None else str(since * 1000)
        end = "+" if until is None else f"({until * 1000}"
        while True:
            command = ("XRANGE", self._keys.events, start, end, "COUNT", PAGE)
            [entries] = await self._server.expect([command], _deadline())
            if not entries:
                return
            last = entries[-1][0].decode()
            events = [
                read_entry(identifier, fields)
                for identifier, fields in entries
                if names is None or fields.get(b"address", b"").decode("utf-8", "backslashreplace") in names
            ]
            yield Page(events, len(entries), last)
            if len(entries) < PAGE:
                return
            start = f"({last}"

    async def oldest(self) -> int | None:
        """Return when the oldest event was recorded."""
        [entries] = await self._server.expect(
            [("XRANGE", self._keys.events, "-", "+", "COUNT", 1)], _deadline()
        )
        return read_entry(*entries[0]).recorded if entries else None

    async def counts(self, day: date) -> AsyncIterator[dict[str, int]]:
        """Yield the counts of a day, some at a time."""
        key, cursor = self._keys.stats_of(day), 0
        while True:
            [reply] = await self._server.expect([("HSCAN", key, cursor, "COUNT", PAGE)], _deadline())
            cursor, fields = int(reply[0]), reply[1]
            yield {name.decode("utf-8", "replace"): int(number) for name, number in fields.items()}
            if cursor == 0:
                return

    async def standing(self) -> AsyncIterator[list[tuple[int, int | None]]]:
        """Yield for every record how many soft bounces it has in a row, and its hard_until. Some may come twice."""
        async for keys in self._server.scan(f"{self._keys.record_named('')}*", _deadline):
            replies = await self._server.expect(
                [("HMGET", key, "soft", "hard_until") for key in keys], _deadline()
            )
            yield [(_number(soft) or 0, _number(until)) for soft, until in replies]


def _number(value: bytes | None) -> int | None:
    return int(value) if value is not None and value.isdigit() else None


def _deadline() -> float:
    return asyncio.get_running_loop().time() + READ_SECONDS
