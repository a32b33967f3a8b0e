"""Mail that a person has to read: kept as files, `<state_dir>/quarantine/<reason>/<digest>.eml` and its envelope.

A message that `keep` has returned for survives a power cut. The same message is kept once however often it comes.
Each reason has room for so many messages and octets of its own: what strangers pour into one pushes nothing out of
another. When it is full, the oldest goes. What `bounced replay` could read moves on to the reason `replayed`.
"""

import threading
from pathlib import Path

from bounced import events, mailfiles
from bounced.mailfiles import Envelope

REPLAYED = "replayed"
RECOUNTS = 16  # while what is allowed is filled: other workers keep mail too


class Quarantine:
    """A directory of kept mail. The reasons are ours, never a peer's words."""

    def __init__(self, state_dir: Path, *, messages: int = 0, size: int = 0) -> None:
        """Keep at most `messages` files and `size` octets for each reason; 0: no limit."""
        self._directory = state_dir / "quarantine"
        self._messages = messages
        self._size = size
        self._lock = threading.Lock()
        self._counted: dict[str, tuple[int, int]] = {}  # by reason: files and octets, when we last looked
        self._since: dict[str, tuple[int, int]] = {}  # what has come through us since

    def keep(self, content: bytes, reason: str, envelope: Envelope) -> Path:
        """Write a message and have the disk confirm it. Returns its file. Blocks; raises OSError."""
        directory = self._made(reason)
        file = mailfiles.write(directory, content, envelope, synced=True)
        with self._lock:
            self._make_room(directory, len(content))
        return file

    def holds(self, file: Path) -> bool:
        """Whether it is a message that waits here for somebody to read it."""
        place = file.resolve().parent
        return place.parent == self._directory.resolve() and place.name != REPLAYED

    def move_on(self, file: Path) -> None:
        """Note that a message that waited here has been read, if it is still there. Blocks; raises OSError."""
        directory = self._made(REPLAYED)
        envelope = file.with_suffix(mailfiles.ENVELOPE)
        try:
            size = file.stat().st_size
            if envelope.exists():
                envelope.rename(directory / envelope.name)
            file.rename(directory / file.name)
        except FileNotFoundError:  # the daemon needed its room, or another has moved it on
            return
        with self._lock:
            self._make_room(directory, size)

    def _make_room(self, directory: Path, came: int) -> None:
        """Remove the oldest down to nine tenths of what is allowed, so that this is done now and then only."""
        reason = directory.name
        files, size = self._since.get(reason, (0, 0))
        files, size = self._since[reason] = files + 1, size + came
        count, octets = self._counted.get(reason, (0, 0))
        is_full = self._is_over(count + files, octets + size)
        if reason in self._counted and not is_full and not self._is_over(files * RECOUNTS, size * RECOUNTS):
            return
        found = sorted(mailfiles.held(directory))
        count, octets = total = _total(found)
        is_full = is_full or self._is_over(count, octets)
        for _, size, path in found[:-1] if is_full else ():  # never the one that has just been promised
            if not self._is_over(count, octets, tenths=9):
                break
            mailfiles.remove(path)
            count, octets = count - 1, octets - size
        self._counted[reason], self._since[reason] = (count, octets), (0, 0)
        if dropped := total[0] - count:
            events.quarantine_dropped(reason, dropped, total[1] - octets)

    def _is_over(self, count: int, octets: int, *, tenths: int = 10) -> bool:
        return count * 10 > self._messages * tenths > 0 or octets * 10 > self._size * tenths > 0

    def _made(self, reason: str) -> Path:
        directory = self._directory / reason
        if not directory.exists():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for parent in (directory.parent, directory.parent.parent):
                mailfiles.sync(parent)
        return directory


def _total(files: list[tuple[int, int, str]]) -> tuple[int, int]:
    return len(files), sum(size for _, size, _ in files)
