"""`bounced suppress`: leave an address alone, by hand."""

import argparse
from datetime import UTC, date, datetime, time, timedelta

from bounced.addresses import given
from bounced.commands import Exit, complain, say
from bounced.commands.asking import ask
from bounced.core.printable import printable
from bounced.store import Store


def run(args: argparse.Namespace) -> int:
    """Suppress the address and say until when it stands."""
    address = given(args.address)
    if address is None:
        complain(f"{args.address}: not an address")
        return Exit.USAGE
    try:
        until = None if args.until is None else _end_of(args.until)
    except ValueError:
        complain(f"{args.until}: expected a day to come, such as 2027-01-31")
        return Exit.USAGE

    async def work(store: Store) -> int:
        outcome = await store.suppress(address, until, args.reason)
        stands = datetime.fromtimestamp(outcome.hard_until or 0, UTC)
        say(f"{printable(address)}: rests until {stands:%Y-%m-%dT%H:%M:%SZ}")
        return Exit.OK

    return ask(args, work, creates=True)


def _end_of(day: str) -> int:
    """The Unix time at which a day ends. Raises ValueError for none, and for one that has gone by."""
    end = datetime.combine(date.fromisoformat(day), time(), UTC) + timedelta(days=1)
    if end <= datetime.now(UTC):
        raise ValueError
    return int(end.timestamp())
