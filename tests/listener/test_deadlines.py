"""Nobody holds a connection for ever: not by silence, not drop by drop, not by never reading."""

import contextlib
import socket
import threading
import time

from bounced.listener import connection
from tests.listener.dialogue import listening
from tests.process import wait_until


def test_silence_ends_the_session():
    with listening(idle=2) as server, server.connect() as peer:
        assert peer.reply().startswith("421 4.4.2")
        assert peer.is_closed()


def test_a_command_drop_by_drop_is_silence():
    with listening(idle=2) as server, server.connect() as peer:
        started = time.monotonic()
        try:
            while time.monotonic() - started < 20:
                peer.send(b"N")
                peer.socket.settimeout(0.3)
                try:
                    if peer.socket.recv(100).startswith(b"421 4.4.2"):
                        break
                except TimeoutError:
                    continue
        except ConnectionError:
            pass
        assert time.monotonic() - started < 15


def test_a_session_ends_in_time_whatever_it_does():
    with listening(session=2, idle_commands=0) as server, server.connect() as peer:
        started = time.monotonic()
        while peer.ask("NOOP").startswith("250 "):
            assert time.monotonic() - started < 15
            time.sleep(0.01)  # a pace, not a wait


def test_a_session_that_is_never_at_a_loss_for_words_ends_in_time_too():
    with listening(session=2, idle_commands=0) as server, server.connect() as peer:

        def talk() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer.send(b"NOOP\r\n" * 10_000)

        started = time.monotonic()
        talking = threading.Thread(target=talk)
        talking.start()
        with contextlib.suppress(ConnectionError):
            while peer.socket.recv(1 << 20):
                assert time.monotonic() - started < 30
        talking.join()


def test_a_message_that_trickles_is_cut_off_and_one_that_flows_is_not(monkeypatch):
    monkeypatch.setattr(connection, "RATE_WINDOW", 2.0)
    with listening() as server, server.connect() as slow, server.connect() as steady:
        slow.start_data()
        steady.start_data()
        started = time.monotonic()
        while time.monotonic() - started < 5:
            steady.send(b"x" * 4_998 + b"\r\n")
            with contextlib.suppress(ConnectionError):
                slow.send(b"x")
            time.sleep(0.1)  # the rate is what is tested
        assert slow.reply().startswith("421 4.4.2")
        assert steady.ask(b".").startswith("250 ")


def test_without_a_minimum_rate_a_message_may_trickle_but_not_stop():
    with listening(minimum_rate=0, idle=3) as server, server.connect() as peer:
        peer.start_data()
        for _ in range(8):
            peer.send(b"x")
            time.sleep(0.5)  # the rate is what is tested
        assert peer.reply().startswith("421 4.4.2")


def test_a_peer_that_never_reads_is_cut_off():
    with listening(idle=2, idle_commands=0, recipients=10, errors=0) as server, server.connect() as peer:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.ask("MAIL FROM:<>")
        peer.socket.settimeout(1)
        try:
            for _ in range(2000):
                peer.send(b"EHLO x\r\n" * 1000)
        except (TimeoutError, ConnectionError):
            pass
        wait_until(lambda: not server.listener.sessions)


def test_what_is_closed_is_cut_although_the_peer_keeps_it_open(monkeypatch):
    monkeypatch.setattr(connection, "LINGER", 1.0)
    with listening() as server, server.connect() as peer:
        assert peer.ask("QUIT").startswith("221 ")
        wait_until(lambda: not server.listener.sessions)
