"""`bounced parse`: what returned mail says, without touching a store.

One JSON object a message with --json; else one line a recipient with tabs between its columns, or, at a
terminal, a few coloured lines a message. A message that cannot be read is an error on its line.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from bounced.commands import Exit, complain, say
from bounced.commands.judging import judged_by
from bounced.commands.sources import Source, sources
from bounced.core import pipeline
from bounced.core.model import Reading, Severity
from bounced.core.printable import printable
from bounced.core.ruleset import RulesError
from bounced.settings import SettingsError

PATIENCE = 1.0  # seconds before progress is shown
COLOURS = {Severity.HARD: "red", Severity.SOFT: "yellow", Severity.RECORD: "cyan", Severity.NONE: "dim"}


def run(args: argparse.Namespace) -> int:
    """Print what every message of `args.files` says; 1 when one could not be read."""
    try:
        known, policy = judged_by(args)
    except (SettingsError, RulesError) as error:
        complain(*error.problems)
        return Exit.CONFIG
    write = _write_json if args.json else _write_coloured if sys.stdout.isatty() else _write_columns
    status = Exit.OK
    for source in _with_progress(sources(args.files)):
        if source.error is not None:
            status = Exit.NO
            write({"file": _name(source), "error": source.error})
        else:
            write(as_object(_name(source), pipeline.read(source.raw, known, policy)))
    return status


def as_object(name: str, reading: Reading) -> dict[str, Any]:
    """Return the public form of a reading, as docs/commands.md describes it."""
    report = reading.report
    return {
        "file": name,
        "kind": report.kind,
        "reporting_mta": report.reporting_mta,
        "original_message_id": report.original_message_id,
        "envelope_id": report.envelope_id,
        "recipients": [
            {
                "recipient": verdict.recipient,
                "final_recipient": verdict.final_recipient,
                "action": verdict.action,
                "status": verdict.status,
                "smtp_reply": verdict.smtp_reply,
                "diagnostic": verdict.diagnostic,
                "remote_mta": verdict.remote_mta,
                "category": verdict.category,
                "severity": verdict.severity,
                "rule": verdict.rule or None,
            }
            for verdict in reading.verdicts
        ],
    }


def _name(source: Source) -> str:
    """Return the name as text: octets of a file name that are no UTF-8 become escapes."""
    return os.fsencode(source.name).decode("utf-8", "backslashreplace")


def _write_json(line: dict[str, Any]) -> None:
    say(msgspec.json.encode(line).decode())


def _write_columns(line: dict[str, Any]) -> None:
    """Print file, kind, recipient, category, severity, status and diagnostic; "-" for what is not known."""
    if "error" in line:
        say("\t".join((printable(line["file"]), "error", line["error"])))
        return
    for entry in line["recipients"] or [{}]:
        columns = (entry.get(name) for name in ("recipient", "category", "severity", "status", "diagnostic"))
        say("\t".join(printable(column or "-") for column in (line["file"], line["kind"], *columns)))


def _write_coloured(line: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    name = Text(printable(line["file"]), "bold")
    if "error" in line:
        console.print(Text.assemble(name, "  ", (line["error"], "red")))
        return
    reporter = f" from {printable(line['reporting_mta'])}" if line["reporting_mta"] else ""
    console.print(Text.assemble(name, f"  {line['kind']}{reporter}"))
    for entry in line["recipients"]:
        said = entry["diagnostic"] or entry["status"] or ""
        colour = COLOURS[entry["severity"]]
        console.print(
            Text.assemble(
                "  ",
                printable(entry["recipient"]),
                "  ",
                (f"{entry['category']}, {entry['severity']}", colour),
            )
        )
        if said:
            console.print(Text(f"    {printable(said)}", "dim"))


def _with_progress(messages: Iterable[Source]) -> Iterator[Source]:
    """Pass `messages` on; when they take long and nothing else is seen of it, show how far they are."""
    if sys.stdout.isatty() or not sys.stderr.isatty():
        yield from messages
        return
    columns = BarColumn(), TextColumn("{task.completed:,.0f} messages"), TimeElapsedColumn()
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("", total=None)
    show_at = time.monotonic() + PATIENCE
    try:
        for message in messages:
            if time.monotonic() > show_at:
                bar.start()  # again and again does nothing
            yield message
            bar.advance(task)
    finally:
        bar.stop()
