"""What a server is asked to wait for behind the writes of a batch, so that 250 means what was configured.

The barrier is the last command of the pipeline that writes: WAIT and WAITAOF speak of the writes of their own
connection. It follows the pipelines that record and derive. None follows the one that settles: a mark that is
lost with the server costs a repeated event, and a mark that stands says that both others were confirmed.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from bounced.settings.schema import Durability
from bounced.settings.schema import Redis as Settings
from bounced.store.faults import StoreUnavailable

WAITAOF_SINCE = (7, 2)


@dataclass(frozen=True, slots=True)
class Barrier:
    """A command that returns when enough copies have the writes before it, or time is up."""

    command: tuple[str | int, ...]
    needed: int  # copies

    def call(self, deadline: float) -> tuple[str | int, ...]:
        """Return the command, to be given up soon enough before this loop time to be told."""
        left = deadline - asyncio.get_running_loop().time()
        return (*self.command, max(1, int(left * 800)))  # milliseconds; 0 would be for ever

    def shortfall(self, reply: Any) -> str:  # noqa: ANN401 - what the server says
        """Return why the writes cannot be confirmed; "": they are."""
        copies = reply[0] if isinstance(reply, list) else reply
        if copies >= self.needed:
            return ""
        if self.command[0] == "WAITAOF":
            return "the server did not sync its append-only file in time"
        return f"only {copies} of {self.needed} replicas confirmed in time"


async def barrier(client: Redis, settings: Settings) -> Barrier | None:
    """Return what to send behind writes; None: nothing.

    Raises StoreUnavailable when the server is not set up for what was configured.
    """
    if settings.durability is Durability.WAIT_REPLICAS:
        return Barrier(("WAIT", settings.replicas), settings.replicas)
    if settings.durability is Durability.EVERYSEC:
        return None
    if version_of(await client.info("server")) >= WAITAOF_SINCE:
        return Barrier(("WAITAOF", 1, 0), 1)
    found = await client.config_get("appendonly", "appendfsync")
    if (found.get("appendonly"), found.get("appendfsync")) != ("yes", "always"):
        raise StoreUnavailable(
            'redis.durability is "always", but the server does not sync each write: give it'
            " appendonly yes and appendfsync always, or upgrade it to 7.2, which can wait"
        )
    return None


def version_of(server: dict[str, Any]) -> tuple[int, int]:
    """Return the version of Redis, or the one that Valkey is compatible with, from INFO server."""
    major, minor, *_ = str(server.get("redis_version", "0.0")).split(".")
    return int(major), int(minor)
