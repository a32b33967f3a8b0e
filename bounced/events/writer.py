"""Finished lines, on their way to stdout: written by a thread, so that no reader of the log holds up the mail.

What is waiting is bounded. When nobody takes lines (a pipe whose reader stands still, a full disk), those beyond
WAITING are left out and counted; a line says how many as soon as lines are taken again, and so does a metric all
the while. At the end the reader has PATIENCE seconds for the rest.

Lines are written whole and together, at most PIPE_BUF octets at a time: so those of several processes that share a
pipe do not mix (pipe(7)).
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from select import PIPE_BUF
from typing import BinaryIO

WAITING = 16 * 1024**2  # octets
PATIENCE = 5.0  # seconds
# Lines that come within so many seconds are written together.
PAUSE = 0.01
# A line must be no longer, its end included.
LINE = PIPE_BUF

Line = tuple[bytes, int]  # with how many it stands for: one, or those that were left out


class Writer:
    """Writes lines in the order in which they were put, from any thread."""

    def __init__(
        self,
        stream: BinaryIO,
        dropped: Callable[[int], None],
        told: Callable[[int], bytes],
        waiting: int = WAITING,
    ) -> None:
        """`dropped` is called with the number of lines that are left out; `told` makes the line that says so."""
        self._write = getattr(stream, "raw", stream).write  # what lies in a buffer, a crash would lose
        self._dropped = dropped
        self._told = told
        self._limit = waiting
        self._lines: list[Line] = []
        self._octets = 0  # of those lines, and of those that are being written
        self._unwritten = 0  # the same, lines
        self._missing = 0  # lines that are left out, and of which no line has told yet
        self._torn = False  # the last line was written in part
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Have a line written; it ends with a newline and is no longer than LINE. Never waits."""
        with self._lock:
            has_room = self._octets < self._limit
            if has_room:
                if self._missing:
                    self._tell()
                self._append(line, 1)
            else:
                self._missing += 1
        if not has_room:
            self._dropped(1)

    def _tell(self) -> None:
        """Let a line stand for those that were left out before it."""
        self._append(self._told(self._missing), self._missing)
        self._missing = 0

    def _append(self, line: bytes, worth: int) -> None:
        if not self._lines:
            self._ready.notify()
        self._lines.append((line, worth))
        self._octets += len(line)
        self._unwritten += worth

    def close(self, patience: float = PATIENCE) -> int:
        """Write what is waiting, for `patience` seconds at most; return how many lines nobody has taken.

        Closing again does nothing.
        """
        if self._closing.is_set():
            return 0
        with self._ready:
            if self._missing:
                self._tell()
            self._closing.set()
            self._ready.notify()
        self._thread.join(patience)
        with self._ready:
            return self._unwritten + self._missing

    def _work(self) -> None:
        while True:
            with self._ready:
                while not self._lines and not self._closing.is_set():
                    self._ready.wait()
                lines, self._lines = self._lines, []
            if not lines:
                return
            for piece in _pieces(lines):
                self._write_piece(piece)
            self._closing.wait(PAUSE)

    def _write_piece(self, lines: Sequence[Line]) -> None:
        octets = b"".join(line for line, _ in lines)
        worth = sum(worth for _, worth in lines)
        written = self._write_whole(octets)
        with self._ready:
            self._octets -= len(octets)
            self._unwritten -= worth
            if not written:
                self._missing += worth
        if not written:
            self._dropped(sum(worth == 1 for _, worth in lines))

    def _write_whole(self, octets: bytes) -> bool:
        """Write, wait as long as it takes; whether it could be written."""
        rest = b"\n" + octets if self._torn else octets
        try:
            while rest:
                done = self._write(rest)
                if done is None:  # somebody has made stdout non-blocking, and it is full
                    time.sleep(PAUSE)
                    continue
                self._torn = done < len(rest)
                rest = rest[done:]
        except (OSError, ValueError):  # nobody reads it, the disk is full, it has been closed
            return False
        return True


def _pieces(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Yield lines that go together into LINE octets."""
    piece: list[Line] = []
    octets = 0
    for line in lines:
        if piece and octets + len(line[0]) > LINE:
            yield piece
            piece, octets = [], 0
        piece.append(line)
        octets += len(line[0])
    if piece:
        yield piece
