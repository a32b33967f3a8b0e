"""LMTP, RFC 2033: SMTP for the last hop, behind Postfix, Exim or Dovecot.

It begins with LHLO, and the final dot is answered once for each recipient. All get the same answer here: a message
is recorded as a whole or comes again as a whole.
"""

from typing import ClassVar

from bounced.listener.session import Command, Session


class LmtpSession(Session):
    """One LMTP connection to a Listener."""

    protocol = "LMTP"

    def _replies_to_data(self) -> int:
        """RFC 2033 section 4.2."""
        return len(self._recipients)

    COMMANDS: ClassVar[dict[str, Command]] = {
        name: command for name, command in Session.COMMANDS.items() if name not in ("EHLO", "HELO")
    } | {"LHLO": Session.COMMANDS["EHLO"]}
