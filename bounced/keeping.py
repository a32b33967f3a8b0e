"""Every report that was taken, kept for some days where the operator wants it: `<state_dir>/kept/<day>/<digest>.eml`.

For `bounced replay`, when a rule was wrong. Nothing here is promised to anybody: files are not synced, and what
cannot be written costs no report. Whole days go when they are over, and the oldest messages when there is no room.
"""

import contextlib
import shutil
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from bounced import mailfiles
from bounced.mailfiles import Envelope

RECOUNTS = 16  # while what is allowed is filled: other workers keep mail too


class Keeping:
    """A directory of reports, by the day (UTC) on which they came."""

    def __init__(self, state_dir: Path, *, days: int, size: int) -> None:
        """Keep for so many days at most `size` octets, 0: no limit."""
        self._directory = state_dir / "kept"
        self._days = days
        self._size = size
        self._lock = threading.Lock()
        self._today: date | None = None
        self._uncounted = 0

    def keep(self, content: bytes, envelope: Envelope) -> None:
        """Write a message. Blocks; raises OSError."""
        today = datetime.fromtimestamp(envelope.at, UTC).date()
        directory = self._directory / today.isoformat()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        mailfiles.write(directory, content, envelope, synced=False)
        with self._lock:
            self._uncounted += len(content)
            if today != self._today:
                self._forget_days(today)
            if today != self._today or self._uncounted * RECOUNTS > self._size > 0:
                self._make_room()
            self._today = today

    def _forget_days(self, today: date) -> None:
        """Remove the days that are over: of `days`, today is the last."""
        oldest = today - timedelta(days=self._days - 1)
        for directory in self._kept_days():
            if date.fromisoformat(directory.name) < oldest:
                shutil.rmtree(directory, ignore_errors=True)

    def _make_room(self) -> None:
        self._uncounted = 0
        if not self._size:
            return
        files = sorted(found for day in self._kept_days() for found in mailfiles.held(day))
        octets = sum(size for _, size, _ in files)
        for _, size, path in files:
            if octets <= self._size:
                break
            mailfiles.remove(path)
            octets -= size

    def _kept_days(self) -> list[Path]:
        days = []
        for directory in self._directory.iterdir():
            with contextlib.suppress(ValueError):
                date.fromisoformat(directory.name)
                days.append(directory)
        return sorted(days)
