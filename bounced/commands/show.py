"""`bounced show`: all that is known of one address, and what made it so."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence

from msgspec.structs import asdict

from bounced.addresses import given
from bounced.commands import Exit, complain, say
from bounced.commands.asking import ask
from bounced.commands.moments import written
from bounced.commands.progress import progress
from bounced.core.history import UNDO, Event
from bounced.core.naming import hidden_name, is_name
from bounced.core.policy import Record
from bounced.core.printable import printable
from bounced.store import Store

# How a terminal shows what happened, ANSI SGR.
_COLOURS = {
    "hard": "31",
    "soft": "33",
    "record": "2",
    "delivered": "32",
    "release": "32",
    "suppress": "31",
    UNDO: "36",
}
_WORDS = {
    "hard": "hard bounce",
    "soft": "soft bounce",
    "record": "bounce, noted only",
    "delivered": "delivered",
    "release": "released by hand",
    "suppress": "suppressed by hand",
    UNDO: "undone",
}


def run(args: argparse.Namespace) -> int:
    """Print the record, a field a line, and its history; with --json an object for each name it is known by."""
    address = args.address if is_name(args.address) else given(args.address)
    if address is None:
        complain(f"{args.address}: not an address")
        return Exit.USAGE
    names = (address,) if is_name(address) else (address, hidden_name(address))

    async def work(store: Store) -> int:
        found = [(name, await store.lookup(name), events) for name, events in await _histories(store, names)]
        known = [(name, record, events) for name, record, events in found if record is not None or events]
        if not known:
            complain(f"{address}: nothing is known")
            return Exit.NO
        oldest = await store.archive.oldest()
        for name, record, events in known:
            if args.json:
                say(_json(name, record, events, oldest))
                continue
            if name != address:
                hidden = f"as {name}, by reports of forwarders that hid the address"
                say(f"{printable(address)} is {'also ' * (len(known) > 1)}known {hidden}:")
            for line in _lines(name, record, events, oldest):
                say(line)
        return Exit.OK

    return ask(args, work)


async def _histories(store: Store, names: Sequence[str]) -> list[tuple[str, list[Event]]]:
    """Return what the events tell of each name."""
    histories: dict[str, list[Event]] = {store.archive.name(name): [] for name in names}
    with progress("events", total=await store.archive.length()) as advance:
        async for page in store.archive.events(names=histories):
            for event in page.events:
                histories[event.address].append(event)
            advance(page.read)
    return [(name, histories[store.archive.name(name)]) for name in names]


def _lines(
    address: str, record: Record | None, history: Sequence[Event], oldest: int | None
) -> Iterator[str]:
    fields = (("address", address), ("state", "nothing is known any more")) if record is None else None
    for label, value in fields or _fields(address, record or Record()):
        colour = "" if label != "state" else "31" if value.startswith("rest") else "32"
        yield f"{label:<12} {_coloured(printable(value), colour)}"
    yield ""
    if not history:
        yield "No event that is kept tells of it" + (f" since {written(oldest)}." if oldest else ".")
    for event in history:
        yield from _told(event)


def _fields(address: str, record: Record) -> Iterator[tuple[str, str]]:
    hard = record.hard_until is not None and record.hard_until > time.time()
    yield "address", address
    yield "state", f"rest until {written(record.hard_until or 0)}" if hard else "send"
    if hard and record.reason:
        yield "reason", record.reason
    yield "in a row", f"{record.soft} soft"
    yield "in all", f"{record.hard_total} hard, {record.soft_total} soft"
    for name, value in (
        ("category", record.category),
        ("status", record.status),
        ("diagnostic", record.diagnostic),
        ("rule", record.rule),
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
            yield name, written(moment)


def _told(event: Event) -> Iterator[str]:
    """One event, for a person: when and what, then what it made of the address, and by which evidence."""
    what = _WORDS.get(event.what, event.what)
    by = f" as {event.category}" if event.category else ""
    yield f"{written(event.recorded)}  {_coloured(printable(what), _COLOURS.get(event.what, ''))}{printable(by)}"
    if event.hard_until is not None:
        reason = f", for {event.reason}" if event.reason and event.reason != event.category else ""
        stands = f"rests until {written(event.hard_until)}{reason}"
    else:
        stands = f"may be sent to; {event.soft} soft in a row"
    details = [
        ("after it", stands),
        ("happened", written(event.at) if abs(event.at - event.recorded) > 1 else ""),
        ("status", event.status),
        ("diagnostic", event.diagnostic),
        ("rule", event.rule),
        ("remote MTA", event.remote_mta),
        ("reported by", event.reporting_mta),
        ("message", event.identity or event.message),
        ("undone", " ".join(event.undoes)),
        ("event", event.id),
    ]
    for label, value in details:
        if value:
            yield f"    {label:<12} {printable(value)}"


def _json(name: str, record: Record | None, history: Sequence[Event], oldest: int | None) -> str:
    known = None if record is None else asdict(record)
    events = [asdict(event) for event in history]
    return json.dumps({"address": name, "record": known, "history": events, "history_since": oldest})


def _coloured(text: str, colour: str) -> str:
    return f"\033[{colour}m{text}\033[0m" if colour and sys.stdout.isatty() else text
