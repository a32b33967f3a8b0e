"""Tests 1 to 6, 14 and 15: what a peer can do with octets alone."""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from tests import certificates, process, reports
from tests.daemon.running import Daemon
from tests.listener.dialogue import Peer

MIB = 1 << 20


def peer(daemon: Daemon, source: str = "127.0.0.1") -> Peer:
    client = Peer(daemon.port, source)
    assert client.reply().startswith("220 ")
    assert client.ask("EHLO peer.example").startswith("250-")
    return client


@contextlib.contextmanager
def watched(daemon: Daemon) -> Iterator[list[float]]:
    """Another client, whose NOOPs are timed; what it waited longest is the stall of the daemon."""
    waits: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        with peer(daemon, "127.0.0.99") as client:
            while not stop.is_set():
                started = time.perf_counter()
                assert client.ask("NOOP").startswith("250 ")
                waits.append(time.perf_counter() - started)
                if len(waits) % 90 == 0:  # not too much talk
                    client.start_data()
                    assert client.ask("x\r\n.").startswith("250 ")
                stop.wait(0.005)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield waits
    finally:
        stop.set()
        thread.join()


def grown(daemon: Daemon, before: int) -> float:
    return (process.peak(daemon.process.pid) - before) / MIB


def test_1_a_line_without_end(daemon, figure):
    with peer(daemon) as client:
        client.start_data()
        process.forget_peak(daemon.process.pid)
        before, sent = process.memory(daemon.process.pid), 0
        with contextlib.suppress(ConnectionError):
            while sent < 800 * MIB:
                client.send(b"x" * MIB)
                sent += MIB
        assert sent < 800 * MIB
        figure("1 line without end", f"closed after {sent >> 20} MiB, +{grown(daemon, before):.1f} MiB")
        assert grown(daemon, before) < 20


def test_2_empty_lines(daemon, figure):
    body = b"\r\n" * (5 * MIB // 2 - 100)
    daemon.send(b"\r\n" * MIB)  # starts what reads large mail
    with watched(daemon) as waits, peer(daemon) as client:
        client.start_data()
        process.forget_peak(daemon.process.pid)
        before = process.memory(daemon.process.pid)
        client.send(body)
        assert client.ask(b".").startswith("250 ")
    figure("2 empty lines", f"+{grown(daemon, before):.1f} MiB, longest stall {max(waits) * 1000:.0f} ms")
    assert grown(daemon, before) < 30
    assert max(waits) < 0.25  # 0.1 on a machine that does nothing else


def test_3_too_large(daemon, figure):
    with peer(daemon) as client:
        assert client.ask(f"MAIL FROM:<> SIZE={20 * MIB}").startswith("552 5.3.4")
        client.start_data()
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 20 * MIB:
                client.send(b"x" * (MIB - 2) + b"\r\n")
                sent += MIB
        assert sent < 20 * MIB
        figure(
            "3 too large", f"552 at MAIL; undeclared: closed after {sent >> 20} MiB were taken or buffered"
        )


ENDS = (b"", b"\n", b"\r", b"\r\n", b"\r\r\n", b"\n\r", b"\0\r\n", b"\r\n\0", b"\r\0\n", b"\x85", b"\x0b\n")


def test_4_no_end_of_data_but_the_right_one(daemon, figure):
    refused = taken = 0
    smuggled = b"MAIL FROM:<>\r\nRCPT TO:<smuggled@bounces.example.com>\r\nDATA\r\nx\r\n.\r\n"
    for before, after in itertools.product(ENDS, ENDS):
        if before.endswith(b"\r\n") and after.startswith(b"\r\n"):
            continue  # the right one
        with peer(daemon, f"127.0.1.{(refused + taken) % 250 + 1}") as client:
            client.start_data()
            client.send(b"a" + before + b"." + after + smuggled)
            reply = client.reply()
            if reply.startswith("554 5.6.0"):
                assert client.is_closed()
                refused += 1
            else:
                assert reply.startswith("250 ")
                taken += 1
                assert client.ask("NOOP").startswith("250 2.0.0 OK")  # and no reply to what was smuggled
    figure("4 smuggling", f"{refused + taken} forms: {refused} refused, {taken} taken as text, 0 smuggled")


@pytest.mark.parametrize("octet", [bytes([n]) for n in (*range(32), 127)])
def test_5_control_characters(daemon_for_all, octet):
    with peer(daemon_for_all, "127.0.0.7") as client:
        for command in (b"MAIL FROM:<a%sb@c.example>", b"RCPT TO:<a%sb@c.example>", b"EHLO a%sb", b"NO%sOP"):
            answer = client.ask(command % octet)
            assert answer[:3] in ("501", "500", "503")
            assert answer.isprintable()
            if octet == b"\n":
                assert client.reply()  # two lines, two replies


@pytest.fixture(scope="module")
def daemon_for_all(tmp_path_factory):
    with Daemon(tmp_path_factory.mktemp("daemon"), "smtp.limits.errors=0") as running:
        yield running


def test_6_commands_pipelined_behind_starttls(tmp_path):
    certificate, key = certificates.make(tmp_path)
    with Daemon(tmp_path, f"smtp.tls.certificate={certificate}", f"smtp.tls.key={key}") as daemon:
        with peer(daemon) as client:
            client.send(b"NOOP\r\nSTARTTLS\r\nMAIL FROM:<injected@example.org>\r\n")
            assert client.reply().startswith("250 ")
            assert client.reply().startswith("220 ")
            secure = client.wrap()
            assert client.ask("EHLO x").startswith("250-")
            assert client.ask("RCPT TO:<a@b.example>").startswith("503 ")
            assert secure.version() in ("TLSv1.2", "TLSv1.3")
        assert daemon.send(reports.hard("jane@example.org", "a")) == ["250 2.0.0 Noted"]


def test_14_twenty_thousand_recipients(daemon, figure):
    with watched(daemon) as waits, peer(daemon) as client:
        assert client.ask("MAIL FROM:<>").startswith("250 ")
        replies = []
        for _ in range(20):
            client.send(b"".join(b"RCPT TO:<b%d@bounces.example.com>\r\n" % n for n in range(1000)))
            replies += [client.reply()[:9] for _ in range(1000)]
        assert replies == ["250 2.1.5"] * 100 + ["452 4.5.3"] * 19_900
        client.ask("DATA")
        assert client.ask(reports.hard("jane@example.org", "a") + b".").startswith("250 ")
    figure("14 recipients", f"100 taken, 19,900 x 452, longest stall {max(waits) * 1000:.0f} ms")
    with daemon.store() as store:
        assert store.exists("bounced:hard:jane@example.org")


def test_15_long_lines(daemon):
    with peer(daemon) as client:
        assert client.ask("NOOP " + "x" * 600).startswith("500 5.5.2")
        client.start_data()
        client.send(b"x" * 65536 + b"\r\n")
        assert client.ask(".").startswith("250 ")
