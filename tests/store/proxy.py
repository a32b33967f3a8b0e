"""A network between a daemon and its server, which loses the connection at a chosen octet, or answers itself."""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK = 65536
COMMAND = re.compile(rb"^\*\d+\r$", re.MULTILINE)


class LostError(Exception):
    pass


class Proxy:
    """Cuts once the armed number of octets has gone in the armed direction."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._armed: tuple[str, int] | None = None
        self._refusals: list[str] = []
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.cuts = 0

    @classmethod
    @asynccontextmanager
    async def before(cls, target: int, tls: ssl.SSLContext | None = None) -> AsyncIterator["Proxy"]:
        self = cls(target)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    def arm(self, direction: str, octets: int) -> None:
        self._armed = direction, octets

    def refuse(self, *words: str) -> None:
        """Keep as many requests with a script in them from the server, and answer each command so."""
        self._refusals += words

    def reset(self) -> None:
        """Let all connections end without a word, as a machine does that knows nothing of them any more."""
        for writer in self._open:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        self._open.clear()

    def end(self) -> None:
        """End all connections; over TLS, the sockets stay until the other side has said so too."""
        for writer in self._open:
            writer.close()
        self._open.clear()

    def disarm(self) -> None:
        self._armed = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        self._open.add(writer)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, to_server, "requests", writer))
                pumps.create_task(self._pump(from_server, writer, "replies", None))
        except* (LostError, ConnectionError):
            # The server does what it got, and only then the daemon learns that the connection is gone: so the
            # test knows when to look.
            if to_server.can_write_eof() and not to_server.is_closing():
                to_server.write_eof()
                while await from_server.read(CHUNK):
                    pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()
            to_server.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: str,
        back: asyncio.StreamWriter | None,
    ) -> None:
        while data := await reader.read(CHUNK):
            if self._refusals and back is not None and b"EVALSHA" in data:
                back.write(f"-{self._refusals.pop(0)}\r\n".encode() * len(COMMAND.findall(data)))
                continue
            if self._armed is not None and self._armed[0] == direction:
                left = self._armed[1] - len(data)
                if left <= 0:
                    writer.write(data[: self._armed[1]])
                    self._armed = None
                    self.cuts += 1
                    raise LostError
                self._armed = direction, left
            writer.write(data)
            await writer.drain()
        raise LostError
