"""How many changes a second the embedded store confirms, synced to disk, by number of concurrent callers.

python -m benchmarks.store
"""

import asyncio
import tempfile
import time
from pathlib import Path

from bounced.core.model import Category
from bounced.core.policy import Change, Policy, What
from bounced.store import Store

SECONDS = 3.0


async def rate(store: Store, callers: int) -> float:
    """Let `callers` record one soft bounce after the other, each of a new message."""
    started = time.monotonic()
    counts = [0] * callers

    async def call(caller: int) -> None:
        while time.monotonic() - started < SECONDS:
            address = f"a{callers}.{caller}.{counts[caller] % 1000}@example.org"
            message = f"{counts[caller]}@example.com"
            change = Change(address, What.SOFT, message, category=Category.FULL_MAILBOX, status="4.2.2")
            await store.record([change])
            counts[caller] += 1

    await asyncio.gather(*(call(caller) for caller in range(callers)))
    return sum(counts) / (time.monotonic() - started)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = await Store.open("embedded", "bounced", Policy(), Path(folder))
        for callers in (1, 10, 50, 200):
            print(f"{callers:4} callers  {await rate(store, callers):8.0f} changes/s")
        await store.close()


if __name__ == "__main__":
    asyncio.run(main())
