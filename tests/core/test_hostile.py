"""Mail made to hurt: bounded in time and memory, and no exception leaves the reader, ever."""

import importlib
import pkgutil
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bounced import core
from tests.core.reading import GROUP, MESSAGES, dsn, names, read

SIZE = 5 << 20  # octets: the largest message that is taken by default
SECONDS = 2.0
MEBIBYTES = 200

PLAIN = b"From: MAILER-DAEMON@a.example\nSubject: Undelivered Mail Returned to Sender\n%s\nIt failed:\n"


def full_of(unit: bytes, head: bytes = b"") -> bytes:
    return head + unit * ((SIZE - len(head)) // len(unit))


def in_report(unit: bytes) -> bytes:
    """A report whose notice, diagnostic and returned header are each full of `unit`."""
    third = unit * (SIZE // len(unit) // 3)
    before, middle, after = (
        dsn(f"{GROUP}Diagnostic-Code: @@", notice="@@", returned="To: @@").encode().split(b"@@")[:3]
    )
    return before + third + middle + third + after + third


def nested(kind: bytes, depth: int) -> bytes:
    if kind == b"message":
        return b"Content-Type: message/rfc822\n\n" * depth
    return b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth))


def tree(depth: int, name: bytes = b"t") -> bytes:
    if depth == 0:
        return b"a: b\n\nhi\n"
    branch = b"\n--" + name + b"\n" + tree(depth - 1, name + b"x")
    return b"Content-Type: multipart/mixed; boundary=" + name + b"\n\n" + branch * 64


def recipients(count: int, more: str = "") -> bytes:
    return dsn("\n".join(GROUP.replace("jane", f"u{n}") + more for n in range(count))).encode()


MULTIPART = b"Content-Type: multipart/mixed; boundary=b\n\n"
BOMBS = {
    "subject of 280 KB in encoded words": PLAIN % (b"Subject: " + b"=?utf-8?q?a?= " * 20_000 + b"\n"),
    "3,000 multiparts in each other": nested(b"multipart", 3_000) + b"x" * SIZE,
    "3,000 messages in each other": nested(b"message", 3_000) + b"x" * SIZE,
    "a million parts": MULTIPART + b"\n--b\n" * 1_000_000,
    "a tree of 64 x 64 x 64 parts": tree(3)[:SIZE],
    "200,000 header fields": b"".join(b"X%d: a\n" % n for n in range(200_000)) + b"\nhi",
    "a header in each of a thousand parts": MULTIPART
    + (b"\n--b\n" + b"".join(b"%x:\n" % n for n in range(800)) + b"\n") * 1_000,
    "a header line of 1 MB": PLAIN % (b"X: " + b"a" * 1_000_000 + b"\n"),
    "a folded header line of 1 MB": PLAIN % (b"From:" + b"\n a" * 300_000 + b"\n"),
    "a thousand parameters": b"Content-Type: multipart/mixed" + b';a="\\' * 1_600 + b"\n\n" + b"x" * SIZE,
    "a thousand unknown charsets": PLAIN
    % (b"To: " + b"".join(b"=?x%d?q?a?= " % n for n in range(700)) + b"\n"),
    "100,000 recipients": recipients(100_000)[: SIZE * 2],
    "local parts against many addressees": dsn(
        "\n".join(f"Final-Recipient: rfc822; u{n}\nAction: failed\n" for n in range(10_000)),
        returned="To: " + ",".join(f"a{n}@b" for n in range(1_000)) + "\n",
    ).encode(),
    "long diagnostics": recipients(
        240, f"Diagnostic-Code: smtp; 550 {'1a ' * 1_300}\nX-Supplementary-Info: {'1- ' * 1_300}\n"
    ),
    "brackets as address": dsn(f"Final-Recipient: rfc822; {'(' * 1_000_000}\nAction: failed\n").encode(),
    "fields that are almost addresses": dsn(
        "\n".join(
            f"Final-Recipient: rfc822; {unit * (4_000 // len(unit))}\nAction: failed\n"
            for unit in ("(", "( ", "()", '"', '\\"', "a", "a@", "a@b", "<", "<a@", ":", "a ", "mailto:")
            for _ in range(10)
        )
    ).encode(),
    "a tag that never ends": full_of(b"a", PLAIN % b"Content-Type: text/html\n" + b"<"),
    "comments that never end": full_of(b"<!--", PLAIN % b"Content-Type: text/html\n"),
    "combining marks": full_of(
        "\u05b0\u0591\u0315\u0300".encode(), PLAIN % b"Content-Type: text/plain; charset=utf-8\n"
    ),
    "an alternative of many": (
        b"Content-Type: multipart/alternative; boundary=b\n\n" + b"\n--b\n\n" * 100_000
    ),
    "a part without end": full_of(b"A", PLAIN % b"Content-Transfer-Encoding: base64\n"),
    "quoted-printable": full_of(b"=", PLAIN % b"Content-Transfer-Encoding: quoted-printable\n"),
    "a complaint of fields": full_of(
        b"a:\n", MULTIPART + b"--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\n"
    ),
    "a receipt of dispositions": full_of(
        b"Disposition: automatic-action ",
        MULTIPART + b"--b\n\nIt was rejected.\n--b\nContent-Type: message/disposition-notification\n\n",
    ),
    "a notice of addresses": full_of(b"a%d@b.example\n", PLAIN % b"" + b"It could not be delivered to:\n\n"),
    "blanks in a notice": full_of(
        b" ", PLAIN % b"" + b"It could not be delivered.\n\n<a@b.example>:\nHello."
    ),
    "json in json": full_of(b'{"Message":', PLAIN % b"" + b"\n"),
    "host names": full_of((b"a" * 63 + b".") * 14 + b"\n", PLAIN % b"" + b"<a@b.example>: failed\n"),
}
UNITS: tuple[bytes, ...] = (
    b"<",
    b"@",
    b"=?",
    b";",
    b"\n--",
    b" ",
    b"\0",
    b"\n",
    b"\r",
    b"(",
    b"a.",
    b"a@b ",
    b"a@b\n",
    b"<@a,",
    b"&#1;",
    b'"',
    b'\\"',
    b'"a ',
    b"`",
)
UNITS += (
    b"550 ",
    b"5.1.1 ",
    b"a:\n",
    b"\n>",
    b"\xe3\x81",
    b"\x1b$B",
    b"Final-Recipient: rfc822; a\n",
    b"Received: x\n ",
)


def test_each_bomb_costs_little_time():
    slow = {}
    bombs = BOMBS | {f"full of {unit!r}": full_of(unit, PLAIN % b"") for unit in UNITS}
    bombs |= {f"nothing but {unit!r}": full_of(unit) for unit in UNITS}
    bombs |= {f"a report full of {unit!r}": in_report(unit) for unit in UNITS}
    for name, raw in bombs.items():
        began = time.process_time()
        read(raw)
        took = time.process_time() - began
        if took > SECONDS:
            slow[name] = took
    assert slow == {}


# VmHWM and not getrusage: what that calls the peak of a process includes its parent's, from before the exec.
CHILD = """
import re, sys
from pathlib import Path
from tests.core.reading import read

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024

raw = sys.stdin.buffer.read()
read(raw[:1000])
before = peak()
read(raw)
print(peak() - before)
"""


@pytest.mark.parametrize(
    "name",
    [
        "a million parts",
        "a tree of 64 x 64 x 64 parts",
        "200,000 header fields",
        "a header in each of a thousand parts",
        "100,000 recipients",
        "combining marks",
        "a complaint of fields",
        "a tag that never ends",
    ],
)
def test_memory(name):
    done = subprocess.run([sys.executable, "-c", CHILD], input=BOMBS[name], capture_output=True, check=True)
    assert int(done.stdout) < MEBIBYTES


def test_of_100_000_recipients_a_hundred_are_believed_and_the_rest_is_counted():
    reading = read(recipients(100_000))
    assert len(reading.verdicts) == 100
    assert reading.left_out == 99_900


def test_a_bomb_around_a_recipient_hides_nothing():
    noise = "".join(f"X-{n}: noise\n" for n in range(500))
    assert names(read(dsn(GROUP + noise, headers=noise))) == ["jane@example.org"]


def patterns() -> Iterator[pytest.ParameterSet]:
    """Every pattern that a module of the core has, by its name."""
    for module in pkgutil.iter_modules(core.__path__, "bounced.core."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                yield pytest.param(value, id=f"{module.name}.{name}")


@pytest.mark.parametrize("pattern", list(patterns()))
def test_no_pattern_tries_again_and_again(pattern):
    """A text of three hundred characters that almost fits, made of what the pattern itself is made of."""
    chance = random.Random(7)
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    pieces = sorted({*source, *re.findall(r"[\w@<>:;., -]+", source), *"a1A@<>,;:.=\t\n \"'()[]\0"})
    began = time.process_time()
    for _ in range(400):
        unit = "".join(chance.choices(pieces, k=chance.randrange(1, 4)))
        text = (unit * 300)[:300] + chance.choice(("", "!", " =x", "\n\n", "<", "@"))
        made = text if isinstance(pattern.pattern, str) else text.encode("utf-8", "replace")
        pattern.search(made)
        pattern.match(made)
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_every_prefix(name):
    raw = MESSAGES[name]
    named = {verdict.recipient for verdict in read(raw).verdicts}
    is_cut_in_lines = b"\nContent-Type: multipart/" in raw
    for end in range(len(raw)):
        found = {verdict.recipient for verdict in read(raw[:end]).verdicts}
        if is_cut_in_lines:  # half of an address is somebody else's
            assert found <= named, raw[:end][-80:]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(MESSAGES)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=40),
)
def test_flipped_octets(name, flips):
    raw = bytearray(MESSAGES[name])
    for where, octet in flips:
        raw[int(where * len(raw))] = octet
    for verdict in read(bytes(raw)).verdicts:
        assert "@" in verdict.recipient


WORDS = (
    b"\n\n", b"\n", b"--b", b"--b--\n", b"Content-Type: ", b"multipart/report; boundary=b", b"text/html",
    b"message/delivery-status", b"Content-Transfer-Encoding: base64\n", b"; charset=", b"utf-16", b"\x00", b"\xff",
    b"Final-Recipient: rfc822; ", b"jane@example.org", b"Action: failed\n", b"Status: 5.1.1\n", b"Arrival-Date: ",
    b"Sun, 22 Nov 2026 04:00:00 +9999", b"=?utf-8?b?", b"?=", b"<", b">", b"&#99999999999;", b"{", b'"Message":',
    b"From: MAILER-DAEMON\nSubject: Undelivered\n", b"X-Failed-Recipients: ",
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=8)), max_size=60))
@example([b"Content-Type: text/html\n\n", b"&#", b"9" * 5_000])
@example([b"Content-Type: multipart/mixed; boundary=b\n\n--b"])
def test_anything(pieces):
    read(b"".join(pieces))
