"""`bounced show`: all that is known of one address."""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from time import time

from bounced.addresses import given
from bounced.commands import Exit, complain, say
from bounced.commands.asking import ask
from bounced.core.naming import hidden_name
from bounced.core.policy import Record
from bounced.core.printable import printable
from bounced.store import Store


def run(args: argparse.Namespace) -> int:
    """Print the record, a field a line."""
    address = given(args.address)
    if address is None:
        complain(f"{args.address}: not an address")
        return Exit.USAGE

    async def work(store: Store) -> int:
        found = [(name, await store.lookup(name)) for name in (address, hidden_name(address))]
        known = [(name, record) for name, record in found if record is not None]
        if not known:
            complain(f"{address}: nothing is known")
            return Exit.NO
        for name, record in known:
            if name != address:
                hidden = f"as {name}, by reports of forwarders that hid the address"
                say(f"{printable(address)} is {'also ' * (len(known) > 1)}known {hidden}:")
            for label, value in _lines(name, record):
                say(f"{label:<12} {printable(value)}")
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
