"""Tests 7 to 13 and 16: peers that come in numbers, stall, trickle, chatter, or never read."""

import contextlib
import resource
import socket
import time

import pytest

from tests import certificates, process, reports
from tests.daemon.running import Daemon
from tests.listener.dialogue import Peer
from tests.torture.conftest import NOT_EXEMPT
from tests.torture.test_octets import peer, watched

JANE = "jane@example.org"
NOTED = ["250 2.0.0 Noted"]


def many(daemon: Daemon, count: int, stack: contextlib.ExitStack, per_address: int = 40) -> list[Peer]:
    """Open so many connections, no more than `per_address` from one of the addresses of 127/8."""
    return [
        stack.enter_context(
            Peer(daemon.port, f"127.1.{n // per_address // 250}.{n // per_address % 250 + 1}")
        )
        for n in range(count)
    ]


@pytest.mark.slow
def test_7_a_handshake_that_stalls(tmp_path, figure):
    certificate, key = certificates.make(tmp_path)
    settings = (f"smtp.tls.certificate={certificate}", f"smtp.tls.key={key}")
    with Daemon(tmp_path, *settings) as daemon, peer(daemon) as client:
        assert client.ask("STARTTLS").startswith("220 ")
        started = time.monotonic()
        client.socket.settimeout(40)
        assert client.socket.recv(1) == b""
    figure("7 handshake that stalls", f"closed after {time.monotonic() - started:.0f} s")
    assert time.monotonic() - started < 30


@pytest.mark.slow
def test_8_two_hundred_messages_at_an_octet_a_second(daemon, figure):
    with contextlib.ExitStack() as stack, watched(daemon) as waits:
        slow = many(daemon, 200, stack)
        for client in slow:
            client.reply()
            client.ask("EHLO x")
            client.start_data()
        started, left = time.monotonic(), set(slow)
        while left and time.monotonic() - started < 90:
            for client in tuple(left):
                try:
                    client.socket.send(b"x")
                except ConnectionError:
                    left.discard(client)
            time.sleep(1)  # the pace is what is tested
        assert not left
        took = time.monotonic() - started
    worst = sorted(waits)[int(len(waits) * 0.99)]
    figure("8 200 at 1 B/s", f"all closed after {took:.0f} s; others p99 {worst * 1000:.0f} ms")
    assert worst < 1


@pytest.mark.parametrize("command", ["NOOP", "RSET"])
def test_9_talk_without_mail(daemon, figure, command):
    said = 1  # EHLO
    with peer(daemon) as client:
        while client.ask(command).startswith("250 "):
            said += 1
    figure(f"9 {command}", f"421 after {said} commands")
    assert said <= 100


def test_10_errors_and_browsers(daemon):
    with peer(daemon) as client:
        assert [client.ask("WHAT")[:3] for _ in range(20)] == ["500"] * 20
        assert client.reply().startswith("421 4.7.0")
        assert client.is_closed()
    with Peer(daemon.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.reply().startswith("220 ")
        assert client.reply().startswith("500 ")
        with contextlib.suppress(ConnectionError):
            assert client.reply() == ""


def test_11_connections_of_one_address_and_of_all(daemon, figure):
    with contextlib.ExitStack() as stack:
        first = many(daemon, 50, stack, per_address=50)
        assert {client.reply()[:3] for client in first} == {"220"}
        with Peer(daemon.port, "127.1.0.1") as client:
            assert client.reply().startswith("421 4.7.0")
        others = [stack.enter_context(Peer(daemon.port, f"127.2.0.{n // 50 + 1}")) for n in range(950)]
        assert {client.reply()[:3] for client in others} == {"220"}
        with Peer(daemon.port, "127.3.0.1") as client:
            assert client.reply().startswith("421 4.3.2")
        assert first[0].ask("EHLO x").startswith("250-")
    process.wait_until(lambda: daemon.send(reports.hard(JANE, "a")) == NOTED)
    figure("11 connections", "the 51st of an address and the 1,001st of all get 421; others are served")


def test_11_connections_a_minute_of_one_address(tmp_path):
    with Daemon(tmp_path, NOT_EXEMPT) as daemon:
        replies = []
        for _ in range(301):
            with Peer(daemon.port) as client:
                replies.append(client.reply()[:3])
        assert replies == ["220"] * 300 + ["421"]
        refused = [entry for entry in daemon.log_so_far() if entry["event"] == "smtp.refused"]
        assert len(refused) <= 1


@pytest.mark.slow
def test_12_thousands_of_idle_connections(tmp_path, figure):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with Daemon(tmp_path, "smtp.limits.connections=6000", "smtp.limits.idle=0") as daemon:
        before = process.memory(daemon.process.pid)
        with contextlib.ExitStack() as stack:
            idle = many(daemon, 5000, stack)
            assert {client.reply()[:3] for client in idle} == {"220"}
            each = (process.memory(daemon.process.pid) - before) / 5000 / 1024
            used = process.seconds(daemon.process.pid)
            time.sleep(5)  # what they cost while nothing happens
            used = (process.seconds(daemon.process.pid) - used) / 5
            assert daemon.send(reports.hard(JANE, "a")) == NOTED
        figure("12 5,000 idle connections", f"{each:.1f} KiB each, {used * 100:.0f} % of a processor")
        assert each <= 20
        assert daemon.send(reports.hard(JANE, "b")) == NOTED


def test_13_no_file_descriptor_left(daemon, figure):
    number = daemon.process.pid
    limit = process.open_files(number) + 20
    resource.prlimit(number, resource.RLIMIT_NOFILE, (limit, limit))
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(socket.create_connection(("127.0.0.1", daemon.port)))
        daemon.wait_for("descriptors.exhausted")
        used, lines = process.seconds(number), len(daemon.log_so_far())
        time.sleep(3)  # a daemon that spins would use it all
        used = process.seconds(number) - used
        lines = len(daemon.log_so_far()) - lines
    started = time.monotonic()
    process.wait_until(lambda: gives(daemon), timeout=5)
    figure(
        "13 no descriptors",
        f"{used / 3 * 100:.0f} % of a processor, {lines} lines in 3 s; serves {time.monotonic() - started:.1f} s later",
    )
    assert used < 0.6
    assert lines < 20


def gives(daemon: Daemon) -> bool:
    try:
        return daemon.send(reports.hard(JANE, "a")) == NOTED
    except OSError:
        return False


@pytest.mark.slow
def test_16_a_peer_that_never_reads(daemon, figure):
    with Peer(daemon.port) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.send(b"EHLO x\r\nMAIL FROM:<>\r\n")
        started = time.monotonic()
        client.socket.settimeout(5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while True:
                client.send(b"RCPT TO:<b@bounces.example.com>\r\n" * 1000)
        open_files = process.open_files(daemon.process.pid)
        process.wait_until(lambda: process.open_files(daemon.process.pid) < open_files, timeout=80)
    figure("16 never reads", f"cut {time.monotonic() - started:.0f} s after it began")
