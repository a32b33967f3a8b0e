"""How many addresses a second a sender can ask about: `filter`, beside two ways of asking by hand.

    python -m benchmarks.client

One address in a hundred is suppressed. By hand means EXISTS of the address's own key, as it is: no canonical
form, and no look at what a signed return path names; `filter` does both, so it asks for twice as many keys.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis

from bounced.client import AsyncClient, Client
from tests.redis_server import BINARIES, RedisServer

ADDRESSES = [f"user{n}.name@example{n % 50}.org" for n in range(200_000)]
SUPPRESSED = ADDRESSES[::100]
ROUNDS = 5


def one_by_one(server: redis.Redis) -> int:
    return sum(not server.exists(f"bounced:hard:{address}") for address in ADDRESSES[:10_000])


def pipeline(server: redis.Redis) -> int:
    sendable = 0
    for start in range(0, len(ADDRESSES), 1000):
        with server.pipeline(transaction=False) as asked:
            for address in ADDRESSES[start : start + 1000]:
                asked.exists(f"bounced:hard:{address}")
            sendable += asked.execute().count(0)
    return sendable


def filtered(client: Client) -> int:
    return sum(1 for _ in client.filter(ADDRESSES))


async def filtered_async(url: str) -> int:
    async with AsyncClient(url) as client:
        return len([address async for address in client.filter(ADDRESSES)])


def measure(name: str, addresses: int, ask: Callable[[], int]) -> None:
    rates = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        assert ask() == addresses * 99 // 100
        rates.append(addresses / (time.perf_counter() - started))
    rates.sort()
    print(f"{name:24} median {rates[ROUNDS // 2]:8.0f}/s   {rates[0]:8.0f} to {rates[-1]:8.0f}")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        running = RedisServer(BINARIES["valkey"], Path(directory))
        try:
            with redis.Redis.from_url(running.url, protocol=2) as server, Client(running.url) as client:
                for address in SUPPRESSED:
                    server.set(f"bounced:hard:{address}", "1900000000", exat=1_900_000_000)
                measure("EXISTS, one at a time", 10_000, lambda: one_by_one(server))
                measure("EXISTS, in pipelines", len(ADDRESSES), lambda: pipeline(server))
                measure("Client.filter", len(ADDRESSES), lambda: filtered(client))
                measure(
                    "AsyncClient.filter", len(ADDRESSES), lambda: asyncio.run(filtered_async(running.url))
                )
        finally:
            running.kill()


if __name__ == "__main__":
    main()
