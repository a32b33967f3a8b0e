"""One connection's life: its octets, its transport, the way into TLS, its deadlines and its end.

A subclass of aiosmtpd's SMTP, of which it keeps what asyncio is told that it is, and the timer. Its constructor, its
stream and task for each connection, its command loop and its commands are replaced (here and in session.py): they
reflect over the class for every connection, keep a line without end in memory, echo what they were sent, and answer
a fault of ours with 500, which loses the report. Its STARTTLS swaps private attributes of asyncio; ours is
loop.start_tls.

Octets are obeyed as they come, without a task of their own: whatever must be waited for is waited for by somebody
else, who calls `resume`.
"""

import asyncio
import ssl
from asyncio import sslproto
from time import monotonic
from typing import TYPE_CHECKING, cast

from aiosmtpd.smtp import SMTP

from bounced.listener.limits import SHUTTING_DOWN, Address

if TYPE_CHECKING:
    from bounced.listener.server import Listener

# What a peer may send ahead before its next octets stay in the kernel; no line is longer.
AHEAD = 64 * 1024
# A peer that sends ahead gets so many replies before the others have their turn.
TURN = 50
# How often a connection looks at its deadlines, in seconds.
TICK = 1.0
# What a peer has left to read after we have closed, in seconds; then the connection is cut.
LINGER = 5.0
# The minimum rate is held against what came in so many seconds: one lost packet is not slowness.
RATE_WINDOW = 30.0
# Seconds for a TLS handshake.
HANDSHAKE = 20.0
# Why nothing that has come is obeyed, as one number: it is asked at each command.
WAITS = 1  # it is we who are at work, and the peer cannot be late
YIELDS = 2  # others have their turn
FULL = 4  # the peer does not read what we answer
ENDED = 8
# What TLS reads at a time, a record: asyncio has a buffer of that size for each connection, else 256 KiB.
sslproto.SSLProtocol.max_size = 16 * 1024


class Connection(SMTP, asyncio.BufferedProtocol):
    """One connection to a Listener. A subclass serves it: `_begin` once, and `_take` whenever octets have come."""

    transport: asyncio.Transport
    peer: Address
    _timeout_duration = TICK
    _timeout_handle: asyncio.TimerHandle | None = None
    _is_open = False
    _is_tls = False
    _blocked = 0  # by WAITS, YIELDS, FULL, ENDED
    _holds_back = False  # what the peer sends stays in the kernel
    _is_over = False  # the peer sends no more
    _leaving = False  # it ends after the reply that is being made
    _farewell = ""  # the last reply
    _receiving = False  # between 354 and the reply to the final dot
    _window = 0.0  # since when the octets of a message are held against the rate; 0: not receiving
    _octets = _octets_before = 0  # heard in all, and before this window
    _cut_at = 0.0  # when to cut what we have closed
    _came = b""  # what has come; obeyed up to `_obeyed`
    _obeyed = 0

    def __init__(self, listener: "Listener") -> None:
        # Not SMTP.__init__, which takes longer than everything else that a short session does.
        self.loop = asyncio.get_running_loop()
        self._listener = listener
        self._replies: list[bytes] = []
        self._opened = self._command_at = monotonic()  # since when the peer owes us a command

    def _begin(self) -> None:
        """Say the first words, if they are ours to say."""
        raise NotImplementedError

    def _take(self) -> bool:
        """Obey the next command, or what else has come; say whether it had come whole."""
        raise NotImplementedError

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self.peer = Address.of(transport.get_extra_info("peername"))
        self._is_open = True
        self._listener.sessions.add(self)
        self._reset_timeout()
        self._begin()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - what it was changes nothing
        """End, from whichever side."""
        if self._is_open:
            self._is_open = False
            self._blocked |= ENDED
            cast("asyncio.TimerHandle", self._timeout_handle).cancel()
            self._listener.left(self)
            if self._is_tls:
                del self.transport  # TLS holds on to us, and to its buffers, as long as we to it

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - we know better
        """Return the room for what comes, the same for all connections: `buffer_updated` clears it at once.

        A stream's quarter of a megabyte for each reading leaves the heap in pieces.
        """
        return self._listener.room

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came."""
        self._octets += nbytes
        data = bytes(self._listener.room[:nbytes])
        left = self._came[self._obeyed :]
        self._came = left + data if left else data
        self._obeyed = 0
        self._advance()

    def eof_received(self) -> bool:
        """Let a peer that has closed its half still read our reply."""
        self._is_over = True
        self._advance()
        if self._is_tls:  # which has no half
            self.say()
        return not self._is_tls

    def pause_writing(self) -> None:
        """Obey no more until the peer has read what was answered."""
        self._blocked |= FULL

    def resume_writing(self) -> None:
        """Go on, as soon as the transport is done: it must not be closed by whom it calls in the middle of a write."""
        self._blocked &= ~FULL
        self.loop.call_soon(self._advance)

    # What has come

    def _advance(self) -> None:
        """Obey what has come whole, up to what must be waited for."""
        turns = TURN
        while not self._blocked:
            if self._leaving and not self._receiving:
                self.close()
            elif self._obeyed == len(self._came) or not self._take():
                break
            elif not (turns := turns - 1):
                self._blocked |= YIELDS
                self.loop.call_soon(self._take_turn)
        if turns < TURN:
            self._command_at = monotonic()
        blocked = self._blocked
        if blocked & ENDED:
            return
        if self._is_over and not blocked:
            self.close()  # what it had not finished it will send again
        elif self._holds_back is not (blocked > 0 and len(self._came) - self._obeyed > AHEAD):
            self._holds_back = not self._holds_back
            if self._holds_back:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def _take_turn(self) -> None:
        self._blocked &= ~YIELDS
        self._advance()

    def resume(self) -> None:
        """Go on with what has come: what was waited for is done."""
        self._blocked &= ~WAITS
        self._command_at = monotonic()
        self._advance()

    # What goes out

    def _send(self, reply: str) -> None:
        """Have a reply go out with the others to what came together, RFC 2920 section 3.2."""
        self._listener.let_say(self)
        self._replies.append(f"{reply}\r\n".encode("ascii"))

    def say(self) -> None:
        """Have the replies go out, and end if they were the last."""
        if self._is_open:
            if self._replies:
                self.transport.write(b"".join(self._replies))
                self._replies.clear()
            if self._cut_at:
                self.transport.close()

    def leave(self) -> None:
        """End as soon as nothing is lost by it: now, or after the message that is coming in."""
        self._leaving = True
        self._farewell = SHUTTING_DOWN
        if not self._receiving:
            self.close()

    def close(self) -> None:
        """End as soon as the peer has read what was written, in LINGER seconds at the latest."""
        if not self._cut_at:
            if self._farewell:
                self._send(self._farewell)
            self._cut_at = monotonic() + LINGER
            self._blocked |= ENDED
            self._listener.let_say(self)

    def abort(self) -> None:
        """End now; what has not got its reply comes again."""
        self.transport.abort()

    # TLS

    def _start_tls(self, context: ssl.SSLContext, go_ahead: str) -> None:
        """Tell the peer to go ahead, and go on over TLS when it has.

        What the peer sent in clear behind its STARTTLS is forgotten: RFC 3207 section 4.2, CVE-2011-0411.
        Nothing can slip in later: the transport does not read again before TLS reads from it.
        """
        self.transport.pause_reading()
        self._came, self._obeyed = b"", 0
        self._send(go_ahead)
        self.say()
        if self._blocked & FULL:
            self.abort()  # who has not read so much does not wait for TLS, which knows of no pause before it
        self._blocked |= WAITS  # the handshake has a time limit of its own
        self._handshake = self.loop.create_task(self._shake_hands(context))

    async def _shake_hands(self, context: ssl.SSLContext) -> None:
        if self.transport.is_closing():
            return  # TLS on a connection that is lost already would never end
        try:
            transport = await self.loop.start_tls(
                self.transport, self, context, server_side=True, ssl_handshake_timeout=HANDSHAKE
            )
            if transport is None:
                raise ConnectionResetError("the peer left")
        except OSError as error:
            self._listener.refused(self.peer, f"TLS handshake: {getattr(error, 'reason', None) or error}")
            self.abort()
            self.connection_lost(error)  # TLS tells us of no end before there was a handshake
            error.__traceback__ = None  # whose frames hold TLS with its buffers, which holds the error
        else:
            self.transport = transport
            self._is_tls = True
            self.resume()

    # Deadlines

    def _expect_message(self) -> None:
        self._window = monotonic()
        self._octets_before = self._octets

    def _timeout_cb(self) -> None:
        """Look at the deadlines: aiosmtpd's timer calls this."""
        now = monotonic()
        if self._cut_at:
            if now >= self._cut_at:
                self.abort()
        elif not self._blocked & WAITS and (reason := self._overdue(now)):
            self._listener.refused(self.peer, reason)
            if self.transport.get_write_buffer_size():
                self.abort()  # it does not read what we answer
            else:
                self._send(reason)
                self.close()
        self._reset_timeout()

    def _overdue(self, now: float) -> str:
        """Return the reply to a peer that has let a deadline pass; "": it has not."""
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
