"""What follows 354: the message, up to the exact CRLF.CRLF and not one octet further.

RFC 5321 sections 4.1.1.4 and 4.5.2. What comes is searched piece by piece, whatever its lines: no work per line, and
never more in memory than the size limit and a piece.
"""

import re
from collections.abc import Callable

END_OF_DATA = b"\r\n.\r\n"
NO_ROOM = "452 4.3.1 Too much mail at once, come back later"
BARE_CR = re.compile(rb"\r(?!\n)")
# Whoever sends this much more than the limit is not going to stop: hang up.
GRACE = 64 * 1024


class DataError(Exception):
    """The message cannot be taken. `reply` says so; after a `fatal` one, hang up."""

    def __init__(self, reply: str, *, fatal: bool) -> None:
        super().__init__(reply)
        self.reply = reply
        self.fatal = fatal


class Data:
    """One message on its way in. `rest` is what came behind its end."""

    rest = b""

    def __init__(self, limit: int, hold: Callable[[int], bool]) -> None:
        """Take `limit` octets at most, 0 for no limit; `hold` is asked before so many more are kept."""
        self._limit = limit
        self._hold = hold
        self._kept = bytearray()
        self._size = -len(END_OF_DATA)  # of the message as it came, its dots included
        # The CRLF of the DATA command is the first half of the end of an empty message (section 4.1.1.4): with it
        # put in front, the end always looks the same. It may come in pieces too: what may be its start waits here.
        self._tail = b"\r\n"

    def take(self, octets: bytes) -> bytes | None:
        """Return the message, without its dots for transparency, as soon as it is whole; None: it is not.

        It ends in CRLF unless it is empty. Raises DataError for a message over the limit, one that may not be kept,
        or one with line ends that another server could read another way.
        """
        octets = self._tail + octets
        end = octets.find(END_OF_DATA)
        if end < 0:
            cut = max(len(octets) - len(END_OF_DATA) + 1, 0)
            self._tail = octets[cut:]
            self._count(cut, ended=False)
            self._kept += octets[:cut]
            return None
        end += len(END_OF_DATA)
        self.rest = octets[end:]
        self._count(end, ended=True)
        if not self._kept:  # it came in one piece, as most do
            return _without_dots(octets[:end])
        self._kept += octets[:end]
        return _without_dots(bytes(self._kept))

    def _count(self, octets: int, *, ended: bool) -> None:
        self._size += octets
        if 0 < self._limit < self._size:
            self._kept.clear()
            if ended or self._size > self._limit + GRACE:
                raise DataError("552 5.3.4 Message is larger than we take", fatal=not ended)
        elif not self._hold(octets):
            raise DataError(NO_ROOM, fatal=not ended)


def _without_dots(data: bytes) -> bytes:
    dot = data.find(b"\n.")  # the first at the start of a line: mostly the final one
    if BARE_CR.search(data) or is_ambiguous(data[dot:-3]):
        raise DataError("554 5.6.0 Lines of a message end in CRLF", fatal=True)
    if dot == len(data) - 4:
        return data[2:-3]
    # Each piece of this is a line's start: the CRLF in front, and none of the final dot.
    return (data[: dot - 1] + data[dot - 1 : -3].replace(b"\r\n.", b"\r\n"))[2:]


def is_ambiguous(lines: bytes) -> bool:
    """Say whether another server could see an end of the message in these lines of it: SMTP smuggling.

    A dot alone between line ends of which one is a bare LF is such an end; any other bare LF is harmless, and common in
    the mail that comes back.
    """
    return b"\n.\n" in lines or b"\n.\r\n" in lines
