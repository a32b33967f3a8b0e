"""The connection to one Redis or Valkey server: scripts, pipelines, deadlines, its clock.

Each script is told until when, by the server's clock, it may still change anything: a server that was frozen
and wakes up must not apply what its caller has given up. So the difference of clocks is measured when the
connection is made, and again when a script says that it came late. Deadlines here are times of the event
loop's clock.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from bounced.store.faults import StoreUnavailable, cause_of

SCHEMES = ("redis", "rediss", "unix")
CONNECT_TIMEOUT = 2.0  # seconds
READ_CHUNK = 1000  # commands in one pipeline of reads

Command = Sequence[str | int | bytes]


class Script:
    """A Lua script that ships with the package, called by its SHA-1."""

    def __init__(self, name: str) -> None:
        self.source = files("bounced.store").joinpath("lua", name).read_text("utf-8")
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def call(self, key: str, *arguments: str | int) -> Command:
        """Return the command that runs the script on one key."""
        return ("EVALSHA", self.sha, 1, key, *arguments)


RECORD = Script("record.lua")
SETTLE = Script("settle.lua")


def public_url(url: str) -> str:
    """Return the URL without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Server:
    """One server; connects when first used, and again when a connection is lost."""

    def __init__(self, url: str) -> None:
        """Raise ValueError when the URL is of no form that we know."""
        self._use(url)

    async def move(self, url: str) -> None:
        """Use the server at another URL from now on."""
        left = self._client
        self._use(url)
        await left.aclose()

    def _use(self, url: str) -> None:
        if urlsplit(url).scheme not in SCHEMES:
            raise ValueError(f"the URL begins with none of {', '.join(f'{scheme}://' for scheme in SCHEMES)}")
        self.url = public_url(url)
        self._clock_ahead: float | None = None  # server's clock minus the loop's, never too large
        # A retry inside redis-py would outlive our deadline; repeating a report is its sender's part.
        self._client = Redis.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_TIMEOUT,
            driver_info=None,
        )

    @asynccontextmanager
    async def within(self, deadline: float) -> AsyncIterator[None]:
        """Bound what is done inside; raise StoreUnavailable for all that can go wrong there."""
        try:
            async with asyncio.timeout_at(deadline):
                yield
        except (RedisError, OSError, TimeoutError) as error:
            await self._forget_connections()
            raise StoreUnavailable(cause_of(error)) from error

    async def now(self) -> int:
        """Return the server's time, Unix seconds: one clock for all daemons."""
        return int(await self._ahead() + self._loop_time())

    async def deadline_ms(self, deadline: float) -> int:
        """Return a deadline by the server's clock, in milliseconds."""
        return int((await self._ahead() + deadline) * 1000)

    def set_clock(self, server_time: float) -> None:
        """Take the server's time, Unix seconds, from a reply that has just come."""
        self._clock_ahead = server_time - self._loop_time()

    async def _ahead(self) -> float:
        if self._clock_ahead is None:
            seconds, microseconds = await self._client.time()
            self.set_clock(int(seconds) + int(microseconds) / 1e6)
            return await self._ahead()
        return self._clock_ahead

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one go; return for each its reply, or the error that the server answered."""
        replies = await self._pipeline(commands)
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            await self._pipeline([("SCRIPT", "LOAD", script.source) for script in (RECORD, SETTLE)])
            for i, reply in zip(unknown, await self._pipeline([commands[i] for i in unknown]), strict=True):
                replies[i] = reply
        return replies

    async def expect(self, commands: Sequence[Command]) -> list[Any]:
        """Like run, in chunks; raise the first error."""
        replies: list[Any] = []
        for i in range(0, len(commands), READ_CHUNK):
            for reply in await self._pipeline(commands[i : i + READ_CHUNK]):
                if isinstance(reply, RedisError):
                    raise reply
                replies.append(reply)
        return replies

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            return await pipeline.execute(raise_on_error=False)

    async def _forget_connections(self) -> None:
        # Those in use end by themselves: redis-py closes a connection whose reply was not awaited.
        self._clock_ahead = None
        await self._client.connection_pool.disconnect(inuse_connections=False)

    def _loop_time(self) -> float:
        return asyncio.get_running_loop().time()
