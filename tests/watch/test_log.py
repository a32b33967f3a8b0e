"""Lines on their way out, whoever reads them and however; addresses of people, where they are not to stand."""

import errno
import json
import os
import re
import smtplib
import subprocess
import sys
import threading

import pytest

from bounced.events.addresses import KEY_FILE, Concealer, key_of
from bounced.events.writer import LINE, Writer
from bounced.settings import Addresses
from tests import reports
from tests.daemon.running import Daemon, give
from tests.process import wait_until
from tests.redis_server import free_port


class Pipe:
    """A pipe to read when the test wants to, and what the writer has said of lines that were left out."""

    def __init__(self, waiting: int) -> None:
        self.read_end, write_end = os.pipe()
        self.stream = os.fdopen(write_end, "wb", buffering=0)
        self.dropped = 0
        self.writer = Writer(self.stream, self._drop, lambda lines: b"dropped %d\n" % lines, waiting)

    def _drop(self, lines: int) -> None:
        self.dropped += lines

    def read(self) -> bytes:
        """All that comes until the writer has closed its end."""
        octets = b""
        while block := os.read(self.read_end, 1 << 20):
            octets += block
        return octets


def test_a_reader_that_stands_still_holds_nothing_up_and_is_told_what_it_missed():
    pipe = Pipe(waiting=200_000)
    lines = [b"%06d %s\n" % (n, b"x" * 500) for n in range(2000)]  # 1 MB; the pipe takes 64 KiB
    for line in lines:
        pipe.writer.put(line)
    assert pipe.dropped > 0
    reader: list[bytes] = []
    thread = threading.Thread(target=lambda: reader.append(pipe.read()))
    thread.start()
    wait_until(lambda: pipe.writer._octets < 200_000)
    pipe.writer.put(b"again\n")
    assert pipe.writer.close() == 0
    pipe.stream.close()
    thread.join()
    *came, told, again = reader[0].splitlines(keepends=True)
    assert again == b"again\n"
    assert told == b"dropped %d\n" % pipe.dropped
    assert came == lines[: len(came)]
    assert len(came) + pipe.dropped == len(lines)


def test_at_the_end_a_reader_that_stands_still_is_waited_for_so_long_and_no_longer():
    pipe = Pipe(waiting=1_000_000)
    for n in range(1000):
        pipe.writer.put(b"%06d %s\n" % (n, b"x" * 500))
    left = pipe.writer.close(patience=0.2)
    assert 0 < left < 1000


class Disk:
    """A stream that is full for a while, in the middle of a line."""

    def __init__(self) -> None:
        self.octets = b""
        self.room = 10**9

    def write(self, octets: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = octets[: self.room]
        self.room -= len(taken)
        self.octets += taken
        return len(taken)


def test_after_a_full_disk_the_log_says_what_is_missing_and_no_line_is_glued_to_half_a_one():
    disk = Disk()
    dropped: list[int] = []
    writer = Writer(disk, dropped.append, lambda lines: b"dropped %d\n" % lines)  # type: ignore[arg-type]
    writer.put(b"first\n")
    wait_until(lambda: disk.octets)
    disk.room = 3
    writer.put(b"second\n")
    wait_until(lambda: dropped)
    disk.room = 10**9
    writer.put(b"third\n")
    assert writer.close() == 0
    assert disk.octets.splitlines() == [b"first", b"sec", b"dropped 1", b"third"]


def test_a_daemon_whose_log_nobody_reads_takes_mail_and_ends(tmp_path):
    read_end, write_end = os.pipe()
    address = f"127.0.0.1:{free_port()}"
    settings = [f"smtp.listen={address}", f"state_dir={tmp_path}", "metrics.listen="]
    words = [word for setting in settings for word in ("--set", setting)]
    with subprocess.Popen(
        [sys.executable, "-m", "bounced", "serve", *words], stdout=write_end, stderr=subprocess.PIPE
    ) as daemon:
        os.close(write_end)
        assert os.read(read_end, 4096)
        os.close(read_end)  # from now on: EPIPE
        wait_until(lambda: daemon.poll() is not None or _greets(address))
        with smtplib.SMTP(address, timeout=30) as client:
            for n in range(3):
                assert give(client, reports.hard(f"{n}@example.org", "letter")).startswith("250")
        daemon.terminate()
        assert daemon.wait(30) == 0
        assert daemon.stderr is not None
        assert b"lines of the log were not taken" in daemon.stderr.read()


def _greets(address: str) -> bool:
    try:
        with smtplib.SMTP(address, timeout=30):
            return True
    except OSError:
        return False


def test_no_line_is_missing_at_the_end_nor_mixed_with_another_workers(tmp_path):
    with Daemon(tmp_path, "workers=2") as daemon:
        message = reports.postfix_style([reports.Fate(f"{n}@example.org") for n in range(100)], "letter")
        senders = [threading.Thread(target=daemon.send, args=(message,) * 3) for _ in range(4)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    bounces = [line for line in daemon.rest_of_log() if line["event"].startswith("bounce.")]  # each is JSON
    assert len(bounces) == 4 * 3 * 100
    assert bounces[-1]["took_ms"] > 0
    assert LINE == 4096


KEY = b"k" * 32
JANE = "jane.doe@example.org"


@pytest.fixture(params=[Addresses.MASKED, Addresses.HASHED])
def concealer(request):
    return Concealer(request.param, KEY)


@pytest.mark.parametrize(
    "text",
    [
        f"550 5.1.1 <{JANE}>: user unknown",
        f"550 5.1.1 {JANE.upper()}... user unknown",
        "550 jane.doe is over quota",
        "452 4.2.2 mailbox Jane.Doe: over quota",
        "554 see https://example.net/?rcpt=jane.doe%40example.org",
        "delivery to news-jane.doe=40example.org@lists.example.net failed",
        'no such user "jane.doe"@example.org',
        "user jane.doe@example.org; jane.doe@other.example",
        "550 (jane.doe@example.org) does not exist: jane.doe.",
    ],
)
def test_nobody_is_named_in_words_of_servers(concealer, text):
    fields: dict[str, object] = {"recipient": JANE, "final_recipient": None, "diagnostic": text, "soft": 1}
    concealer.conceal(fields)
    assert not re.search(r"\bdoe\b", json.dumps(fields).lower())
    assert str(fields["diagnostic"])[:4].lower() == text[:4].lower() or text.startswith(
        ("user", "no such", "del")
    )
    assert (fields["final_recipient"], fields["soft"]) == (None, 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"return_path": f"b+{JANE.replace('@', '=')}@bounces.example.com"},
        {"recipient": "~cpmfltutcbz5jeskyn34"},
        {"recipient": JANE, "message_identity": "cpmfltutcbz5jeskyn34mid000000001"},
        {"recipient": JANE, "message_identity": f"<1.{JANE}>"},
        {"recipients": [JANE, "jane.doe@x.example"]},
        {"detail": f"cannot read {JANE}", "trace": [f"x {JANE}"]},
    ],
)
def test_nobody_is_named_in_other_fields(concealer, fields):
    concealer.conceal(fields)
    assert not re.search(r"doe|cpmfltutcbz5jeskyn34", json.dumps(fields))


def test_what_stays_is_what_deliverability_needs(concealer):
    fields: dict[str, object] = {
        "recipient": JANE, "diagnostic": "550 5.7.1 Message blocked, see http://example.net/b?x=1",
        "rule": "blocked", "peer": "192.0.2.1:25", "remote_mta": "mx.example.org",
    }  # fmt: skip
    before = dict(fields)
    concealer.conceal(fields)
    assert str(fields["recipient"]).endswith("@example.org")
    assert {**fields, "recipient": JANE} == before


def test_a_hash_is_the_same_for_one_address_and_needs_the_key():
    one, again, other = (Concealer(Addresses.HASHED, key) for key in (KEY, KEY, b"o" * 32))
    assert one.address(JANE) == again.address(JANE) != other.address(JANE)
    assert one.address(JANE) != one.address("joe@example.org")
    fields: dict[str, object] = {"recipient": JANE, "diagnostic": f"<{JANE.upper()}> unknown"}
    one.conceal(fields)
    assert str(fields["recipient"]).partition("@")[0] in str(fields["diagnostic"])


def test_masked_looks_as_documented():
    assert Concealer(Addresses.MASKED, KEY).address(JANE) == "j***@example.org"


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path):
    made = key_of(tmp_path / "state")
    assert key_of(tmp_path / "state") == made
    assert (tmp_path / "state" / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert key_of(tmp_path / "other") != made
    assert len(list((tmp_path / "state").iterdir())) == 1


@pytest.mark.parametrize("addresses", ["masked", "hashed"])
def test_a_daemon_that_is_asked_to_names_nobody(tmp_path, addresses):
    with Daemon(tmp_path, f"log.addresses={addresses}", "return_path.mode=observe") as daemon:
        hard = reports.hard(JANE, "letter")
        daemon.send(
            hard,
            hard,
            reports.delayed(JANE, "l2"),
            reports.delivered(JANE, "l3"),
            to="b+jane.doe=example.org@x.example",
        )
    lines = daemon.rest_of_log()
    assert {"bounce.recorded", "bounce.duplicate", "bounce.delayed", "bounce.delivered", "bounce.forged"} <= {
        line["event"] for line in lines
    }
    assert "jane.doe" not in json.dumps(lines)
