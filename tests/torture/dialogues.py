"""SMTP as nobody should speak it: random sessions, each from a seed, so that one that hurts can be had again."""

import random
import socket
import struct
import time
from contextlib import ExitStack

from tests import certificates

VERBS = (
    b"EHLO", b"HELO", b"LHLO", b"MAIL FROM:", b"RCPT TO:", b"DATA", b"RSET", b"NOOP", b"VRFY", b"QUIT", b"STARTTLS",
    b"AUTH", b"BDAT", b"PROXY", b"GET", b"", b"mail from:", b"XCLIENT", b"\xff\xfe",
)  # fmt: skip
ARGUMENTS = (
    b"<>", b"<a@b.example>", b"<bounces@bounces.example.com>", b"<" + b"a" * 700 + b"@b>", b'<"a b"@c.example>',
    b"<@a:b@c>", b"<a@[127.0.0.1]>", b"<a@b> SIZE=99999999999999999999", b"<> BODY=BINARYMIME", b"<> SMTPUTF8", b"x",
    b"\0", b"\xe2\x80\xae@\xc3\xa9", b"<postmaster>", b"<" * 500, b"<\r@b>", b"5 LAST", b"TCP4 1.2.3.4 1.2.3.4 1 1",
)  # fmt: skip
ENDS = (b"\r\n",) * 12 + (b"\n", b"\r", b"", b"\r\n\r\n", b"\0\r\n")
TEXT = (
    b"Subject: Undelivered\r\n", b"\r\n", b".\r\n", b"..\r\n", b"\n.\n", b"\r", b"x" * 5000, b"\xff" * 50, b"\r\n.\r\n",
    b"Content-Type: multipart/report; boundary=b\r\n", b"--b\r\n", b"Content-Type: message/delivery-status\r\n\r\n",
    b"Final-Recipient: rfc822; victim@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n", b"\0" * 1000,
)  # fmt: skip
RESET = struct.pack("ii", 1, 0)

# Whoever has no certificate to show says 503, and the session goes on in clear.
_TLS = certificates.trusting()


def _line(chance: random.Random) -> bytes:
    gap = chance.choice((b" ", b"", b"  "))
    return chance.choice(VERBS) + gap + chance.choice(ARGUMENTS) + chance.choice(ENDS)


def _transaction(chance: random.Random) -> bytes:
    text = b"".join(chance.choices(TEXT, k=chance.randrange(30)))
    return (
        b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@bounces.example.com>\r\nDATA\r\n"
        + text
        + chance.choice((b"\r\n.\r\n", b""))
    )


def session(port: int, seed: int, source: str = "127.0.0.1") -> str:
    """Hold one session; return how the daemon failed it, or "". It may hang up whenever it likes."""
    chance = random.Random(seed)
    try:
        with ExitStack() as stack:
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(source, 0))
            )
            if chance.random() < 0.3:
                connection = stack.enter_context(_begin_tls(connection, chance))
            connection.settimeout(0.2)
            for _ in range(chance.randrange(1, 12)):
                made = _transaction(chance) if chance.random() < 0.3 else _line(chance)
                if chance.random() < 0.1:
                    flipped = bytearray(made or b"x")
                    flipped[chance.randrange(len(flipped))] = chance.randrange(256)
                    made = bytes(flipped)
                for piece in _pieces(made, chance):
                    connection.sendall(piece)
                if chance.random() < 0.5 and (fault := _heard(connection)):
                    return f"seed {seed}: {fault}"
            if chance.random() < 0.3:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    except OSError:
        pass
    return ""


def _begin_tls(connection: socket.socket, chance: random.Random) -> socket.socket:
    """Go on over TLS, if there is any and this session does not begin it in its own way. Raises OSError."""
    connection.sendall(
        b"EHLO x\r\nSTARTTLS\r\n" + chance.choice((b"",) * 4 + (b"RSET\r\n", b"\x16\x03\x01\0\x05"))
    )
    heard = b""
    while b"\n220 2." not in heard and b"\n503 " not in heard:
        heard += connection.recv(1000) or b"\n503 "
    if b"\n503 " in heard:
        return connection
    match chance.randrange(8):
        case 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.close()
        case 1:
            connection.sendall(chance.randbytes(chance.randrange(1, 2000)))
        case 2:
            connection.shutdown(socket.SHUT_WR)
    return _TLS.wrap_socket(connection)


def _pieces(data: bytes, chance: random.Random) -> list[bytes]:
    if chance.random() < 0.8:
        return [data]
    cut = chance.randrange(len(data) + 1)
    return [data[:cut], data[cut:]]


def _heard(connection: socket.socket) -> str:
    """What was wrong with the replies that have come: not ASCII lines that begin with a reply code."""
    try:
        heard = connection.recv(65536)
    except TimeoutError:
        return ""
    for line in heard.split(b"\r\n"):
        if line and not (line.isascii() and line.decode().isprintable() and line[:3].isdigit()):
            return f"replied {line!r}"
    return ""


def answers(port: int, source: str = "127.0.0.98") -> float:
    """Return the seconds that a new client waits for its greeting and one reply. Raises OSError."""
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0)) as connection:
        assert connection.recv(1000).startswith(b"220 ")
        connection.sendall(b"NOOP\r\n")
        assert connection.recv(1000).startswith(b"250 ")
    return time.perf_counter() - started
