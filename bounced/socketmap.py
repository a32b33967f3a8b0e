"""A socketmap server: Postfix asks it for each recipient, and refuses who is to be left alone (socketmap_table(5)).

One request and one reply, each a netstring, as often as the peer likes on one connection:

    "17:suppress j@e.test,"  →  "35:OK 550 5.1.1 ...,"   the answer of an access(5) table
                                "9:NOTFOUND ,"           it may be sent to
                                "…:TEMP …,"              the store does not answer

The name of the map is not looked at. A peer that sends anything else is hung up on; none can make us keep more
than a request of its.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from bounced.core.address import MAX_OCTETS, canonical
from bounced.store import StoreUnavailable

MAX_REQUEST = MAX_OCTETS + 100  # an address and the name of the map
CONNECTIONS = 1000  # Postfix opens one for each of its processes
DRAIN_SECONDS = 5.0

NOT_FOUND = "NOTFOUND "
TRY_LATER = "TEMP the suppressed addresses cannot be looked up"

Check = Callable[[Sequence[str]], Awaitable[list[int | None]]]


class SocketMap:
    """Answers from `check`, which tells for canonical addresses until when to leave them alone."""

    def __init__(self, check: Check, *, when_down: str = TRY_LATER) -> None:
        """`when_down` is the reply while `check` raises StoreUnavailable."""
        self._check = check
        self._when_down = when_down
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._busy: set[asyncio.StreamWriter] = set()
        self._stopping = False

    async def listen(self, host: str, port: int) -> int:
        """Listen, and return the port. Raises OSError."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=2 * MAX_REQUEST)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Take no more requests, answer those that are here, hang up."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for writer in self._connections.values():
            if writer not in self._busy:
                writer.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=DRAIN_SECONDS)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= CONNECTIONS:
            writer.close()
            return
        self._connections[task] = writer
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ValueError):
                while not self._stopping:
                    request = await _read(reader)
                    self._busy.add(writer)
                    _write(writer, await self._answer(request))
                    await writer.drain()
                    self._busy.discard(writer)
        finally:
            self._busy.discard(writer)
            del self._connections[task]
            writer.close()

    async def _answer(self, request: bytes) -> str:
        _, _, key = request.partition(b" ")
        address = canonical(key.decode("utf-8", "replace"))
        if address is None:
            return NOT_FOUND
        try:
            [until] = await self._check([address])
        except StoreUnavailable:
            return self._when_down
        if until is None:
            return NOT_FOUND
        return f"OK 550 5.1.1 mail to this address has bounced; nothing is sent to it before {_day(until)}"


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Return the content of the next netstring. Raises ValueError when it is none or too long."""
    digits = b""
    while (octet := await reader.readexactly(1)) != b":":
        digits += octet
        if not digits.isdigit() or int(digits) > MAX_REQUEST or len(digits) > 5:
            raise ValueError
    content = await reader.readexactly(int(digits))
    if await reader.readexactly(1) != b",":
        raise ValueError
    return content


def _write(writer: asyncio.StreamWriter, text: str) -> None:
    octets = text.encode()
    writer.write(b"%d:%s," % (len(octets), octets))


def _day(until: int) -> str:
    return f"{datetime.fromtimestamp(until, UTC):%Y-%m-%d}"
