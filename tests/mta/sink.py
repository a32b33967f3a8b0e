"""A return path that only collects: every report as it came over SMTP."""

import queue
import re
from typing import Self

from aiosmtpd.controller import Controller

from .server import free_port

FINAL_RECIPIENT = re.compile(rb"^Final-Recipient: *rfc822; *<?([^\s>]+)", re.MULTILINE | re.IGNORECASE)


class Sink:
    """An SMTP listener on a free port of 127.0.0.1; a context manager. A `rig.ReturnPath`."""

    domain = "collected.example.com"

    def __init__(self) -> None:
        self.port = free_port()
        self.reports: list[bytes] = []
        self.reported: queue.Queue[str] = queue.Queue()
        self._listener = Controller(self, hostname="127.0.0.1", port=self.port, ready_timeout=10)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.stop()

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802
        """aiosmtpd's hook: the whole mail."""
        self.reports.append(envelope.original_content)
        for recipient in FINAL_RECIPIENT.findall(envelope.original_content):
            self.reported.put(recipient.decode())
        return "250 2.0.0 Ok"
