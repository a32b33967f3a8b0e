"""Tells whoever has started us how we are, in the words of sd_notify(3), without its library.

That is systemd, or the parent of several workers (workers.py), or nobody: then nothing is told.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from bounced.core.printable import printable

# Telling must not keep mail waiting; what cannot be told in so many seconds is not.
PATIENCE = 1.0
DRAINING = "Takes no more mail and finishes what was accepted"


class Supervisor:
    """Who wants to know."""

    def __init__(self, channel: socket.socket | None = None, every: float | None = None) -> None:
        """Tell it through `channel`. It wants to hear that we are alive every so many seconds, or never."""
        self._channel = channel
        self._every = every

    @classmethod
    def of_environment(cls) -> Self:
        """Return systemd, or nobody. The processes that we start will not take themselves for us."""
        address = os.environ.pop("NOTIFY_SOCKET", "")
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        meant_for = os.environ.pop("WATCHDOG_PID", str(os.getpid()))
        if not address.startswith(("/", "@")):
            return cls()
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        channel.settimeout(PATIENCE)
        with suppress(OSError):  # it will notice that it does not hear of us
            channel.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
        watched = microseconds.isdigit() and meant_for == str(os.getpid())
        return cls(channel, int(microseconds) / 2e6 if watched else None)  # half of what it waits

    def ready(self, status: str = "") -> None:
        """Say that all is open, or that what was read again is in force; a `status` is for a person."""
        self._tell("READY=1", *([f"STATUS={printable(status)}"] if status else []))

    def reloading(self) -> None:
        """Say that settings are being read again; `ready` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str) -> None:
        """Say that the end has begun."""
        self._tell("STOPPING=1", f"STATUS={printable(status)}")

    async def keep_informed(self, is_well: Callable[[], bool] = lambda: True) -> None:
        """Say that the event loop turns, as long as all `is_well`; for ever, so run it as a task."""
        while self._every:
            if is_well():
                self._tell("WATCHDOG=1")
            await asyncio.sleep(self._every)

    def _tell(self, *lines: str) -> None:
        if self._channel is not None:
            with suppress(OSError):
                self._channel.send("\n".join(lines).encode())
