"""HTTP on a port of its own: a page for Prometheus, and whether we are alive and ready. Reads only GET and HEAD.

Served from the event loop, so an answer proves that the loop turns. No answer holds an address of anybody.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from bounced import events
from bounced.settings import Endpoint

HEAD = 8192  # octets of a request
SECONDS = 5.0  # for a request to come, and for its answer to go
CONNECTIONS = 32  # at one time; nobody who needs an answer needs more

_WORDS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


class Answer(NamedTuple):
    """What to reply."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


# Takes the path and the header field Accept.
Respond = Callable[[str, str], Awaitable[Answer]]


class Endpoints:
    """The addresses on which questions are answered."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._servers: list[asyncio.Server] = []
        self._connections = 0

    async def listen(self, endpoint: Endpoint) -> None:
        """Answer there too. One that cannot be listened on is logged: mail matters more than its numbers."""
        try:
            server = await asyncio.start_server(self._serve, *endpoint, limit=HEAD)
        except OSError as error:
            events.metrics_unavailable(str(endpoint), error.strerror or str(error))
            return
        self._servers.append(server)
        port = server.sockets[0].getsockname()[1]
        events.metrics_listening(str(endpoint._replace(port=port)))

    def close(self) -> None:
        """Answer no more."""
        for server in self._servers:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._counted() as has_room, suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            try:
                if has_room:
                    async with asyncio.timeout(SECONDS):
                        writer.write(await self._reply(await _head(reader)))
                        await writer.drain()
            finally:
                writer.close()

    @contextmanager
    def _counted(self) -> Iterator[bool]:
        self._connections += 1
        try:
            yield self._connections <= CONNECTIONS
        finally:
            self._connections -= 1

    async def _reply(self, head: list[str] | None) -> bytes:
        method, _, rest = (head or [""])[0].partition(" ")
        path, _, version = rest.partition(" ")
        if head is None or not version.startswith("HTTP/1."):
            answer = Answer(400, b"not HTTP\n")
        elif method not in {"GET", "HEAD"}:
            answer = Answer(405, b"GET only\n")
        else:
            answer = await self._respond(path.partition("?")[0], _field(head, "accept"))
        fields = (
            f"HTTP/1.1 {answer.status} {_WORDS[answer.status]}\r\n"
            f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n"
            f"Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        return fields.encode("ascii") + (b"" if method == "HEAD" else answer.body)


async def _head(reader: asyncio.StreamReader) -> list[str] | None:
    """Read up to the empty line; None: there is none in HEAD octets."""
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.LimitOverrunError:
        return None


def _field(head: list[str], name: str) -> str:
    fields = (line.partition(":") for line in head[1:])
    return next((value.strip() for key, _, value in fields if key.strip().lower() == name), "")
