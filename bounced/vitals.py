"""How a process that takes mail is: connections, the store, who is left alone. Taken once a second."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from bounced import events, metrics
from bounced.store import Store, StoreUnavailable
from bounced.watching import for_ever

PING_EVERY = 2.0  # seconds
NOBODY = "nobody@bounced.invalid"
# Suppressed addresses are counted by looking at all keys, some at a time, with a pause of so many times what the
# store took: so it costs the store 2 % of its time at most, while it lasts, and a million keys take a minute.
COUNT_EVERY = 300.0
COUNT_PAUSE = 50


class Vitals:
    """How this process is. `is_open` says whether it takes mail, `sessions` how many connections there are."""

    def __init__(self, store: Store, is_open: Callable[[], bool], sessions: Callable[[], int]) -> None:
        self._store = store
        self._is_open = is_open
        self._sessions = sessions
        self._answers = False

    def take(self) -> None:
        """Write down what is so at this moment."""
        tally = events.tally
        tally.set(metrics.PROCESSES, 1)
        tally.set(metrics.READY, float(self._is_open() and self._answers))
        tally.set(metrics.CONNECTIONS_OPEN, self._sessions())

    async def ping(self) -> None:
        """Ask the store how it is, for ever."""
        while True:
            started = time.perf_counter()
            try:
                await self._store.check([NOBODY])  # as senders ask; Store.ping asks only once
                self._answers = True
                events.tally.set(metrics.STORE_PING, time.perf_counter() - started)
            except StoreUnavailable:
                self._answers = False
            events.tally.set(metrics.STORE_UP, float(self._answers))
            await asyncio.sleep(PING_EVERY)

    async def count_suppressed(self) -> None:
        """Count who is left alone, for ever. One process is enough for this."""
        while True:
            total, started = 0, time.perf_counter()
            with suppress(StoreUnavailable):
                async for some in self._store.resting():
                    total += some
                    await asyncio.sleep(COUNT_PAUSE * (time.perf_counter() - started))
                    started = time.perf_counter()
                events.tally.set(metrics.SUPPRESSED, total)
                events.tally.set(metrics.SUPPRESSED_AT, time.time())
            await asyncio.sleep(COUNT_EVERY)


@asynccontextmanager
async def watched(
    vitals: Vitals, tell: Callable[[], None] = lambda: None, *, counts: bool = True
) -> AsyncIterator[None]:
    """Take the vitals once a second and `tell` of them; `counts`: this process counts suppressed addresses too."""

    def beat() -> None:
        vitals.take()
        tell()

    work = [for_ever(beat), vitals.ping()]
    if counts:
        work.append(vitals.count_suppressed())
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        beat()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
