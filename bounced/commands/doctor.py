"""`bounced doctor`: everything that it takes to run, looked at from outside; what is not well, and what to do."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from bounced.commands import Exit, complain, say
from bounced.commands.doctoring import Finding, State, error, names, ok, ports, proofs, rules, state
from bounced.commands.named_files import problems
from bounced.core.printable import printable
from bounced.settings import Settings, SettingsError, load

COLOURS = {State.OK: "green", State.WARNING: "yellow", State.ERROR: "bold red"}


def run(args: argparse.Namespace) -> int:
    """Print every finding; 1 when one is an error."""
    try:
        settings = load(args.config, args.set).settings
    except SettingsError as wrong:
        complain(*wrong.problems)
        return Exit.CONFIG
    found = [
        Finding(one.state, one.about, printable(one.words), printable(one.advice)) for one in _all(settings)
    ]
    if args.json:
        for one in found:
            say(json.dumps(one._asdict()))
    elif sys.stdout.isatty():
        _table(found)
    else:
        for one in found:
            say("\t".join(one).rstrip("\t"))
    return Exit.NO if any(one.state is State.ERROR for one in found) else Exit.OK


def _all(settings: Settings) -> Iterator[Finding]:
    yield from _files(settings)
    yield from names.findings(settings)
    yield from ports.findings(settings)
    yield from proofs.certificate(settings)
    yield from proofs.signed_return_paths(settings)
    yield from state.store(settings)
    yield from state.clock()
    yield from state.disk(settings)
    yield from rules.findings(settings)


def _files(settings: Settings) -> Iterator[Finding]:
    """The settings, and those files of theirs that nothing below looks at."""
    others = [one for one in problems(settings) if one.startswith("redis.")]
    yield from (
        error("settings", one, "bounced check-config says the same, after you have corrected it")
        for one in others
    )
    if not others:
        yield ok("settings", "no mistakes")


def _table(found: Sequence[Finding]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only for a terminal, as it takes its time
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, show_header=False, pad_edge=False)
    for one in found:
        words = Text(one.words)
        if one.advice:
            words.append(f"\n→ {one.advice}", style="bold")
        table.add_row(Text(one.state, style=COLOURS[one.state]), one.about, words)
    Console().print(table)
