"""`bounced export`: every address that is to be left alone, as CSV or JSON lines."""

import argparse
import csv
import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from bounced.commands import Exit
from bounced.commands.asking import ask
from bounced.commands.progress import progress
from bounced.core.policy import Record
from bounced.core.printable import printable
from bounced.store import Store

COLUMNS = ("address", "until", "reason", "category", "status", "first_at", "last_at")


def run(args: argparse.Namespace) -> int:
    """Write a line for each address."""

    async def work(store: Store) -> int:
        await store.ping()  # so that a store that is gone leaves no beginning of a list
        write = _json if args.format == "jsonl" else _csv()
        with progress("addresses") as advance:
            async for batch in store.suppressed():
                for name, until, record in batch:
                    write(_line(name, until, record))
                advance(len(batch))
        return Exit.OK

    return ask(args, work)


def _line(name: str, until: int, record: Record) -> dict[str, str]:
    values = {
        "address": name,
        "until": _time(until),
        "reason": record.reason,
        "category": record.category,
        "status": record.status,
        "first_at": _time(record.first_at),
        "last_at": _time(record.last_at),
    }
    return {column: printable(value or "") for column, value in values.items()}


def _csv() -> Callable[[Mapping[str, str]], object]:
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    return writer.writerow


def _json(line: Mapping[str, str]) -> None:
    sys.stdout.write(json.dumps({name: value for name, value in line.items() if value}) + "\n")


def _time(moment: int | None) -> str:
    return "" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"
