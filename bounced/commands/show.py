"""`bounced show`: all that is known of one address."""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from time import time

from bounced.commands import Exit, complain, say
from bounced.commands.asking import ask
from bounced.core.address import canonical
from bounced.core.policy import Record
from bounced.core.printable import printable
from bounced.store import Store


def run(args: argparse.Namespace) -> int:
    """Print the record, a field a line."""
    address = canonical(args.address)
    if address is None:
        complain(f"{args.address}: not an address")
        return Exit.USAGE

    async def work(store: Store) -> int:
        record = await store.lookup(address)
        if record is None:
            complain(f"{address}: nothing is known")
            return Exit.NO
        for name, value in _lines(address, record):
            say(f"{name:<12} {printable(value)}")
        return Exit.OK

    return ask(args, work)


def _lines(address: str, record: Record) -> Iterator[tuple[str, str]]:
    hard = record.hard_until is not None and record.hard_until > time()
    yield "address", address
    yield "state", f"rest until {_time(record.hard_until)}" if hard else "send"
    if hard and record.reason:
        yield "reason", record.reason
    yield "in a row", f"{record.soft} soft"
    yield "in all", f"{record.hard_total} hard, {record.soft_total} soft"
    for name, value in (
        ("category", record.category),
        ("status", record.status),
        ("diagnostic", record.diagnostic),
        ("remote MTA", record.remote_mta),
    ):
        if value:
            yield name, value
    for name, moment in (
        ("first", record.first_at),
        ("last", record.last_at),
        ("forgotten", record.expires_at),
    ):
        if moment is not None:
            yield name, _time(moment)


def _time(moment: int | None) -> str:
    return "" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"
