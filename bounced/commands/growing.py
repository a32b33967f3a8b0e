"""Lines of a log that grows: of a file, across its rotation, or of stdin."""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

BLOCK = 1 << 20  # octets read in one go
LINE = 1 << 16  # octets of a line; what is longer is none of a log's
POLL_SECONDS = 0.2


async def lines_of(blocks: AsyncIterator[bytes]) -> AsyncIterator[list[str]]:
    """Yield whole lines, some at a time; those that are too long are left out."""
    rest = b""
    async for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        if len(rest) > LINE:
            rest = b" " * LINE  # so that what is left of this line is too long as well
        yield [line.decode("utf-8", "replace") for line in whole if len(line) < LINE]


async def stdin(stop: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield what comes, until the end or until `stop` is set."""
    if stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode):
        while not stop.is_set() and (block := os.read(sys.stdin.fileno(), BLOCK)):
            yield block
        return
    reader = asyncio.StreamReader(limit=BLOCK)
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
    )
    stopped = asyncio.ensure_future(stop.wait())
    stopped.add_done_callback(lambda _: pipe.close())  # which ends the reader
    while block := await reader.read(BLOCK):
        yield block
    stopped.cancel()


async def file(path: Path, stop: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield what is in the file and what is added to it, also when it is renamed and made anew, or emptied."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        while True:
            block = os.read(descriptor, BLOCK)
            if block:
                yield block
                continue
            if stop.is_set():
                return
            descriptor = _reopened(path, descriptor)
            if os.fstat(descriptor).st_size == os.lseek(descriptor, 0, os.SEEK_CUR):
                await _pause(stop)
    finally:
        os.close(descriptor)


def _reopened(path: Path, descriptor: int) -> int:
    """The descriptor to read on from: of the new file when there is one, and from the start when emptied."""
    known = os.fstat(descriptor)
    if known.st_size < os.lseek(descriptor, 0, os.SEEK_CUR):
        os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        fresh = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return descriptor  # between rename and creation
    found = os.fstat(fresh)
    if (found.st_ino, found.st_dev) == (known.st_ino, known.st_dev):
        os.close(fresh)
        return descriptor
    if known.st_size > os.lseek(descriptor, 0, os.SEEK_CUR):
        os.close(fresh)
        return descriptor  # the old one has been written to meanwhile
    os.close(descriptor)
    return fresh


async def _pause(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await stop.wait()
    except TimeoutError:
        pass
