"""One Redis or Valkey server: scripts, pipelines, deadlines, its clock, and whether it is known to be down.

Each script is told until when, by the server's clock, it may still change anything: a server that was frozen
and wakes up must not apply what its caller has given up. So each pipeline asks for the time, and the
difference of clocks is never older than the last of them. Deadlines here are times of the event loop's clock.

A server that did not answer is down until a probe, once a second, says otherwise. Until then everything fails
at once: a refused sender comes again, whereas one that waits takes memory.
"""

import asyncio
import contextlib
import hashlib
import select
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from hiredis import pack_command
from msgspec import Struct
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, RedisError, ResponseError

from bounced.settings.places import Address
from bounced.settings.schema import Redis as Settings
from bounced.store.durability import Barrier, barrier
from bounced.store.faults import StoreUnavailable, cause_of

PROBE_SECONDS = 1.0

FAILURES = (RedisError, OSError, TimeoutError, StoreUnavailable)


class Script:
    """A Lua script that ships with the package, called by its SHA-1."""

    def __init__(self, name: str) -> None:
        self.source = files("bounced.store").joinpath("lua", name).read_text("utf-8")
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


RECORD = Script("record.lua")
DERIVE = Script("derive.lua")
SETTLE = Script("settle.lua")
RESTORE = Script("restore.lua")

Plain = tuple[str | int | bytes, ...]  # a command without deadline: name, key, arguments

LOAD: tuple[Plain, ...] = tuple(
    ("SCRIPT", "LOAD", script.source) for script in (RECORD, DERIVE, SETTLE, RESTORE)
)


class Call(Struct, frozen=True):
    """A script to be run on one key before a deadline."""

    script: Script
    key: str
    deadline: float
    arguments: Sequence[str | int | bytes]


Command = Plain | Call


class Node:
    """One server; connects when first used, and again when a connection is lost."""

    down = ""  # while it is known not to answer: why

    def __init__(
        self, address: Address, client: Redis, settings: Settings, on_loss: Callable[[], None]
    ) -> None:
        """Take the server's client; `on_loss` is called while the server is down."""
        self.address = address
        self._client = client
        self._settings = settings
        self._on_loss = on_loss
        self._idle: list[AbstractConnection] = []  # taken from the client's pool, for the next pipelines
        self._readers: dict[Any, Any] = dict(client.response_callbacks)  # what redis-py makes of replies
        self._ahead: float | None = None  # server's clock minus the loop's, never too large
        self._barrier: Barrier | None = None

    async def run(
        self, commands: Sequence[Command], deadline: float, *, durable: bool = False, asking: bool = False
    ) -> list[Any]:
        """Send commands in one go; return for each its reply, or the error. Raises nothing else.

        durable: the writes count only if they are confirmed as configured. asking: for a slot that comes.
        """
        if self.down:
            self._on_loss()
            return [StoreUnavailable(self.down)] * len(commands)
        started = _now()
        if started >= deadline:
            return [StoreUnavailable("no answer in time")] * len(commands)
        try:
            async with asyncio.timeout_at(deadline):
                await self._known()
                replies = await self._send(commands, deadline, durable=durable, asking=asking)
                # Nothing was done for want of the script, or by a clock that was set and is known again.
                again = [
                    i
                    for i, reply in enumerate(replies)
                    if _is_late(reply) or isinstance(reply, NoScriptError)
                ]
                if again:
                    if any(isinstance(replies[i], NoScriptError) for i in again):
                        await self._pipeline(LOAD)
                    repeated = [commands[i] for i in again]
                    for i, reply in zip(
                        again,
                        await self._send(repeated, deadline, durable=durable, asking=asking),
                        strict=True,
                    ):
                        replies[i] = TimeoutError() if _is_late(reply) else reply
                return replies
        except FAILURES as error:
            if not isinstance(error, TimeoutError) or _now() - started >= PROBE_SECONDS:
                await self.lose(error)
            return [StoreUnavailable(cause_of(error))] * len(commands)

    async def now(self, deadline: float) -> int:
        """Return the server's time, Unix seconds: one clock for all daemons. Raises StoreUnavailable."""
        if self._ahead is None:
            await self.run([], deadline)
        if self._ahead is None:
            raise StoreUnavailable(self.down or "no answer in time")
        return int(self._ahead + _now())

    async def ask(self, *command: str) -> Any:  # noqa: ANN401 - a reply of redis-py's
        """Return the answer to one question, as redis-py reads it. Raises one of FAILURES."""
        async with asyncio.timeout(PROBE_SECONDS):
            return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def probe(self) -> None:
        """Find out whether a server that was down is back."""
        if self.down:
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    await self._known()
            except FAILURES as error:
                self.down = cause_of(error)
                await self.forget_connections()
            else:
                self.down = ""

    async def lose(self, error: BaseException) -> None:
        """Take the server for down."""
        self.down = cause_of(error)
        await self.forget_connections()
        self._on_loss()

    async def forget_connections(self) -> None:
        """Close what is open, as it may lead to a server that is another one by now."""
        self._ahead = None
        # Those in use end by themselves: a connection is closed whose reply was not awaited.
        idle, self._idle = self._idle, []
        with contextlib.suppress(*FAILURES):
            for connection in idle:
                await self._client.connection_pool.release(connection)
            await self._client.connection_pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        """Close all connections."""
        with contextlib.suppress(*FAILURES):
            await self._client.aclose()

    async def _known(self) -> None:
        """Learn what must be known of a server before it is written to."""
        if self._ahead is None:
            self._barrier = await barrier(self._client, self._settings)
            asked = _now()
            time, *_ = await self._pipeline([("TIME",), *LOAD])
            if isinstance(time, Exception):
                raise time
            self._compare_clocks(time, asked)

    def _compare_clocks(self, time: tuple[int, int], asked: float) -> None:
        """Take the server's time, which it told at a moment between `asked` and now."""
        told = time[0] + time[1] / 1e6
        if self._ahead is None or not told - _now() <= self._ahead <= told - asked:
            self._ahead = told - _now()

    async def _send(
        self, commands: Sequence[Command], deadline: float, *, durable: bool, asking: bool
    ) -> list[Any]:
        wait = self._barrier if durable and commands else None
        sent: list[Plain] = [("TIME",)]
        for command in commands:
            if asking:
                sent.append(("ASKING",))
            sent.append(self._plain(command))
        if wait is not None:
            sent.append(wait.call(deadline))
        asked = _now()
        time, *replies = await self._pipeline(sent)
        if not isinstance(time, Exception):
            self._compare_clocks(time, asked)
        waited = replies.pop() if wait is not None else None
        if asking:
            replies = replies[1::2]
        if wait is not None:
            short = cause_of(waited) if isinstance(waited, Exception) else wait.shortfall(waited)
            if short:
                return [
                    reply if isinstance(reply, Exception) else StoreUnavailable(short) for reply in replies
                ]
        return replies

    def _plain(self, command: Command) -> Plain:
        if isinstance(command, Call):
            milliseconds = int(((self._ahead or 0) + command.deadline) * 1000)
            return ("EVALSHA", command.script.sha, 1, command.key, milliseconds, *command.arguments)
        return command

    async def _pipeline(self, commands: Sequence[Plain]) -> list[Any]:
        """Send commands at once and return their replies, errors among them.

        redis-py's own pipelines do the same, in three times the time: they keep what a retry would need.
        """
        pool = self._client.connection_pool
        connection = self._idle.pop() if self._idle else await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            if not _is_open(connection):
                await connection.disconnect(nowait=True)
                await pool.ensure_connection(connection)
            await connection.send_packed_command(b"".join([pack_command(each) for each in commands]))  # type: ignore[arg-type]
            replies = await _replies(connection, len(commands))
        except BaseException:
            await connection.disconnect(nowait=True)  # or the next would get the replies that were not read
            raise
        finally:
            self._idle.append(connection)
        readers = self._readers
        for i, command in enumerate(commands):
            if (read := readers.get(command[0])) is not None and not isinstance(replies[i], Exception):
                replies[i] = read(replies[i])
        return replies


def _is_open(connection: AbstractConnection) -> bool:
    """Whether it is connected and has nothing to read: while nothing is awaited, that is its server's end.

    The socket is asked, as the loop may not have come to see it yet; when it has, there may be none any more.
    """
    writer: Any = connection._writer  # noqa: SLF001
    socket = writer and writer.get_extra_info("socket")
    if socket is None or socket.fileno() < 0 or writer.is_closing():  # TLS ends before its socket does
        return False
    asked = select.poll()
    asked.register(socket, select.POLLIN)
    return not asked.poll(0)


async def _replies(connection: AbstractConnection, number: int) -> list[Any]:
    """Read so many replies. redis-py waits for those to come, and for one that has come takes ten times as long."""
    replies: list[Any] = []
    while len(replies) < number:
        try:
            replies.append(await connection.read_response())
        except ResponseError as error:
            replies.append(error)
        parser: Any = connection._parser  # noqa: SLF001 - as above
        gets = parser._reader.gets  # noqa: SLF001
        while len(replies) < number and (reply := gets()) is not NOT_ENOUGH_DATA:
            if isinstance(reply, ConnectionLost):  # redis-py raises the same
                raise reply
            replies.append(reply)
    return replies


def _is_late(reply: Any) -> bool:  # noqa: ANN401 - any reply
    return isinstance(reply, list) and bool(reply) and reply[0] == b"late"


def _now() -> float:
    return asyncio.get_running_loop().time()
