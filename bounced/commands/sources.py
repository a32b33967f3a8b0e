"""Where returned mail is read from: files, directories, Maildirs, mboxes, standard input.

One message at a time is held, whatever the size of an mbox or the number of files, and of a message at most
`MAX_MESSAGE` octets. What cannot be read is an error of its own, and the others are still read.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAX_MESSAGE = 64 << 20  # octets; what is larger is no message
MAX_LINE = 65_536  # octets that are read at once; longer lines come in pieces

# An mbox separator (RFC 4155): "From ", an address, a date. Without the time it is a sentence of somebody's letter.
_SEPARATOR = re.compile(rb"From .*\d\d:\d\d.*\n?")
# What mail programs keep beside the messages: indexes, .DS_Store, dovecot-uidlist ...
_NO_MESSAGE = (".", "dovecot")


@dataclass(frozen=True, slots=True)
class Source:
    """One message, or why there is none."""

    name: str  # path as given; the messages of an mbox add "#1", "#2" ...
    raw: bytes = b""
    error: str | None = None


def sources(paths: Iterable[str]) -> Iterator[Source]:
    """Every message in `paths`, in order; "-" is standard input."""
    for name in paths:
        if name == "-":
            yield from _in_stream(name, sys.stdin.buffer)
        else:
            yield from _in_path(Path(name))


def _in_path(path: Path) -> Iterator[Source]:
    try:
        if path.is_dir():
            for entry in _entries(path):
                yield from _in_path(entry)
        else:
            with path.open("rb") as file:
                yield from _in_stream(str(path), file)
    except OSError as error:
        yield Source(str(path), error=f"cannot read: {error.strerror}")


def _entries(directory: Path) -> list[Path]:
    """What to read of a directory, by name; of a Maildir what was delivered, and its folders (Maildir++)."""
    entries = sorted(entry for entry in directory.iterdir() if not (entry.is_dir() and entry.is_symlink()))
    if {"cur", "new"} <= {entry.name for entry in entries}:
        return [entry for entry in entries if entry.name in ("cur", "new") or (entry / "cur").is_dir()]
    return [entry for entry in entries if not entry.name.startswith(_NO_MESSAGE)]


def _in_stream(name: str, stream: BinaryIO) -> Iterator[Source]:
    first, count = None, 0
    # Mail programs write ".eml" for one message; a separator in it belongs to the message that came back.
    messages = [stream.read(MAX_MESSAGE + 1)] if name.lower().endswith(".eml") else _messages(stream)
    for message in messages:
        source = _source(name, message)
        count += 1
        if count == 1:
            first = source  # named like the file, unless another one follows
            continue
        if first is not None:
            yield Source(f"{name}#1", first.raw, first.error)
            first = None
        yield Source(f"{name}#{count}", source.raw, source.error)
    if first is not None:
        yield first


def _source(name: str, message: bytes) -> Source:
    if len(message) > MAX_MESSAGE:
        return Source(name, error=f"larger than {MAX_MESSAGE} octets: no message")
    return Source(name, message) if message.strip() else Source(name, error="empty: no message")


def _messages(stream: BinaryIO) -> Iterator[bytes]:
    """The messages of an mbox, or the only one; each cut one octet beyond `MAX_MESSAGE`."""
    first = stream.readline(MAX_LINE)
    if not first.startswith(b"From "):
        yield first + stream.read(MAX_MESSAGE + 1 - len(first))
        return
    lines, size, before = [first], len(first), first
    while line := stream.readline(MAX_LINE):
        if before in (b"\n", b"\r\n") and _SEPARATOR.fullmatch(line):
            yield b"".join(lines)
            lines, size = [], 0
        if size <= MAX_MESSAGE:
            lines.append(line)
            size += len(line)
        before = line
    yield b"".join(lines)
