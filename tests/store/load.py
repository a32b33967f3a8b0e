"""Senders that come again until they are confirmed, and the accounts of what they were told."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bounced.core.model import Category
from bounced.core.policy import Change, Policy, What
from bounced.store import Store, StoreUnavailable

ENDLESS = Policy(soft_limit=1_000_000)  # soft bounces in a row are a plain count then
ADDRESSES = 40  # a caller


class Load:
    """Callers that record soft bounces of their own addresses, and now and then a hard one of a new address."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.soft: Counter[str] = Counter()  # confirmed
        self.hard: dict[str, float] = {}  # when confirmed
        self.refused: Counter[str] = Counter()  # causes
        self.last = time.monotonic()
        self.longest_gap = 0.0
        self.slowest = 0.0
        self.stopping = False

    @classmethod
    @asynccontextmanager
    async def on(cls, store: Store, callers: int = 8) -> AsyncIterator["Load"]:
        """Run callers meanwhile; afterwards each has been confirmed all that it sent."""
        self = cls(store)
        async with asyncio.TaskGroup() as group:
            for caller in range(callers):
                group.create_task(self._call(caller))
            await self.confirm(200)
            try:
                yield self
            finally:
                self.stopping = True

    @property
    def confirmed(self) -> int:
        return self.soft.total() + len(self.hard)

    async def confirm(self, more: int, seconds: float = 30.0) -> None:
        """Wait until so many more are confirmed."""
        wanted = self.confirmed + more
        async with asyncio.timeout(seconds):
            while self.confirmed < wanted:  # noqa: ASYNC110 - no condition is worth its lock here
                await asyncio.sleep(0.005)

    async def _call(self, caller: int) -> None:
        number = 0
        while not self.stopping:
            number += 1
            if number % 5:
                address = f"soft{caller}-{number % ADDRESSES}@example.org"
                await self._until_confirmed(Change(address, What.SOFT, f"m{number}", category=Category.OTHER))
                self.soft[address] += 1
            else:
                address = f"hard{caller}-{number}@example.org"
                await self._until_confirmed(Change(address, What.HARD, f"m{number}", category=Category.OTHER))
                self.hard[address] = time.monotonic()

    async def _until_confirmed(self, change: Change) -> None:
        while True:
            started = time.monotonic()
            try:
                await self.store.record([change])
            except StoreUnavailable as error:
                self.refused[error.cause[:60]] += 1
                self.slowest = max(self.slowest, time.monotonic() - started)
                await asyncio.sleep(0.05)
            else:
                now = time.monotonic()
                self.longest_gap, self.last = max(self.longest_gap, now - self.last), now
                return

    async def accounts(self) -> dict[str, Any]:
        """Compare what was confirmed with what the store says."""
        lost = twice = 0
        for address, confirmed in self.soft.items():
            record = await self.store.lookup(address)
            counted = record.soft_total if record else 0
            assert record is None or record.soft == record.soft_total
            lost, twice = lost + max(0, confirmed - counted), twice + max(0, counted - confirmed)
        untils = await self.store.check(list(self.hard))
        lost_at = []
        for address, until in zip(self.hard, untils, strict=True):
            record = await self.store.lookup(address)
            if record is None or until is None or record.hard_until != until:
                lost_at.append(self.hard[address])
            twice += record is not None and record.hard_total > 1
        return {
            "confirmed": self.confirmed,
            "refused": self.refused.total(),
            "lost": lost + len(lost_at),
            "lost_within_s": round(max(lost_at) - min(lost_at), 2) if lost_at else 0.0,
            "twice": twice,
            "longest_gap_s": round(self.longest_gap, 2),
            "slowest_refusal_s": round(self.slowest, 2),
        }
