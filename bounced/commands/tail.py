"""`bounced tail`: the log for a person, as it comes: bounces in columns, everything else in words."""

import argparse
import asyncio
import shutil
import signal
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from bounced import settings
from bounced.addresses import given
from bounced.commands import Exit, complain, say
from bounced.commands.growing import file, lines_of, stdin
from bounced.core.address import is_within
from bounced.core.printable import printable
from bounced.events.addresses import KEY_FILE, Concealer, key_of
from bounced.settings import Addresses

Line = dict[str, Any]

RED, YELLOW, GREEN, FAINT, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[2m", "\x1b[0m"
SEVERITIES = {"hard": RED, "soft": YELLOW, "record": FAINT}
LEVELS = {"error": RED, "warning": YELLOW}
NARROWEST = 80
# What is not told in words: it stands in front, or says nothing to a person.
_IN_FRONT = frozenset({"time", "level", "event"})

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def run(args: argparse.Namespace) -> int:
    """Show lines until the end of stdin, or SIGTERM."""
    try:
        matches = _filter(args)
        if args.file != "-":
            with Path(args.file).open("rb"):  # a directory, or what nobody may read, is refused now
                pass
    except settings.SettingsError as error:
        complain(*error.problems)
        return Exit.CONFIG
    except ValueError as error:
        complain(str(error))
        return Exit.USAGE
    except OSError as error:
        complain(f"{args.file}: {error.strerror}")
        return Exit.NO_INPUT
    return asyncio.run(_follow(args.file, matches))


async def _follow(name: str, matches: Callable[[Line], bool] | None) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    colours = sys.stdout.isatty()
    blocks = stdin(stop) if name == "-" else file(Path(name), stop)
    async for lines in lines_of(blocks):
        for line in lines:
            _show(line, matches, colours=colours)
        sys.stdout.flush()
    return Exit.OK


def _show(text: str, matches: Callable[[Line], bool] | None, *, colours: bool) -> None:
    try:
        line = _decode(text)
    except msgspec.MsgspecError:  # stderr of the daemon, or what systemd says of it
        if matches is None and text:
            say(printable(text))
        return
    if matches is None or matches(line):
        width = max(NARROWEST, shutil.get_terminal_size().columns) if colours else 0
        say(_told(line, colours=colours, width=width))


def _told(line: Line, *, colours: bool, width: int) -> str:
    """Return the line for a person; `width` 0: as long as it is."""
    word = str(line.get("severity") or "")
    time = printable(str(line.get("time", "")))[11:19]
    if "recipient" in line:
        outcome = _outcome(line)
        category, recipient = str(line.get("category")), str(line["recipient"])
        status, said = str(line.get("status") or "-"), str(line.get("diagnostic") or "")
        shown = f"{time} {outcome:<10} {category:<22} {recipient:<32} {status:<6} {said}"
        colour = SEVERITIES.get(word, GREEN if line.get("action") == "delivered" else "")
    else:
        rest = " ".join(f"{name}={_value(value)}" for name, value in line.items() if _is_told(name, value))
        shown = f"{time} {line.get('event')!s:<22} {rest}"
        colour = LEVELS.get(str(line.get("level")), FAINT)
    shown = printable(shown)
    if width and len(shown) > width:
        shown = shown[: width - 1] + "…"
    return f"{colour}{shown}{PLAIN}" if colours and colour else shown


def _outcome(line: Line) -> str:
    """What became of the recipient, in a word: "hard", "soft 3", "duplicate", "delayed", "delivered"."""
    event = str(line.get("event")).partition(".")[2]
    if event == "recorded":
        soft = f" {line['soft']}" if line.get("severity") == "soft" and line.get("soft") else ""
        return f"{line.get('severity')}{soft}"
    return event


def _value(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _is_told(name: str, value: object) -> bool:
    return name not in _IN_FRONT and value not in (None, "", [], 0)


# Which lines


def _filter(args: argparse.Namespace) -> Callable[[Line], bool] | None:
    """Return what says whether to show a line; None: all. Raises SettingsError, ValueError."""
    conditions: list[Callable[[Line], bool]] = []
    if args.since is not None:
        conditions.append(lambda line: _unix(line.get("time")) >= args.since)
    if args.event:
        conditions.append(_begins("event", args.event))
    if args.category:
        conditions.append(_begins("category", args.category))
    if severities := args.severity:
        conditions.append(lambda line: line.get("severity") in severities)
    if args.domain:
        domains = tuple(domain.lower().strip(".") for domain in args.domain)
        conditions.append(lambda line: any(_is_in(address, domains) for address in _addresses(line)))
    if args.address:
        names = _names(args)
        conditions.append(lambda line: not names.isdisjoint(_addresses(line)))
    return (lambda line: all(condition(line) for condition in conditions)) if conditions else None


def _begins(name: str, wanted: Iterable[str]) -> Callable[[Line], bool]:
    beginnings = tuple(wanted)
    return lambda line: str(line.get(name) or "").startswith(beginnings)


def _addresses(line: Line) -> list[str]:
    several = line.get("recipients")
    addresses = [line.get("recipient"), *(several if isinstance(several, list) else ())]
    return [str(address) for address in addresses if address]


def _is_in(address: str, domains: Iterable[str]) -> bool:
    domain = address.rpartition("@")[2]
    return any(is_within(domain, wanted) for wanted in domains)


def _names(args: argparse.Namespace) -> set[str]:
    """Return how these addresses may stand in the log: plain, masked, and hashed if we may read the key."""
    addresses = []
    for written in args.address:
        if (address := given(written)) is None:
            raise ValueError(f"{written}: not an address")
        addresses.append(address)
    state_dir = settings.load(args.config, args.set).settings.state_dir
    concealers = [Concealer(Addresses.MASKED, b"")]
    try:
        if (state_dir / KEY_FILE).exists():
            concealers.append(Concealer(Addresses.HASHED, key_of(state_dir)))
    except OSError as error:
        complain(f"{state_dir / KEY_FILE}: {error.strerror}: hashed addresses are not found")
    return {
        *addresses,
        *(concealer.address(address) for concealer in concealers for address in addresses),
    }


def _unix(time: object) -> float:
    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except ValueError:
        return 0.0
