"""The listening sockets, what every session shares, and an end that loses nothing."""

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from bounced import events
from bounced.intake import TRY_AGAIN, Arrival
from bounced.listener.connection import AHEAD, Connection
from bounced.listener.limits import SHUTTING_DOWN, Address, Gate, Memory
from bounced.listener.lmtp import LmtpSession
from bounced.listener.returnpath import Judgement
from bounced.listener.session import Session
from bounced.listener.terms import Terms
from bounced.sockets import BACKLOG, Listening


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
        # asyncio warns here of every peer that hangs up amid TLS.
        logging.getLogger("asyncio").setLevel(logging.ERROR)
        self.hostname = hostname
        self.terms = terms
        self.sessions: set[Connection] = set()
        self.gate = Gate()
        self.memory = Memory()
        self.room = memoryview(bytearray(AHEAD))  # for what comes, until it is taken
        self._accept = accept
        self._commits: set[asyncio.Task[None]] = set()
        self._speaking: dict[Connection, None] = {}  # each once, in order
        self._draining = False
        self._ended = asyncio.Event()  # all of them, while draining
        self._servers: list[asyncio.Server] = []

    async def listen(self, on: Listening) -> None:
        """Take connections there too; the socket is closed with us."""
        loop = asyncio.get_running_loop()
        create: Any = loop.create_server
        options: dict[str, Any] = {"sock": on.socket, "backlog": BACKLOG}
        if on.socket.family == socket.AF_UNIX:
            create = loop.create_unix_server
            if sys.version_info >= (3, 13):
                options["cleanup_socket"] = False  # its path may be systemd's, or other workers may use it
        self._servers.append(await create(self._factory(lmtp=on.lmtp), **options))

    def _factory(self, *, lmtp: bool) -> Callable[[], Session]:
        return lambda: (LmtpSession if lmtp else Session)(self)

    @property
    def is_draining(self) -> bool:
        """Whether no more mail is taken."""
        return self._draining

    # What sessions ask

    def refusal(self, session: Connection) -> str | None:
        """Return the reply that turns a new connection away; None: it may stay."""
        if self._draining:
            return SHUTTING_DOWN
        events.connection_opened()
        now = asyncio.get_running_loop().time()
        return self.gate.enter(session, session.peer, self.terms.limits, now)

    def left(self, session: Connection) -> None:
        """Forget a connection that has ended."""
        self.sessions.discard(session)
        self.gate.leave(session)
        self._note_end()

    def refused(self, peer: Address, reply: str) -> None:
        """Note what a peer was refused."""
        events.smtp_refused(str(peer), reply.partition("\r\n")[0], peer.network)

    def forged(self, peer: Address, recipient: str, judgement: Judgement) -> None:
        """Note a return path without valid proof."""
        refused = bool(judgement.refusal)
        events.bounce_forged(str(peer), recipient, judgement.flaw, refused=refused, network=peer.network)

    def has_room(self, session: Connection) -> bool:
        """Whether another message may begin there."""
        return self.memory.has_room(self.gate.network_of(session), self.terms.limits)

    def hold(self, session: Connection, octets: int) -> bool:
        """Hold so many more octets of its message, if there is room."""
        return self.memory.take(octets, self.gate.network_of(session), self.terms.limits)

    def give_back(self, session: Connection, octets: int) -> None:
        """Hold so many less: its message is not coming in any more."""
        self.memory.give(octets, self.gate.network_of(session))

    def let_say(self, session: Connection) -> None:
        """Have it say what it has to when all are heard who have come: to wake a peer takes as long as to obey it."""
        if not self._speaking:
            session.loop.call_soon(self._say)
        self._speaking[session] = None

    def commit(self, session: Session, arrival: Arrival, held: int) -> None:
        """Have its message accepted, whose `held` octets are given back then, and tell it the reply."""
        network = self.gate.network_of(session)  # which may have left by then

        async def commit() -> None:
            try:
                reply = await self._accept(arrival)
            except Exception:  # noqa: BLE001 - it costs the peer a retry, not its report
                reply = TRY_AGAIN
            finally:
                self._commits.discard(task)
                self.memory.give(held, network)
                self._note_end()
            session.committed(reply)

        task = asyncio.create_task(commit())
        self._commits.add(task)

    async def drain(self, patience: float) -> None:
        """Stop: no new connections, 421 to idle sessions, then up to `patience` seconds for the others."""
        self._draining = True
        for server in self._servers:
            server.close()
        for session in tuple(self.sessions):
            session.leave()
        self._note_end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._ended.wait()
        for session in tuple(self.sessions):
            session.abort()

    def _say(self) -> None:
        speaking, self._speaking = self._speaking, {}
        for session in speaking:
            try:
                session.say()
            except Exception as error:  # noqa: BLE001 - a fault of ours must not silence the others
                events.internal_error(str(session.peer), error)
                session.abort()

    def _note_end(self) -> None:
        if self._draining and not self.sessions and not self._commits:
            self._ended.set()
