"""`bounced check`: which addresses may be sent to."""

import argparse
import sys
from datetime import UTC, datetime

from bounced.addresses import given
from bounced.commands import Exit, say
from bounced.commands.asking import ask, batches
from bounced.commands.progress import progress
from bounced.core.printable import printable
from bounced.store import Store

RED, GREEN, PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[0m"


def run(args: argparse.Namespace) -> int:
    """Print "send" or "rest" for each address."""

    async def work(store: Store) -> int:
        all_may = True
        with progress("addresses", sys.stdin.fileno() if "-" in args.addresses else None) as advance:
            for batch in batches(args.addresses):
                pairs = [(written, given(written)) for written in batch]
                known = [address for _, address in pairs if address is not None]
                until = dict(zip(known, await store.check(known), strict=True))
                for written, address in pairs:
                    verdict = "invalid" if address is None else _verdict(until[address])
                    all_may = all_may and verdict == "send"
                    _print(written, verdict)
                advance(len(batch))
        return Exit.OK if all_may else Exit.NO

    return ask(args, work)


def _verdict(until: int | None) -> str:
    if until is None:
        return "send"
    return f"rest\t{datetime.fromtimestamp(until, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _print(address: str, verdict: str) -> None:
    if sys.stdout.isatty():
        colour = GREEN if verdict == "send" else RED
        say(f"{colour}{verdict.replace(chr(9), ' until '):<32}{PLAIN}{printable(address)}")
    else:
        say(f"{printable(address)}\t{verdict}")
