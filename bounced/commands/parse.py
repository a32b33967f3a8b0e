"""`bounced parse`: what returned mail says, without touching a store.

Takes message files, directories, Maildirs, mboxes and standard input, and prints one object a message (JSON lines)
or one line a recipient, in the order given. A file that cannot be read is an error on its line.
"""

import argparse
import mailbox
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bounced import knowledge
from bounced.core import pipeline
from bounced.core.model import Reading
from bounced.core.policy import Policy

MAX_MESSAGE = 64 << 20  # octets; a larger file is no message


@dataclass(frozen=True, slots=True)
class Source:
    """One message, or why there is none."""

    name: str
    raw: bytes = b""
    error: str | None = None


def run(args: argparse.Namespace) -> int:
    """Print what every message of `args.files` says; 1 when a file could not be read."""
    known = knowledge.load()
    policy = Policy()
    failed = False
    for source in sources(args.files):
        if source.error is not None:
            failed = True
            line = {"file": source.name, "error": source.error}
        else:
            line = as_object(source.name, pipeline.read(source.raw, known, policy))
        sys.stdout.write((as_json(line) if args.json else as_text(line)) + "\n")
    return int(failed)


def as_object(name: str, reading: Reading) -> dict[str, object]:
    """The public form of a reading, DESIGN of `parse --json` in docs/commands.md."""
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


def as_json(line: dict[str, object]) -> str:
    """One JSON object on one line; control characters escaped, lone surrogates replaced."""
    return msgspec.json.encode(line).decode("utf-8")


def as_text(line: dict[str, object]) -> str:
    return str(line)


def sources(paths: list[str]) -> Iterator[Source]:
    """Every message in `paths`, in order: files, directories (Maildirs too), mboxes, "-" for standard input."""
    for name in paths:
        if name == "-":
            yield from _in_stream(name, sys.stdin.buffer.read(MAX_MESSAGE + 1))
            continue
        path = Path(name)
        if path.is_dir():
            for found in sorted(entry for entry in path.rglob("*") if _is_message(entry)):
                yield from _in_file(found)
        else:
            yield from _in_file(path)


def _is_message(path: Path) -> bool:
    return path.is_file() and not path.name.startswith((".", "dovecot"))


def _in_file(path: Path) -> Iterator[Source]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_MESSAGE + 1)
    except OSError as error:
        yield Source(str(path), error=f"cannot read: {error.strerror}")
        return
    yield from _in_stream(str(path), raw)


def _in_stream(name: str, raw: bytes) -> Iterator[Source]:
    if len(raw) > MAX_MESSAGE:
        yield Source(name, error=f"larger than {MAX_MESSAGE} octets: no message")
    elif not raw.strip():
        yield Source(name, error="empty: no message")
    else:
        yield Source(name, raw)
