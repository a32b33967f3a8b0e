"""The listening sockets, what every session shares, and an end that loses nothing."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path

from bounced import events
from bounced.intake import Arrival
from bounced.listener.connection import Connection
from bounced.listener.limits import SHUTTING_DOWN, Address, Gate, Memory
from bounced.listener.lmtp import LmtpSession
from bounced.listener.returnpath import Judgement
from bounced.listener.session import Session
from bounced.listener.terms import Terms
from bounced.settings import Endpoint

# Connections that the kernel keeps for us while we are busy.
BACKLOG = 1024


class Listener:
    """Takes connections and hands each whole message to `accept`, whose answer is the reply."""

    def __init__(
        self, accept: Callable[[Arrival], Coroutine[None, None, str]], *, hostname: str, terms: Terms
    ) -> None:
        """Take mail on `terms`, which may be replaced at any time.

        `accept` is never cancelled, not even when the peer hangs up, and may raise nothing.
        """
        # aiosmtpd writes every command to this logger, as it came.
        logging.getLogger("mail.log").setLevel(logging.CRITICAL + 1)
        self.hostname = hostname
        self.terms = terms
        self.sessions: set[Connection] = set()
        self.gate = Gate()
        self.memory = Memory()
        self._accept = accept
        self._commits: set[asyncio.Task[str]] = set()
        self._draining = False
        self._servers: list[asyncio.Server] = []
        self._paths: list[Path] = []

    async def listen(self, endpoint: Endpoint, *, lmtp: bool = False) -> Endpoint:
        """Listen there too; return where, which is a port of the system's choice for 0. Raises OSError."""
        loop = asyncio.get_running_loop()
        if not endpoint.is_unix:
            server = await loop.create_server(self._factory(lmtp=lmtp), *endpoint, backlog=BACKLOG)
            self._servers.append(server)
            return endpoint._replace(port=server.sockets[0].getsockname()[1])
        path = Path(endpoint.host)
        self._servers.append(
            await loop.create_unix_server(self._factory(lmtp=lmtp), endpoint.host, backlog=BACKLOG)
    @property
    def is_draining(self) -> bool:
        """Whether no more mail is taken."""
        return self._draining

        )
        self._paths.append(path)
        path.chmod(0o660)  # noqa: ASYNC240 - once, at the start: for mail servers of our group, whatever the umask
        return endpoint

    async def adopt(self, listening: socket.socket, *, lmtp: bool = False) -> Endpoint:
        events.connection_opened()
        """Listen on a socket that somebody else has opened, as systemd does; return where."""
        loop = asyncio.get_running_loop()
        name = listening.getsockname()
        if listening.family == socket.AF_UNIX:
            self._servers.append(
                await loop.create_unix_server(self._factory(lmtp=lmtp), sock=listening, backlog=BACKLOG)
            )
            return Endpoint(str(name), 0)
        self._servers.append(
            await loop.create_server(self._factory(lmtp=lmtp), sock=listening, backlog=BACKLOG)
        )
        return Endpoint(*name[:2])

    def _factory(self, *, lmtp: bool) -> Callable[[], Session]:
        return lambda: (LmtpSession if lmtp else Session)(self)

    # What sessions ask

    def refusal(self, session: Connection) -> str | None:
        """Return the reply that turns a new connection away; None: it may stay."""
        if self._draining:
            return SHUTTING_DOWN
        now = asyncio.get_running_loop().time()
        return self.gate.enter(session, session.peer, self.terms.limits, now)

    def refused(self, peer: Address, reply: str) -> None:
        """Note what a peer was refused."""
        events.smtp_refused(str(peer), reply.partition("\r\n")[0], peer.network)

    def forged(self, peer: Address, recipient: str, judgement: Judgement) -> None:
        """Note a return path without valid proof."""
        refused = bool(judgement.refusal)
        events.bounce_forged(str(peer), recipient, judgement.flaw, refused=refused, network=peer.network)

    def has_room(self) -> bool:
        """Whether another message may begin."""
        return not self.terms.limits.message_memory or self.memory.held < self.terms.limits.message_memory

    def hold(self, octets: int) -> bool:
        """Hold so many more octets of a message, if there is room."""
        return self.memory.take(octets, self.terms.limits.message_memory)

    def commit(self, arrival: Arrival, held: int) -> "asyncio.Task[str]":
        """Have the message accepted, whose `held` octets are given back then; the result is the reply.

        Whoever waits for it must shield it: it is finished even if the session is cancelled.
        """
        task = asyncio.create_task(self._accept(arrival))
        self._commits.add(task)

        def done(task: "asyncio.Task[str]") -> None:
            self._commits.discard(task)
            self.memory.give(held)

        task.add_done_callback(done)
        return task

    async def drain(self, patience: float) -> None:
        """Stop: no new connections, 421 to idle sessions, then up to `patience` seconds for the others."""
        self._draining = True
        for server in self._servers:
            server.close()
        for path in self._paths:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
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
