"""`bounced parse`: what returned mail says, without touching a store.

One JSON object a message with --json; else one line a recipient with tabs between its columns, or, at a
terminal, a few coloured lines a message. A message that cannot be read is an error on its line.
"""

import argparse
import functools
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from bounced.commands import Exit, complain, cores, say
from bounced.commands.judging import judged_by
from bounced.commands.sources import Source, sources
from bounced.core import pipeline
from bounced.core.model import Reading, Severity
from bounced.core.policy import Policy
from bounced.core.printable import printable
from bounced.core.rulefile import RulesError
from bounced.settings import SettingsError

T = TypeVar("T")

PATIENCE = 1.0  # seconds before progress is shown
EVERY = 0.1  # seconds between two pictures of it
COLOURS = {Severity.HARD: "red", Severity.SOFT: "yellow", Severity.RECORD: "cyan", Severity.NONE: "dim"}


def run(args: argparse.Namespace) -> int:
    """Print what every message of `args.files` says; 1 when one could not be read."""
    try:
        known, policy = judged_by(args)
    except (SettingsError, RulesError) as error:
        complain(*error.problems)
        return Exit.CONFIG
    status = Exit.OK
    messages = sources(args.files)
    if sys.stdout.isatty() and not args.json:
        for source in messages:
            line = _line(source, known, policy)
            status = Exit.NO if "error" in line else status
            _write_coloured(line)
        return status
    written = functools.partial(_written, known, policy, _json if args.json else _columns)
    for text, is_read in _with_progress(cores.in_order(written, messages)):
        status = status if is_read else Exit.NO
        say(text)
    return status


def _written(
    known: pipeline.Knowledge, policy: Policy, form: Callable[[dict[str, Any]], str], source: Source
) -> tuple[str, bool]:
    """Return what to print of a message, and whether it could be read."""
    line = _line(source, known, policy)
    return form(line), "error" not in line


def _line(source: Source, known: pipeline.Knowledge, policy: Policy) -> dict[str, Any]:
    if source.error is not None:
        return {"file": _name(source), "error": source.error}
    return as_object(_name(source), pipeline.read(source.raw, known, policy))


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


def _json(line: dict[str, Any]) -> str:
    return msgspec.json.encode(line).decode()


def _columns(line: dict[str, Any]) -> str:
    """File, kind, recipient, category, severity, status and diagnostic; "-" for what is not known."""
    if "error" in line:
        return "\t".join((printable(line["file"]), "error", line["error"]))
    rows = []
    for entry in line["recipients"] or [{}]:
        columns = (entry.get(name) for name in ("recipient", "category", "severity", "status", "diagnostic"))
        rows.append("\t".join(printable(column or "-") for column in (line["file"], line["kind"], *columns)))
    return "\n".join(rows)


def _write_coloured(line: dict[str, Any]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only for a terminal, as it takes its time
    from rich.text import Text  # noqa: PLC0415

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


def _with_progress(results: Iterable[T]) -> Iterator[T]:
    """Pass `results` on; when they take long and nothing else is seen of it, show how far they are."""
    if sys.stdout.isatty() or not sys.stderr.isatty():
        yield from results
        return
    from rich import progress  # noqa: PLC0415 - only for a terminal, as it takes its time
    from rich.console import Console  # noqa: PLC0415

    columns = (
        progress.BarColumn(),
        progress.TextColumn("{task.completed:,.0f} messages, {task.fields[rate]:,.0f} a second"),
        progress.TimeElapsedColumn(),
    )
    # It draws itself when told: processes are forked, which does not go with threads.
    bar = progress.Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
    task = bar.add_task("", total=None, rate=0.0)
    begun = time.monotonic()
    show_at = begun + PATIENCE
    try:
        for count, result in enumerate(results, 1):
            yield result
            if (now := time.monotonic()) > show_at:
                show_at = now + EVERY
                bar.start()  # again and again does nothing
                bar.update(task, completed=count, rate=count / (now - begun), refresh=True)
    finally:
        bar.stop()
