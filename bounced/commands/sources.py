"""Where returned mail is read from: files, directories, Maildirs, mboxes, standard input.

One message at a time is held, whatever the size of an mbox or the number of files, and of a message at most
`MAX_MESSAGE` octets. What cannot be read is an error of its own, and the others are still read.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAX_MESSAGE = 64 << 20  # octets; what is larger is no message
PIECE = 1 << 18  # octets that most messages have fewer than
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
            yield from _in_path(str(Path(name)), is_directory=Path(name).is_dir())


def _in_path(path: str, *, is_directory: bool) -> Iterator[Source]:
    try:
        if is_directory:
            for entry, is_another in _entries(path):
                yield from _in_path(entry, is_directory=is_another)
        else:
            with open(path, "rb") as file:  # noqa: PTH123 - of a million files, a Path each costs as much as reading
                yield from _in_stream(path, file)
    except OSError as error:
        yield Source(path, error=f"cannot read: {error.strerror}")


def _entries(directory: str) -> list[tuple[str, bool]]:
    """What to read of a directory, by name, and what of it is a directory.

    Of a Maildir it is what was delivered, and its folders (Maildir++).
    """
    with os.scandir(directory) as found:
        entries = {
            entry.name: entry.is_dir() for entry in found if not (entry.is_symlink() and entry.is_dir())
        }
    if {"cur", "new"} <= entries.keys():
        wanted = [
            name
            for name in entries
            if name in ("cur", "new") or os.path.isdir(f"{directory}/{name}/cur")  # noqa: PTH112 - as above
        ]
    else:
        wanted = [name for name in entries if not name.startswith(_NO_MESSAGE)]
    return [(os.path.join(directory, name), entries[name]) for name in sorted(wanted)]  # noqa: PTH118 - as above


def _in_stream(name: str, stream: BinaryIO) -> Iterator[Source]:
    first, count = None, 0
    # Mail programs write ".eml" for one message; a separator in it belongs to the message that came back.
    messages = [_rest(stream)] if name.lower().endswith(".eml") else _messages(stream)
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


def _rest(stream: BinaryIO) -> bytes:
    """All that follows, cut one octet beyond `MAX_MESSAGE`; in pieces, as memory is taken for what is asked for."""
    piece = stream.read(PIECE)
    if len(piece) < PIECE:
        return piece
    return piece + stream.read(MAX_MESSAGE + 1 - PIECE)


def _source(name: str, message: bytes) -> Source:
    if len(message) > MAX_MESSAGE:
        return Source(name, error=f"larger than {MAX_MESSAGE} octets: no message")
    return Source(name, message) if message.strip() else Source(name, error="empty: no message")


def _messages(stream: BinaryIO) -> Iterator[bytes]:
    """The messages of an mbox, or the only one; each cut one octet beyond `MAX_MESSAGE`."""
    first = stream.readline(MAX_LINE)
    if not first.startswith(b"From "):
        yield first + _rest(stream)
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
