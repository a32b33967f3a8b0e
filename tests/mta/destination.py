"""Where the tests' mail goes: an SMTP server that decides by the recipient's local part what goes wrong.

The replies are in `fates.py`. Mail goes to port 25 of loopback addresses of our own, found by MX as on the
Internet, so that no mail server has to be told anything about it but whom to ask for names.
"""

import errno
import secrets
import threading
from typing import Self

from aiosmtpd.controller import Controller

from .fates import BY_LOCAL_PART, Stage
from .nameserver import Nameserver

ACCEPTED = "250 2.0.0 Ok: queued"


class Destination:
    """The receiving side of the Internet, from the tests' point of view; a context manager.

    `address` answers SMTP on port 25 and DNS on port 53. Raises OSError when those ports cannot be had: not
    root, or another server holds them on all addresses.
    """

    def __init__(self) -> None:
        self._relented = threading.Event()
        self._reserve()

    def _reserve(self) -> None:
        # Any address of 127/8 is ours to use; a random one keeps parallel runs apart.
        for attempt in range(20):
            net = f"127.{64 + secrets.randbelow(190)}.{secrets.randbelow(256)}"
            self.address, broken, refused = f"{net}.1", f"{net}.2", f"{net}.3"
            try:
                self._names = Nameserver(self.address, broken, refused)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or attempt == 19:
                    raise
            else:
                break
        self._listeners = [
            Controller(
                self, hostname=host, port=25, server_hostname="mx.destination.example", ready_timeout=10
            )
            for host in (self.address, broken)
        ]

    def __enter__(self) -> Self:
        self._names.start()
        for listener in self._listeners:
            listener.start()
        return self

    def __exit__(self, *_error: object) -> None:
        for listener in self._listeners:
            listener.stop()
        self._names.stop()

    def relent(self) -> None:
        """From now on mail for a fate of `Stage.RELENTS` is accepted."""
        self._relented.set()

    async def handle_RCPT(self, server, _session, envelope, address, _options):  # noqa: N802
        """aiosmtpd's hook: the reply to RCPT TO, and nothing at all for a fate that loses the connection."""
        fate = BY_LOCAL_PART.get(address.partition("@")[0])
        if fate is not None:
            if fate.stage is Stage.DROP:
                server.transport.abort()
            if fate.stage is Stage.RCPT or (fate.stage is Stage.RELENTS and not self._relented.is_set()):
                return fate.reply.format(address=address)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802
        """aiosmtpd's hook: the reply to the end of DATA."""
        for address in envelope.rcpt_tos:
            fate = BY_LOCAL_PART.get(address.partition("@")[0])
            if fate is not None and fate.stage is Stage.DATA:
                return fate.reply.format(address=address)
        return ACCEPTED
