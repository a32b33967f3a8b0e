"""The listening sockets, what every session shares, and an end that loses nothing."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable

from bounced.intake import Arrival
from bounced.listener.session import SHUTTING_DOWN, TOO_MANY, Session

# Connections that the kernel keeps for us while we are busy.
BACKLOG = 1024


class Listener:
    """Takes SMTP connections and hands each whole message to `accept`, whose answer is the reply."""

    def __init__(
        self,
        accept: Callable[[Arrival], Coroutine[None, None, str]],
        *,
        hostname: str,
        domains: Iterable[str] = (),
        message_size: int = 0,
        recipients: int = 0,
        connections: int = 0,
    ) -> None:
        """Take mail for `domains` (lower case; none: for any domain). A limit of 0 is no limit.

        `accept` is never cancelled, not even when the peer hangs up, and may raise nothing.
        """
        # aiosmtpd writes every command to this logger, as it came.
        logging.getLogger("mail.log").setLevel(logging.CRITICAL + 1)
        self.hostname = hostname
        self.message_size = message_size
        self.recipients = recipients
        self.connections = connections
        self.sessions: set[Session] = set()
        self._accept = accept
        self._domains = frozenset(domains)
        self._commits: set[asyncio.Task[str]] = set()
        self._draining = False
        self._servers: list[asyncio.Server] = []

    async def listen(self, host: str, port: int) -> int:
        """Listen there too and return the port, which is one of the system's choice for 0. Raises OSError."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Session(self), host, port, backlog=BACKLOG)
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    def is_ours(self, domain: str) -> bool:
        """Whether mail for `domain` is taken; "" is that of a bare postmaster, RFC 5321 section 4.5.1."""
        return not domain or not self._domains or domain.lower() in self._domains

    def refusal(self) -> str | None:
        """Return the reply that turns a new connection away; None: it may stay."""
        if self._draining:
            return SHUTTING_DOWN
        return TOO_MANY if len(self.sessions) > self.connections > 0 else None

    async def commit(self, arrival: Arrival) -> str:
        """Have the message accepted and return the reply; it is finished even if the session is cancelled."""
        task = asyncio.create_task(self._accept(arrival))
        self._commits.add(task)
        task.add_done_callback(self._commits.discard)
        return await asyncio.shield(task)

    async def drain(self, patience: float) -> None:
        """Stop: no new connections, 421 to idle sessions, then up to `patience` seconds for the others."""
        self._draining = True
        for server in self._servers:
            server.close()
        for session in tuple(self.sessions):
            session.leave()
        deadline = asyncio.get_running_loop().time() + patience
        while (busy := self._busy()) and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(busy, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for session in tuple(self.sessions):
            session.abort()

    def _busy(self) -> set[asyncio.Task[str] | asyncio.Task[None]]:
        serving = {session.task for session in self.sessions if session.task is not None}
        return self._commits | {task for task in serving if not task.done()}
