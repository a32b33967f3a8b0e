"""`bounced report`: what came back, as pictures: at the terminal, or as one HTML page."""

import argparse
import os
import sys
import time
from datetime import date
from pathlib import Path

from bounced import settings
from bounced.commands import Exit, complain, say
from bounced.commands.asking import ask
from bounced.commands.progress import progress
from bounced.reporting import sent
from bounced.reporting.figures import gather
from bounced.reporting.sent import Sent
from bounced.store import Store

DAYS = 30


def run(args: argparse.Namespace) -> int:
    """Gather the figures, and print or write them."""
    since = args.since if args.since is not None else int(time.time()) - DAYS * 86400

    def told(first: date, last: date) -> Sent:
        return sent.read(args.sent, first, last)

    async def work(store: Store) -> int:
        policy = settings.load(args.config, args.set).settings.decisions()
        try:
            with progress("entries", total=0) as advance:
                figures = await gather(store.archive, since, policy, told if args.sent else None, advance)
        except ValueError as error:
            complain(str(error))
            return Exit.USAGE
        if args.html is None:
            from bounced.reporting import terminal  # noqa: PLC0415 - takes its time

            terminal.show(figures)
            return Exit.OK
        from bounced.reporting import page  # noqa: PLC0415 - the same

        _write(args.html, page.render(figures))
        return Exit.OK

    try:
        return ask(args, work)
    except FileNotFoundError as error:
        complain(f"{error.filename}: {error.strerror}")
        return Exit.NO_INPUT


def _write(file: Path, text: str) -> None:
    """Write the whole page or none of it; "-" is stdout."""
    if str(file) == "-":
        sys.stdout.write(text)
        return
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, "utf-8")
        unfinished.replace(file)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    say(f"written: {file}")
