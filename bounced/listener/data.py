"""What follows 354: the message, up to the exact CRLF.CRLF and not one octet further.

RFC 5321 sections 4.1.1.4 and 4.5.2. The data is taken in large pieces and searched as one buffer: no work
per line, and never more in memory than the size limit and a piece. What the peer sends after the final dot
stays in the reader.
"""

import asyncio
from collections.abc import Callable

END_OF_DATA = b"\r\n.\r\n"
NO_ROOM = "452 4.3.1 Too much mail at once, come back later"
# Whoever sends this much more than the limit is not going to stop: hang up.
GRACE = 64 * 1024


class DataError(Exception):
    """The message cannot be taken. `reply` says so; after a `fatal` one, hang up."""

    def __init__(self, reply: str, *, fatal: bool) -> None:
        super().__init__(reply)
        self.reply = reply
        self.fatal = fatal


class Reader(asyncio.StreamReader):
    """A stream into which what was read too far can be put back."""

    _buffer: bytearray  # asyncio's own, which its stubs do not name

    def unread(self, data: bytes) -> None:
        """Let the next read start with `data`."""
        self._buffer[:0] = data

    def forget(self) -> None:
        """Throw away what has come and has not been read."""
        self._buffer.clear()

    def move_to(self, transport: asyncio.Transport) -> None:
        """Hold back this transport when too much comes. asyncio's start_tls leaves that to the one before."""
        self._transport = transport


async def read_data(reader: Reader, limit: int, hold: Callable[[int], bool]) -> bytes:
    """Read one message, without its dots for transparency; it ends in CRLF unless it is empty.

    `limit` is in octets, 0 for none; `hold` is asked before so many octets more are kept. Raises DataError
    for a message over the limit, one that may not be kept, or one with line ends that another server could
    read another way, and asyncio.IncompleteReadError when the peer hangs up before the end.
    """
    # The CRLF of the DATA command is the first half of the end of an empty message (section 4.1.1.4): with it
    # put back, the end always looks the same.
    reader.unread(b"\r\n")
    pieces: list[bytes] = []
    size = -len(END_OF_DATA)
    while True:
        try:
            piece = await reader.readuntil(END_OF_DATA)
            ended = True
        except asyncio.LimitOverrunError as overrun:
            piece = await reader.readexactly(overrun.consumed)
            ended = False
        size += len(piece)
        if limit and size > limit:
            pieces.clear()
            if ended or size > limit + GRACE:
                raise DataError("552 5.3.4 Message is larger than we take", fatal=not ended)
        elif hold(len(piece)):
            pieces.append(piece)
        else:
            raise DataError(NO_ROOM, fatal=not ended)
        if ended:
            break
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if is_ambiguous(data):
        raise DataError("554 5.6.0 Lines of a message end in CRLF", fatal=True)
    # Each piece of this slice is a line's start: the CRLF in front, and none of the final dot.
    return data[:-3].replace(b"\r\n.", b"\r\n")[2:]


def is_ambiguous(data: bytes) -> bool:
    r"""Say whether another server could see an end of the message inside it: SMTP smuggling.

    `data` runs from the CRLF before the message to its end, CRLF.CRLF. A CR without LF is refused, and so is
    a dot alone between line ends of which one is a bare LF; any other bare LF is harmless, and common in
    the mail that comes back.
    """
    body = data[:-3]
    return body.count(b"\r") != body.count(b"\r\n") or b"\n.\n" in body or b"\n.\r\n" in body
