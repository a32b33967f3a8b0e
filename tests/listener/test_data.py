"""The message: where it ends, what arrives, what it may cost."""

import resource
import socket

import pytest

from tests.listener.dialogue import Peer, listening


@pytest.mark.parametrize(
    ("sent", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"..a\r\n..b\r\n...\r\n.\r\n", b".a\r\n.b\r\n..\r\n"),
        (b".a\r\n.\r\n", b"a\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
        (b"bare\nline\nends\r\n.\r\n", b"bare\nline\nends\r\n"),
        (b"\xff\x00\x1b\r\n.\r\n", b"\xff\x00\x1b\r\n"),
        (b"long" * 50_000 + b"\r\n.\r\n", b"long" * 50_000 + b"\r\n"),
        (b"line\r\n" * 50_000 + b".\r\n", b"line\r\n" * 50_000),
        (b"..\r\n" * 50_000 + b".\r\n", b".\r\n" * 50_000),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_what_was_sent_arrives(sent, content, size):
    if size < 1000 < len(sent):
        size *= 4999
    with listening() as server, server.connect() as peer:
        peer.start_data()
        for start in range(0, len(sent), size):
            peer.send(sent[start : start + size])
        assert peer.reply().startswith("250 ")
        assert server.arrivals[0].content == content
        assert peer.ask("NOOP").startswith("250 ")


@pytest.mark.parametrize(
    "end",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\r",
        b"\r\r\n.\r\r\n",
        b"\n\r.\r\n",
        b"\r\n.\r\r\n",
        b"\r\n\x00.\r\r\n",
    ],
)
def test_an_end_that_another_server_could_see_is_none_and_ends_the_session(end):
    with listening() as server, server.connect() as peer:
        peer.start_data()
        peer.send(b"a" + end + b"MAIL FROM:<smuggled@example.org>\r\nRCPT TO:<b@b.example>\r\n.\r\n")
        assert peer.reply().startswith("554 5.6.0")
        assert peer.is_closed()
        assert server.arrivals == []


@pytest.mark.parametrize("harmless", [b"\r\n\x00.\r\n", b"\n..\n", b"\r\n.\x00\r\n", b"\n. \n"])
def test_what_only_looks_like_an_end_is_taken(harmless):
    with listening() as server, server.connect() as peer:
        peer.start_data()
        peer.send(b"a" + harmless + b"b\r\n.\r\n")
        assert peer.reply().startswith("250 ")
        assert len(server.arrivals) == 1


def test_a_message_a_little_over_the_limit_costs_only_itself():
    with listening(message_size=10_000) as server, server.connect() as peer:
        peer.start_data()
        peer.send(b"x" * 9_998 + b"\r\n.\r\n")
        assert peer.reply().startswith("250 ")
        peer.start_data()
        peer.send(b"x" * 9_999 + b"\r\n.\r\n")
        assert peer.reply().startswith("552 5.3.4")
        assert peer.ask("NOOP").startswith("250 ")
        assert len(server.arrivals) == 1


@pytest.mark.parametrize("line", [b"x" * 1000, b"x" * 998 + b"\r\n", b"\r\n"])
def test_a_message_without_end_is_cut_off_and_costs_no_memory(line):
    with listening(message_size=100_000) as server, server.connect() as peer:
        peer.start_data()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(ConnectionError):
            flood(peer, line * (100_000 // len(line)))
        assert server.arrivals == []
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def flood(peer: Peer, data: bytes) -> None:
    for _ in range(1000):
        peer.send(data)
    peer.is_closed()


def test_half_a_message_is_none():
    with listening() as server:
        with server.connect() as peer:
            peer.start_data()
            peer.send(b"half a message\r\n")
            peer.socket.shutdown(socket.SHUT_WR)
            assert peer.is_closed()
        assert server.arrivals == []
