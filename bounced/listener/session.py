"""One SMTP connection: commands in, replies out, RFC 5321 with 1870, 2034, 2920, 6152 and 6531.

A subclass of aiosmtpd's SMTP, which keeps the connection's life (transport, time-out, later STARTTLS). Its
command loop, its commands and its constructor are replaced: they reflect over the class for every connection,
keep a line without end in memory, echo what they were sent, and answer a fault of ours with 500, which
loses the report.

Replies are ASCII, carry an enhanced status code (RFC 3463) and never contain what the peer sent.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar

from aiosmtpd.smtp import SMTP

from bounced import events
from bounced.intake import TRY_AGAIN, Arrival
from bounced.listener import grammar
from bounced.listener.data import DataError, Reader, read_data

if TYPE_CHECKING:
    from bounced.listener.server import Listener

# How much of one message is taken at a time.
PIECE = 64 * 1024
# RFC 5321 section 4.5.3.1.4, and what BODY, SIZE and SMTPUTF8 add to it (RFC 6152, 1870 and 6531).
COMMAND_LENGTH = 512 + 17 + 26 + 10
# RFC 5321 section 4.5.3.2.7: a server waits five minutes for the next command.
IDLE_TIMEOUT = 300.0
# A peer that gets this many 5xx in one session is guessing, or broken.
ERRORS = 20

SHUTTING_DOWN = "421 4.3.2 Shutting down, come back later"
TOO_MANY = "421 4.3.2 Too many connections, come back later"

CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
# Web browsers can be made to send these to any port; nothing that they send afterwards is SMTP either.
NOT_SMTP = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT"})
BODY_VALUES = frozenset({"7BIT", "8BITMIME"})

Command = Callable[["Session", str], Awaitable[None]]


class Session(SMTP):
    """One connection to a Listener."""

    def __init__(self, listener: "Listener") -> None:
        # Not SMTP.__init__, which takes longer than everything else that a short session does. What follows
        # is what the inherited methods of 1.4.6 need; tests/listener holds this list against them.
        loop = asyncio.get_running_loop()
        reader = Reader(limit=PIECE, loop=loop)
        asyncio.StreamReaderProtocol.__init__(self, reader, self._cb_client_connected, loop=loop)
        self.loop = loop
        self.transport = None
        self.session = None
        self.envelope = None
        self.tls_context = None
        self._tls_protocol = None
        self._original_transport = None
        self._handle_hooks = {}
        self._handler_coroutine = None
        self._timeout_handle = None
        self._timeout_duration = IDLE_TIMEOUT
        self.peer = ""  # the other side as "address:port"
        self._incoming = reader
        self._listener = listener
        self._greeted = False
        self._reverse_path: str | None = None  # between MAIL and the end of the transaction
        self._recipients: list[str] = []
        self._receiving = False  # between 354 and the reply to the final dot
        self._leaving = False  # the session ends after the reply that is being made
        self._errors = 0

    # The connection's life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: asyncio calls this."""
        super().connection_made(transport)
        self.peer = _endpoint(transport.get_extra_info("peername"))
        self._listener.sessions.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """End, from whichever side: asyncio calls this."""
        self._listener.sessions.discard(self)
        super().connection_lost(error)

    def eof_received(self) -> bool | None:
        """Let a peer that has closed its half still read our reply; aiosmtpd would cancel the commit here."""
        return asyncio.StreamReaderProtocol.eof_received(self)

    def leave(self) -> None:
        """End the session as soon as nothing is lost by it: now, or after the message that is coming in."""
        self._leaving = True
        if not self._receiving and self.transport is not None:
            self._writer.write(SHUTTING_DOWN.encode() + b"\r\n")
            self._writer.close()

    def abort(self) -> None:
        """End the session now; what has not got its reply comes again."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    @property
    def task(self) -> asyncio.Task[None] | None:
        """What serves this connection, once it is open."""
        return self._handler_coroutine

    def _timeout_cb(self) -> None:
        self._writer.write(b"421 4.4.2 Nothing heard for too long\r\n")
        self._writer.close()

    def _set_rset_state(self) -> None:
        self._reverse_path = None
        self._recipients = []

    # The dialogue

    async def reply(self, text: str) -> None:
        """Send one reply; a multi-line one holds CRLF between its lines."""
        if text[0] == "5":
            self._errors += 1
            events.smtp_refused(self.peer, text)
            if self._errors >= ERRORS:
                text += "\r\n421 4.7.0 Too many errors"
                self._leaving = True
        self._writer.write(text.encode("ascii") + b"\r\n")
        await self._writer.drain()

    async def _handle_client(self) -> None:
        try:
            if refusal := self._listener.refusal():
                events.smtp_refused(self.peer, refusal)
                await self.reply(refusal)
                return
            await self.reply(f"220 {self._listener.hostname} ESMTP bounced")
            while not self._leaving:
                await self._handle_command()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the peer has gone: what it had not finished it will send again
        finally:
            self._writer.close()

    async def _handle_command(self) -> None:
        try:
            line = await self._incoming.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            self._leaving = True
            await self.reply("500 5.5.2 Line too long")
            return
        self._reset_timeout()
        if len(line) > COMMAND_LENGTH:
            await self.reply("500 5.5.2 Line too long")
            return
        if not line.endswith(b"\r\n") or CONTROL.search(line, 0, len(line) - 2):
            await self.reply("501 5.5.2 A command is one line without control characters, ended by CRLF")
            return
        try:
            name, _, argument = line[:-2].decode().partition(" ")
        except UnicodeDecodeError:
            await self.reply("501 5.5.2 A command is ASCII or UTF-8")
            return
        name = name.upper()
        command = self.COMMANDS.get(name)
        if command is None:
            self._leaving = self._leaving or name in NOT_SMTP
            await self.reply("500 5.5.1 Command not recognised")
            return
        try:
            await command(self, argument.strip(" "))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours must cost the peer a retry, not its report
            await self.reply(await self.handle_exception(error))

    async def handle_exception(self, error: Exception) -> str:
        """Say 451 to the peer, and what happened to the log."""
        events.internal_error(self.peer, error)
        return TRY_AGAIN

    async def _ehlo(self, hostname: str) -> None:
        """RFC 5321 section 4.1.1.1."""
        if not await self._greet(hostname):
            return
        size = self._listener.message_size
        await self.reply(
            f"250-{self._listener.hostname}\r\n"
            f"250-PIPELINING\r\n250-SIZE{f' {size:d}' if size else ''}\r\n"
            "250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8"
        )

    async def _helo(self, hostname: str) -> None:
        """RFC 5321 section 4.1.1.1."""
        if await self._greet(hostname):
            await self.reply(f"250 {self._listener.hostname}")

    async def _greet(self, hostname: str) -> bool:
        if not hostname:
            await self.reply("501 5.5.4 Say who you are: EHLO hostname")
            return False
        self._set_rset_state()
        self._greeted = True
        return True

    async def _mail(self, argument: str) -> None:
        """RFC 5321 section 4.1.1.2."""
        if not self._greeted:
            await self.reply("503 5.5.1 EHLO first")
        elif self._reverse_path is not None:
            await self.reply("503 5.5.1 One MAIL at a time")
        elif (path := grammar.reverse_path(argument)) is None:
            await self.reply("501 5.5.4 Syntax: MAIL FROM:<address> [parameters]")
        elif (refusal := self._refuse_parameters(path.parameters)) is not None:
            await self.reply(refusal)
        else:
            self._reverse_path = str(path)
            await self.reply("250 2.1.0 OK")

    def _refuse_parameters(self, parameters: dict[str, str]) -> str | None:
        size = parameters.get("SIZE", "0")
        limit = self._listener.message_size
        if not parameters.keys() <= {"SIZE", "BODY", "SMTPUTF8"}:
            return "555 5.5.4 Parameter not supported"
        if not (size.isascii() and size.isdigit()):
            return "501 5.5.4 SIZE is a number of octets"
        if 0 < limit < int(size):
            return "552 5.3.4 Message is larger than we take"
        if parameters.get("BODY", "7BIT").upper() not in BODY_VALUES:
            return "501 5.5.4 BODY is 7BIT or 8BITMIME"
        if parameters.get("SMTPUTF8"):
            return "501 5.5.4 SMTPUTF8 takes no value"
        return None

    async def _rcpt(self, argument: str) -> None:
        """RFC 5321 section 4.1.1.3."""
        if self._reverse_path is None:
            await self.reply("503 5.5.1 MAIL first")
        elif (path := grammar.forward_path(argument)) is None:
            await self.reply("501 5.5.4 Syntax: RCPT TO:<address>")
        elif path.parameters:
            await self.reply("555 5.5.4 Parameter not supported")
        elif not self._listener.is_ours(path.domain):
            await self.reply("550 5.7.1 We take mail for our return paths only")
        elif 0 < self._listener.recipients <= len(self._recipients):
            await self.reply("452 4.5.3 Too many recipients")
        else:
            self._recipients.append(str(path))
            await self.reply("250 2.1.5 OK")

    async def _data(self, argument: str) -> None:
        """RFC 5321 section 4.1.1.4."""
        if argument:
            await self.reply("501 5.5.4 Syntax: DATA")
        elif not self._recipients:
            await self.reply("503 5.5.1 RCPT first")
        else:
            self._receiving = True
            try:
                await self.reply("354 End data with <CR><LF>.<CR><LF>")
                reply = await self._take_message()
            finally:
                self._receiving = False
                self._set_rset_state()
            await self.reply(reply)
            if self._leaving:
                self.leave()

    async def _take_message(self) -> str:
        try:
            content = await read_data(self._incoming, self._listener.message_size, self._reset_timeout)
        except DataError as error:
            self._leaving = self._leaving or error.fatal
            return error.reply
        arrival = Arrival(content, self.peer, self._reverse_path or "", tuple(self._recipients))
        return await self._listener.commit(arrival)

    async def _rset(self, argument: str) -> None:
        """RFC 5321 section 4.1.1.5."""
        if argument:
            await self.reply("501 5.5.4 Syntax: RSET")
            return
        self._set_rset_state()
        await self.reply("250 2.0.0 OK")

    async def _noop(self, _argument: str) -> None:
        """RFC 5321 section 4.1.1.9."""
        await self.reply("250 2.0.0 OK")

    async def _vrfy(self, _argument: str) -> None:
        """RFC 5321 section 4.1.1.6; section 7.3 lets a server keep its addresses to itself."""
        await self.reply("252 2.5.0 Send mail and see")

    async def _quit(self, argument: str) -> None:
        """RFC 5321 section 4.1.1.10."""
        if argument:
            await self.reply("501 5.5.4 Syntax: QUIT")
            return
        self._leaving = True
        await self.reply("221 2.0.0 Bye")

    COMMANDS: ClassVar[dict[str, Command]] = {
        "EHLO": _ehlo,
        "HELO": _helo,
        "MAIL": _mail,
        "RCPT": _rcpt,
        "DATA": _data,
        "RSET": _rset,
        "NOOP": _noop,
        "VRFY": _vrfy,
        "QUIT": _quit,
    }


def _endpoint(peername: Any) -> str:  # noqa: ANN401 - what asyncio gives depends on the kind of socket
    if not isinstance(peername, tuple):
        return ""
    return f"[{peername[0]}]:{peername[1]}" if ":" in peername[0] else f"{peername[0]}:{peername[1]}"
