"""What every process of the daemon has: reasons not to start, and signals that end it."""

import asyncio
import os
import signal


class CannotStart(Exception):  # noqa: N818 - it says what is the case
    """The daemon cannot run; the words say what to do, or are empty when somebody has said them."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status  # of the process, as docs/commands.md lists them


def stop_on_signal() -> asyncio.Future[str]:
    """Return what the first SIGTERM or SIGINT completes; a second SIGINT ends the process on the spot."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()

    def on_signal(number: signal.Signals) -> None:
        if not stop.done():
            stop.set_result(number.name)
        elif number is signal.SIGINT:
            os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop
