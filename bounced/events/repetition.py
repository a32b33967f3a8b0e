"""Keeps one cause from filling the log: so many lines a minute, and then the number of what was left out.

Plain counters, which forget: they do not grow with the number of causes that there have ever been.
"""

from collections import Counter
from collections.abc import Hashable

MINUTE = 60.0  # seconds
# Lines of one event that one cause (a peer's network, mostly) fills in a minute.
LINES = 20
# Causes that have a count of their own in a minute; the rest share one of each event.
CAUSES = 10_000

Cause = tuple[str, Hashable]  # an event, and who or what is behind it


class Damper:
    """Decides which lines are written. Times are in seconds of any one clock."""

    def __init__(self) -> None:
        self._lines: Counter[Cause] = Counter()
        self._minute = 0.0
        self._silenced: Counter[Cause] = Counter()  # in the minute before this one

    def line(self, event: str, who: Hashable, now: float) -> int | None:
        """Whether there is a line for this: how many had none in the minute before; None: not this one."""
        if now - self._minute >= MINUTE:
            over = {cause: count - LINES for cause, count in self._lines.items() if count > LINES}
            self._lines, self._silenced = Counter(), Counter(over)
            self._minute = now
        cause: Cause = (event, who)
        if cause not in self._lines and len(self._lines) >= CAUSES:
            cause = (event, None)
        self._lines[cause] += 1
        if self._lines[cause] > LINES:
            return None
        return self._silenced.pop(cause, 0)
