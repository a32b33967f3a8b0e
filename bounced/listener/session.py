"""The SMTP dialogue: commands in, replies out, RFC 5321 with 1870, 2034, 2920, 3207, 6152 and 6531.

Replies are ASCII, carry an enhanced status code (RFC 3463) and never contain what the peer sent.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from bounced import events
from bounced.intake import TRY_AGAIN, Arrival
from bounced.listener import grammar, proxy
from bounced.listener.connection import AHEAD, WAITS, Connection
from bounced.listener.data import NO_ROOM, Data, DataError
from bounced.listener.returnpath import Judgement

if TYPE_CHECKING:
    from bounced.listener.server import Listener

# Web browsers can be made to send these to any port; nothing that they send afterwards is SMTP either.
NOT_SMTP = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT"})
# What a peer may say before STARTTLS where TLS is required, RFC 3207 section 4.
BEFORE_TLS = frozenset({"EHLO", "HELO", "NOOP", "STARTTLS", "QUIT"})
# What a message needs; all else is talk.
PROGRESS = frozenset({"MAIL", "RCPT", "DATA"})

# Takes the argument; returns the reply, or "" when it has seen to that.
Command = Callable[[Any, str], str]


class Session(Connection):
    """One SMTP connection to a Listener."""

    protocol = "ESMTP"
    _awaits_header = False  # that a proxy sends first
    _greeted = False
    _errors = _talk = _messages = 0
    _held = 0  # octets of the message that is coming in
    _data: Data | None = None  # the message, between 354 and its end

    def __init__(self, listener: "Listener") -> None:
        super().__init__(listener)
        self._set_rset_state()

    def _set_rset_state(self) -> None:
        """Forget the transaction."""
        self._reverse_path: str | None = None  # between MAIL and the end of the transaction
        self._recipients: list[tuple[str, Judgement]] = []

    # The dialogue

    def _begin(self) -> None:
        self._awaits_header = self.peer.is_in(self._listener.terms.proxies)
        if not self._awaits_header:
            self._welcome()

    def _welcome(self) -> None:
        if refusal := self._listener.refusal(self):
            self.reply(refusal)
            self.close()
        else:
            self.reply(f"220 {self._listener.hostname} {self.protocol} bounced")

    def _take(self) -> bool:
        if self._data is not None:
            return self._take_message(self._data)
        return self._take_header() if self._awaits_header else self._take_command()

    def _take_header(self) -> bool:
        try:
            header = proxy.read_header(self._came)
        except proxy.ProxyError:
            self._refuse_proxy()
            return False
        if header is None:
            return False
        peer, self._obeyed = header
        self.peer = peer or self.peer
        self._awaits_header = False
        self._welcome()
        return True

    def _refuse_proxy(self) -> None:
        self._listener.refused(self.peer, "no PROXY header")
        self.close()

    def _overdue(self, now: float) -> str:
        if not self._awaits_header:
            return super()._overdue(now)
        if now - self._opened > proxy.SECONDS:
            self._refuse_proxy()
        return ""

    def _take_command(self) -> bool:
        came, start = self._came, self._obeyed
        end = came.find(b"\n", start) + 1
        if end:
            self._obeyed = end
            command = grammar.command(came[start:end])
            reply = command if isinstance(command, str) else self._obey(*command)
            if reply:
                self.reply(reply)
        elif len(came) - start > AHEAD:
            self._leaving = True
            self.reply("500 5.5.2 Line too long")
            return True
        return end > 0

    def _obey(self, name: str, argument: str) -> str:
        command = self.COMMANDS.get(name)
        terms = self._listener.terms
        if command is None:
            self._leaving = self._leaving or name in NOT_SMTP
            return "500 5.5.1 Command not recognised"
        self._talk += name not in PROGRESS
        if 0 < terms.limits.idle_commands < self._talk:
            self._leaving = True
            return "421 4.7.0 Too many commands and no message"
        if terms.requires_tls and not self._is_tls and self.peer.host and name not in BEFORE_TLS:
            return "530 5.7.0 STARTTLS first"
        try:
            return command(self, argument)
        except Exception as error:  # noqa: BLE001 - a fault of ours must cost the peer a retry, not its report
            events.internal_error(str(self.peer), error)
            return TRY_AGAIN

    def reply(self, text: str) -> None:
        """Send one reply; a multi-line one holds CRLF between its lines."""
        if text[0] in "45" and text != TRY_AGAIN:  # our own faults have lines of their own in the log
            self._listener.refused(self.peer, text)
            self._errors += text[0] == "5"
            if self._errors >= self._listener.terms.limits.errors > 0 and not self._leaving:
                text += "\r\n421 4.7.0 Too many errors"
                self._leaving = True
        self._send(text)

    def _ehlo(self, hostname: str) -> str:
        """RFC 5321 section 4.1.1.1."""
        terms = self._listener.terms
        offers_tls = terms.certificate is not None and not self._is_tls
        return self._greet(hostname) or _extensions(
            self._listener.hostname, terms.limits.message_size, offers_tls=offers_tls
        )

    def _helo(self, hostname: str) -> str:
        """RFC 5321 section 4.1.1.1."""
        return self._greet(hostname) or f"250 {self._listener.hostname}"

    def _greet(self, hostname: str) -> str:
        if not hostname:
            return "501 5.5.4 Say who you are: EHLO hostname"
        self._set_rset_state()
        self._greeted = True
        return ""

    def _starttls(self, argument: str) -> str:
        """RFC 3207 section 4. Afterwards nothing is known that was said before."""
        certificate = self._listener.terms.certificate
        if argument:
            return "501 5.5.4 Syntax: STARTTLS"
        if certificate is None or self._is_tls:
            return "503 5.5.1 There is no TLS to start"
        self._greeted = False
        self._set_rset_state()
        self._start_tls(certificate.context(), "220 2.0.0 Go ahead")
        return ""

    def _mail(self, argument: str) -> str:
        """RFC 5321 section 4.1.1.2."""
        limits = self._listener.terms.limits
        if not self._greeted:
            return "503 5.5.1 EHLO first"
        if self._reverse_path is not None:
            return "503 5.5.1 One MAIL at a time"
        if 0 < limits.messages <= self._messages:
            self._leaving = True
            return "421 4.7.0 Enough for one session, come back for the rest"
        path = grammar.reverse_path(argument)
        if path is None:
            return "501 5.5.4 Syntax: MAIL FROM:<address> [parameters]"
        if refusal := grammar.refusal(path.parameters, limits.message_size):
            return refusal
        self._reverse_path = str(path)
        return "250 2.1.0 OK"

    def _rcpt(self, argument: str) -> str:
        """RFC 5321 section 4.1.1.3."""
        terms = self._listener.terms
        if self._reverse_path is None:
            return "503 5.5.1 MAIL first"
        path = grammar.forward_path(argument)
        if path is None:
            return "501 5.5.4 Syntax: RCPT TO:<address>"
        if path.parameters:
            return "555 5.5.4 Parameter not supported"
        if 0 < terms.limits.recipients <= len(self._recipients):
            return "452 4.5.3 Too many recipients"
        judgement = terms.return_paths.judge(path, self._reverse_path)
        if judgement.flaw:
            self._listener.forged(self.peer, str(path), judgement)
        if not judgement.refusal:
            self._recipients.append((str(path), judgement))
        return judgement.refusal or "250 2.1.5 OK"

    def _rset(self, argument: str) -> str:
        """RFC 5321 section 4.1.1.5."""
        if argument:
            return "501 5.5.4 Syntax: RSET"
        self._set_rset_state()
        return "250 2.0.0 OK"

    def _noop(self, _argument: str) -> str:
        """RFC 5321 section 4.1.1.9."""
        return "250 2.0.0 OK"

    def _vrfy(self, _argument: str) -> str:
        """RFC 5321 section 4.1.1.6; section 7.3 lets a server keep its addresses to itself."""
        return "252 2.5.0 Send mail and see"

    def _quit(self, argument: str) -> str:
        """RFC 5321 section 4.1.1.10."""
        if argument:
            return "501 5.5.4 Syntax: QUIT"
        self._leaving = True
        return "221 2.0.0 Bye"

    # The message

    def _start_data(self, argument: str) -> str:
        """RFC 5321 section 4.1.1.4."""
        if argument:
            return "501 5.5.4 Syntax: DATA"
        if not self._recipients:
            return "503 5.5.1 RCPT first"
        if not self._listener.has_room(self):
            self._set_rset_state()
            return NO_ROOM
        self._receiving = True
        self._data = Data(self._listener.terms.limits.message_size, self._hold)
        self._expect_message()
        return "354 End data with <CR><LF>.<CR><LF>"

    def _hold(self, octets: int) -> bool:
        taken = self._listener.hold(self, octets)
        self._held += octets if taken else 0
        return taken

    def _take_message(self, data: Data) -> bool:
        octets, self._came, self._obeyed = self._came[self._obeyed :], b"", 0
        try:
            content = data.take(octets)
        except DataError as error:
            self._came = data.rest
            self._leaving = self._leaving or error.fatal
            self._forget_message()
            self._answer(error.reply)
            return True
        if content is None:
            return False
        self._came = data.rest
        arrival = Arrival(
            content,
            str(self.peer),
            self._reverse_path or "",
            tuple([address for address, _ in self._recipients]),
            tuple([judgement.proof for _, judgement in self._recipients if judgement.counts]),
        )
        # The commit gives back what is held: it may outlive this session.
        held, self._held = self._held, 0
        self._forget_message()
        self._blocked |= WAITS
        self._listener.commit(self, arrival, held)
        return True

    def _forget_message(self) -> None:
        self._data = None
        self._window = 0.0
        if self._held:
            self._listener.give_back(self, self._held)
            self._held = 0

    def committed(self, reply: str) -> None:
        """Answer a message that was handed on, and go on."""
        if self._is_open:
            self._messages += 1
            self._talk = 0
            self._answer(reply)
            self.resume()

    def _answer(self, reply: str) -> None:
        """Answer the final dot; the transaction is over."""
        for _ in range(self._replies_to_data() - 1):
            self._send(reply)
        self.reply(reply)  # it is one refusal, however often it is said
        self._receiving = False
        self._set_rset_state()

    def _replies_to_data(self) -> int:
        return 1

    def connection_lost(self, error: Exception | None) -> None:
        """End: what had not come whole comes again."""
        self._forget_message()
        super().connection_lost(error)

    COMMANDS: ClassVar[dict[str, Command]] = {
        "EHLO": _ehlo,
        "HELO": _helo,
        "MAIL": _mail,
        "RCPT": _rcpt,
        "DATA": _start_data,
        "RSET": _rset,
        "NOOP": _noop,
        "VRFY": _vrfy,
        "QUIT": _quit,
        "STARTTLS": _starttls,
    }


@lru_cache
def _extensions(hostname: str, size: int, *, offers_tls: bool) -> str:
    """Return the reply to EHLO. A size of 0 is no limit."""
    words = [hostname, "PIPELINING", f"SIZE {size:d}" if size else "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES"]
    if offers_tls:
        words.append("STARTTLS")
    return "\r\n".join([*(f"250-{word}" for word in words), "250 SMTPUTF8"])
