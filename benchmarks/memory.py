"""How much memory a record takes: a million addresses that bounced softly once, and a million that are hard.

    python -m benchmarks.memory [ADDRESSES]

The server is the embedded one's, without its append-only file, which is not what is measured.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from redis import Redis

from bounced.core.model import Category
from bounced.core.policy import Change, Policy, What
from bounced.store import Store
from bounced.store.commit import BATCH
from tests.redis_server import BINARIES, RedisServer

DIAGNOSTIC = {
    What.SOFT: "452 4.2.2 The email account that you tried to reach is over quota and inactive.",
    What.HARD: "550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking.",
}


def changes(what: What, start: int, number: int) -> list[Change]:
    """Return one bounce for each of `number` addresses of 31 characters."""
    category, status = (
        (Category.INVALID_MAILBOX, "5.1.1") if what is What.HARD else (Category.FULL_MAILBOX, "4.2.2")
    )
    return [
        Change(
            f"{what.value}.recipient.{i:07}@example.org",
            what,
            f"<{i}@app.example.com>",
            category=category,
            status=status,
            diagnostic=DIAGNOSTIC[what],
            remote_mta="mx1.example.org",
        )
        for i in range(start, start + number)
    ]


async def fill(store: Store, what: What, addresses: int) -> None:
    """Record one bounce of each address."""
    for start in range(0, addresses, BATCH):
        await store.record(changes(what, start, min(BATCH, addresses - start)))


def used(redis: Redis) -> int:
    return int(redis.info("memory")["used_memory"])


async def main(addresses: int) -> None:
    for name, binary in BINARIES.items():
        with tempfile.TemporaryDirectory() as folder:
            server = RedisServer(binary, Path(folder))
            store = await Store.open(server.url, "bounced", Policy(), Path(folder))
            with server.client() as redis:
                for what in (What.SOFT, What.HARD):
                    before = used(redis)
                    await fill(store, what, addresses)
                    print(
                        f"{name:7} {what.value}  {(used(redis) - before) / addresses:6.0f} bytes an address"
                    )
            await store.close()
            server.kill()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
