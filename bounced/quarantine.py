"""Mail that a person has to read: kept as files, `<state_dir>/quarantine/<reason>/<digest>.eml`.

A message that `keep` has returned for survives a power cut. The name is a digest of the content, so the same
message is kept once however often it comes. Each reason has room for so many messages and octets of its own: what
strangers pour into one pushes nothing out of another. When it is full, the oldest goes.
"""

import hashlib
import os
import threading
from pathlib import Path

from bounced import events


class Quarantine:
    """A directory of kept mail. The reasons are ours, never a peer's words."""

    def __init__(self, state_dir: Path, *, messages: int = 0, size: int = 0) -> None:
        """Keep at most `messages` files and `size` octets for each reason; 0: no limit."""
        self._directory = state_dir / "quarantine"
        self._messages = messages
        self._size = size
        self._lock = threading.Lock()
        self._held: dict[str, tuple[int, int]] = {}  # by reason: files and octets, as far as we know

    def keep(self, content: bytes, reason: str) -> Path:
        """Write a message and have the disk confirm it. Returns its file. Blocks; raises OSError."""
        directory = self._directory / reason
        file = directory / f"{hashlib.sha256(content).hexdigest()[:32]}.eml"
        if file.exists():  # whole, as it got this name last; but that name may not be on the disk yet
            _sync(directory)
            return file
        self._make(directory)
        # A name of its own for each writer: the same message may be coming in twice at this moment.
        descriptor, unfinished = _temporary(directory)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            unfinished.rename(file)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        _sync(directory)
        with self._lock:
            self._make_room(directory, len(content))
        return file

    def _make_room(self, directory: Path, came: int) -> None:
        """Remove the oldest down to nine tenths of what is allowed, so that this is done now and then only."""
        reason = directory.name
        if reason in self._held:
            count, octets = self._held[reason]
            self._held[reason] = (count + 1, octets + came)
        else:
            self._held[reason] = _total(_kept(directory))
        if not self._is_over(*self._held[reason], tenths=10):
            return
        files = sorted(_kept(directory))
        count, octets = total = _total(files)
        for _, size, path in files[:-1]:  # never the one that has just been promised
            if not self._is_over(count, octets, tenths=9):
                break
            Path(path).unlink(missing_ok=True)
            count, octets = count - 1, octets - size
        self._held[reason] = (count, octets)
        if dropped := total[0] - count:
            events.quarantine_dropped(reason, dropped, total[1] - octets)

    def _is_over(self, count: int, octets: int, *, tenths: int) -> bool:
        return count * 10 > self._messages * tenths > 0 or octets * 10 > self._size * tenths > 0

    def _make(self, directory: Path) -> None:
        if not directory.exists():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for parent in (directory.parent, directory.parent.parent):
                _sync(parent)


def _kept(directory: Path) -> list[tuple[int, int, str]]:
    """Return age, size and path of all that lies there."""
    kept = []
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                stat = entry.stat()
            except FileNotFoundError:  # somebody has read it and taken it away
                continue
            if entry.name.endswith(".eml"):
                kept.append((stat.st_mtime_ns, stat.st_size, entry.path))
    return kept


def _total(files: list[tuple[int, int, str]]) -> tuple[int, int]:
    return len(files), sum(size for _, size, _ in files)


def _temporary(directory: Path) -> tuple[int, Path]:
    path = directory / f".{os.getpid()}-{os.urandom(8).hex()}"
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), path


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
