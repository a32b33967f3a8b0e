"""The SMTP dialogue: commands in, replies out, RFC 5321 with 1870, 2034, 2920, 3207, 6152 and 6531.

Replies are ASCII, carry an enhanced status code (RFC 3463) and never contain what the peer sent.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar

from bounced import events
from bounced.intake import TRY_AGAIN, Arrival
from bounced.listener import grammar, proxy
from bounced.listener.connection import Connection
from bounced.listener.data import NO_ROOM, DataError, read_data
from bounced.listener.returnpath import Judgement

if TYPE_CHECKING:
    from bounced.listener.server import Listener

# A peer that sends ahead gets so many replies before the others have their turn.
TURN = 50

# Web browsers can be made to send these to any port; nothing that they send afterwards is SMTP either.
NOT_SMTP = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT"})
# What a peer may say before STARTTLS where TLS is required, RFC 3207 section 4.
BEFORE_TLS = frozenset({"EHLO", "HELO", "NOOP", "STARTTLS", "QUIT"})
# What a message needs; all else is talk.
PROGRESS = frozenset({"MAIL", "RCPT", "DATA"})

Command = Callable[[Any, str], Awaitable[None]]


class Session(Connection):
    """One SMTP connection to a Listener."""

    protocol = "ESMTP"

    def __init__(self, listener: "Listener") -> None:
        super().__init__(listener)
        self._greeted = False
        self._errors = self._talk = self._messages = 0
        self._set_rset_state()

    def _set_rset_state(self) -> None:
        """Forget the transaction; aiosmtpd calls this too."""
        self._reverse_path: str | None = None  # between MAIL and the end of the transaction
        self._recipients: list[tuple[str, Judgement]] = []

    # The dialogue

    async def reply(self, text: str) -> None:
        """Send one reply; a multi-line one holds CRLF between its lines."""
        if text[0] in "45" and text != TRY_AGAIN:  # our own faults have lines of their own in the log
            self._listener.refused(self.peer, text)
            self._errors += text[0] == "5"
            if self._errors >= self._listener.terms.limits.errors > 0 and not self._leaving:
                text += "\r\n421 4.7.0 Too many errors"
                self._leaving = True
        self._writer.write(text.encode("ascii") + b"\r\n")
        await self._writer.drain()

    async def _handle_client(self) -> None:
        try:
            if self.peer.is_in(self._listener.terms.proxies):
                self.peer = await proxy.read_header(self._incoming) or self.peer
            if refusal := self._listener.refusal(self):
                await self.reply(refusal)
                return
            await self.reply(f"220 {self._listener.hostname} {self.protocol} bounced")
            turn = 0
            while not self._leaving:
                self._expect_command()
                await self._handle_command()
                turn += 1
                if turn % TURN == 0:
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the peer has gone: what it had not finished it will send again
        except proxy.ProxyError:
            self._listener.refused(self.peer, "no PROXY header")
        finally:
            self.close()

    async def _handle_command(self) -> None:
        try:
            line = await self._incoming.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            self._leaving = True
            await self.reply("500 5.5.2 Line too long")
            return
        command = grammar.command(line)
        if isinstance(command, str):
            await self.reply(command)
        else:
            await self._obey(*command)

    async def _obey(self, name: str, argument: str) -> None:
        command = self.COMMANDS.get(name)
        terms = self._listener.terms
        if command is None:
            self._leaving = self._leaving or name in NOT_SMTP
            await self.reply("500 5.5.1 Command not recognised")
            return
        self._talk += name not in PROGRESS
        if 0 < terms.limits.idle_commands < self._talk:
            self._leaving = True
            await self.reply("421 4.7.0 Too many commands and no message")
            return
        if terms.requires_tls and not self._is_tls and self.peer.host and name not in BEFORE_TLS:
            await self.reply("530 5.7.0 STARTTLS first")
            return
        try:
            await command(self, argument)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours must cost the peer a retry, not its report
            events.internal_error(str(self.peer), error)
            await self.reply(TRY_AGAIN)

    async def _ehlo(self, hostname: str) -> None:
        """RFC 5321 section 4.1.1.1."""
        if await self._greet(hostname):
            await self.reply("\r\n".join(self._extensions()))

    def _extensions(self) -> list[str]:
        terms = self._listener.terms
        size = terms.limits.message_size
        words = ["PIPELINING", f"SIZE {size:d}" if size else "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES"]
        if terms.certificate is not None and not self._is_tls:
            words.append("STARTTLS")
        return [f"250-{word}" for word in (self._listener.hostname, *words)] + ["250 SMTPUTF8"]

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

    async def _starttls(self, argument: str) -> None:
        """RFC 3207 section 4. Afterwards nothing is known that was said before."""
        certificate = self._listener.terms.certificate
        if argument:
            await self.reply("501 5.5.4 Syntax: STARTTLS")
        elif certificate is None or self._is_tls:
            await self.reply("503 5.5.1 There is no TLS to start")
        else:
            self._greeted = False
            self._set_rset_state()
            try:
                await self.upgrade(certificate.context(), b"220 2.0.0 Go ahead\r\n")
            except OSError as error:  # a handshake that fails ends the connection
                self._listener.refused(self.peer, f"TLS handshake: {getattr(error, 'reason', None) or error}")
                raise ConnectionError from error

    async def _mail(self, argument: str) -> None:
        """RFC 5321 section 4.1.1.2."""
        if not self._greeted:
            await self.reply("503 5.5.1 EHLO first")
        elif self._reverse_path is not None:
            await self.reply("503 5.5.1 One MAIL at a time")
        elif 0 < self._listener.terms.limits.messages <= self._messages:
            self._leaving = True
            await self.reply("421 4.7.0 Enough for one session, come back for the rest")
        elif (path := grammar.reverse_path(argument)) is None:
            await self.reply("501 5.5.4 Syntax: MAIL FROM:<address> [parameters]")
        elif refusal := grammar.refusal(path.parameters, self._listener.terms.limits.message_size):
            await self.reply(refusal)
        else:
            self._reverse_path = str(path)
            await self.reply("250 2.1.0 OK")

    async def _rcpt(self, argument: str) -> None:
        """RFC 5321 section 4.1.1.3."""
        if self._reverse_path is None:
            await self.reply("503 5.5.1 MAIL first")
        elif (path := grammar.forward_path(argument)) is None:
            await self.reply("501 5.5.4 Syntax: RCPT TO:<address>")
        elif path.parameters:
            await self.reply("555 5.5.4 Parameter not supported")
        elif 0 < self._listener.terms.limits.recipients <= len(self._recipients):
            await self.reply("452 4.5.3 Too many recipients")
        else:
            judgement = self._listener.terms.return_paths.judge(path, self._reverse_path)
            if judgement.flaw:
                self._listener.forged(self.peer, str(path), judgement)
            if not judgement.refusal:
                self._recipients.append((str(path), judgement))
            await self.reply(judgement.refusal or "250 2.1.5 OK")

    async def _data(self, argument: str) -> None:
        """RFC 5321 section 4.1.1.4."""
        if argument:
            await self.reply("501 5.5.4 Syntax: DATA")
        elif not self._recipients:
            await self.reply("503 5.5.1 RCPT first")
        elif not self._listener.has_room():
            self._set_rset_state()
            await self.reply(NO_ROOM)
        else:
            self._receiving = True
            addressed = len(self._recipients)
            try:
                await self.reply("354 End data with <CR><LF>.<CR><LF>")
                reply = await self._take_message()
            finally:
                self._receiving = False
                self._set_rset_state()
            await self._answer(reply, addressed)
            if self._leaving:
                self.leave()

    async def _answer(self, reply: str, _addressed: int) -> None:
        """Answer the final dot."""
        await self.reply(reply)

    async def _take_message(self) -> str:
        """Return the reply to the final dot."""
        held = 0

        def hold(octets: int) -> bool:
            nonlocal held
            taken = self._listener.hold(octets)
            held += octets if taken else 0
            return taken

        self._expect_message()
        try:
            content = await read_data(self._incoming, self._listener.terms.limits.message_size, hold)
            arrival = Arrival(
                content,
                str(self.peer),
                self._reverse_path or "",
                tuple(address for address, _ in self._recipients),
                tuple(judgement.proof for _, judgement in self._recipients if judgement.counts),
            )
            committed = self._listener.commit(arrival, held)
            held = 0  # the commit gives it back: it may outlive this session
        except DataError as error:
            self._leaving = self._leaving or error.fatal
            return error.reply
        finally:
            self._listener.memory.give(held)
        self._is_ours = True
        try:
            reply = await asyncio.shield(committed)
        finally:
            self._is_ours = False
        self._messages += 1
        self._talk = 0
        return reply

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
        "STARTTLS": _starttls,
    }
