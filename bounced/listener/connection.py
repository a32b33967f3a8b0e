"""One connection's life: its octets, its transport, the way into TLS, its deadlines and its end.

A subclass of aiosmtpd's SMTP, of which it keeps opening, ending, the timer and the task that serves. Its command
loop, its commands and its constructor are replaced (here and in session.py): they reflect over the class for
every connection, keep a line without end in memory, echo what they were sent, and answer a fault of ours with
500, which loses the report. Its STARTTLS swaps private attributes of asyncio; ours is loop.start_tls.
"""

import asyncio
import ssl
from typing import TYPE_CHECKING, cast

from aiosmtpd.smtp import SMTP

from bounced.listener.data import Reader
from bounced.listener.limits import SHUTTING_DOWN, Address

if TYPE_CHECKING:
    from bounced.listener.server import Listener

# How much of one message is taken at a time.
PIECE = 64 * 1024
# How often a connection looks at its deadlines, in seconds.
TICK = 1.0
# What a peer has left to read after we have closed, in seconds; then the connection is cut.
LINGER = 5.0
# The minimum rate is held against what came in so many seconds: one lost packet is not slowness.
RATE_WINDOW = 30.0
# Seconds for a TLS handshake.
HANDSHAKE = 20.0


class Connection(SMTP):
    """One connection to a Listener. A subclass serves it, in `_handle_client`."""

    def __init__(self, listener: "Listener") -> None:
        # Not SMTP.__init__, which takes longer than everything else that a short session does. What follows
        # is what the inherited methods of 1.4.6 need; tests/listener holds this list against them.
        loop = asyncio.get_running_loop()
        reader = Reader(limit=PIECE, loop=loop)
        asyncio.StreamReaderProtocol.__init__(self, reader, self._cb_client_connected, loop=loop)
        self.loop = loop
        self.transport: asyncio.Transport | None = None
        self.session = None
        self.envelope = None
        self.tls_context = None
        self._tls_protocol = None
        self._original_transport = None
        self._handle_hooks = {}
        self._handler_coroutine: asyncio.Task[None] | None = None
        self._timeout_handle = None
        self._timeout_duration = TICK
        self.peer = Address.of(None)
        self._incoming = reader
        self._listener = listener
        self._is_tls = False
        self._in_clear: asyncio.StreamWriter | None = None  # what TLS writes through
        self._leaving = False  # it ends after the reply that is being made
        self._receiving = False  # between 354 and the reply to the final dot
        self._opened = self._command_at = loop.time()  # since when the peer owes us a command
        self._window = 0.0  # since when the octets of a message are held against the rate; 0: not receiving
        self._octets = self._octets_before = 0  # heard in all, and before this window
        self._is_ours = False  # it is we who are at work: the peer cannot be late
        self._cut_at = 0.0  # when to cut what we have closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: asyncio calls this."""
        super().connection_made(transport)
        self.peer = Address.of(transport.get_extra_info("peername"))
        self._listener.sessions.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """End, from whichever side: asyncio calls this."""
        self._listener.sessions.discard(self)
        self._listener.gate.leave(self)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Take what came: asyncio calls this."""
        self._octets += len(data)
        super().data_received(data)

    def eof_received(self) -> bool | None:
        """Let a peer that has closed its half still read our reply; aiosmtpd would cancel the commit here."""
        asyncio.StreamReaderProtocol.eof_received(self)
        return not self._is_tls  # TLS has no half

    async def handle_exception(self, error: Exception) -> str:
        """Never called: the commands are ours."""
        raise error

    def leave(self) -> None:
        """End as soon as nothing is lost by it: now, or after the message that is coming in."""
        self._leaving = True
        if not self._receiving and self.transport is not None and not self._cut_at:
            self._writer.write(SHUTTING_DOWN.encode() + b"\r\n")
            self.close()

    def close(self) -> None:
        """End as soon as the peer has read what was written, in LINGER seconds at the latest."""
        if not self._cut_at:
            self._cut_at = self.loop.time() + LINGER
            self._writer.close()

    def abort(self) -> None:
        """End now; what has not got its reply comes again."""
        if self.transport is not None:
            self.transport.abort()

    @property
    def task(self) -> asyncio.Task[None] | None:
        """What serves this connection, once it is open."""
        return self._handler_coroutine

    async def upgrade(self, context: ssl.SSLContext, go_ahead: bytes) -> None:
        """Go on over TLS. Raises OSError when there is no handshake within HANDSHAKE seconds.

        What the peer sent in clear behind its STARTTLS is forgotten: RFC 3207 section 4.2, CVE-2011-0411.
        Nothing can slip in later: the transport does not read again before TLS reads from it.
        """
        in_clear = cast("asyncio.Transport", self.transport)
        in_clear.pause_reading()
        self._incoming.forget()
        self._writer.write(go_ahead)
        self._is_ours = True  # the handshake has a time limit of its own
        try:
            # Not StreamWriter.start_tls, which breaks when there is no transport left after the handshake.
            transport = await self.loop.start_tls(
                in_clear, self, context, server_side=True, ssl_handshake_timeout=HANDSHAKE
            )
        finally:
            self._is_ours = False
        if transport is None:
            raise ConnectionResetError("the peer left during the handshake")
        self.transport = transport
        self._incoming.move_to(transport)
        # The writer before is kept: from Python 3.13 on it would close its transport as nobody knows it any more.
        self._in_clear = self._writer
        self._writer = asyncio.StreamWriter(transport, self, self._incoming, self.loop)
        self._is_tls = True

    # Deadlines

    def _expect_command(self) -> None:
        self._command_at = self.loop.time()
        self._window = 0.0

    def _expect_message(self) -> None:
        self._window = self.loop.time()
        self._octets_before = self._octets

    def _timeout_cb(self) -> None:
        """Look at the deadlines: aiosmtpd's timer calls this."""
        now = self.loop.time()
        if self._cut_at:
            if now >= self._cut_at:
                self.abort()
        elif not self._is_ours and (reason := self._overdue(now)):
            self._listener.refused(self.peer, reason)
            if self._writer.transport.get_write_buffer_size():
                self.abort()  # it does not read what we answer
            else:
                self._writer.write(reason.encode("ascii") + b"\r\n")
                self.close()
        self._reset_timeout()

    def _overdue(self, now: float) -> str:
        limits = self._listener.terms.limits
        if limits.session and now - self._opened > limits.session:
            return "421 4.4.2 This session has lasted long enough"
        if not self._window:
            return "421 4.4.2 Nothing heard for too long" if 0 < limits.idle < now - self._command_at else ""
        window, octets = RATE_WINDOW, limits.minimum_rate * RATE_WINDOW
        if not limits.minimum_rate:
            window, octets = limits.idle, 1
        if not window or now - self._window < window:
            return ""
        is_slow = self._octets - self._octets_before < octets
        self._expect_message()
        return "421 4.4.2 The message comes too slowly" if is_slow else ""
