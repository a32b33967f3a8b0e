"""A return path that only collects: every report as it came over SMTP."""

import queue
from types import TracebackType
from typing import Self

from aiosmtpd.controller import Controller

from .server import free_port


class Sink:
    """An SMTP listener on a free port of 127.0.0.1; a context manager. The mail is in `arrived`, raw, as it comes."""

    def __init__(self) -> None:
        self.port = free_port()
        self.arrived: queue.Queue[bytes] = queue.Queue()
        self._listener = Controller(self, hostname="127.0.0.1", port=self.port, ready_timeout=10)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None):
        self._listener.stop()

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802
        self.arrived.put(envelope.original_content)
        return "250 2.0.0 Ok"
