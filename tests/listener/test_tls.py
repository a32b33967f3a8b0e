"""STARTTLS: what it protects, what it forgets, and certificates that change."""

import contextlib
import gc
import socket
import ssl
import weakref

import pytest

from bounced.listener import connection
from bounced.listener.tls import Certificate
from tests import certificates
from tests.certificates import trusting
from tests.listener.dialogue import listening
from tests.process import wait_until


@pytest.fixture
def certificate(tmp_path):
    return Certificate(*certificates.make(tmp_path))


def test_mail_over_tls_arrives(certificate):
    message = b"line of the message\r\n" * 100_000
    with listening(terms={"certificate": certificate}) as server, server.connect() as peer:
        assert "250-STARTTLS" in peer.ask("EHLO x").split("\n")
        assert peer.start_tls().version() in ("TLSv1.2", "TLSv1.3")
        assert peer.ask("MAIL FROM:<>").startswith("503 ")  # nothing is known of what was said in clear
        assert "STARTTLS" not in peer.ask("EHLO x")
        for _ in range(2):
            peer.start_data()
            peer.send(message)
            assert peer.ask(b".").startswith("250 ")
        assert peer.ask("QUIT").startswith("221 ")
        assert peer.is_closed()
    assert [arrival.content for arrival in server.arrivals] == [message] * 2


def test_what_was_sent_in_clear_behind_starttls_is_not_obeyed(certificate):
    with listening(terms={"certificate": certificate}) as server, server.connect() as peer:
        peer.send(b"STARTTLS\r\nEHLO injected\r\nMAIL FROM:<injected@example.org>\r\n")
        assert peer.reply().startswith("220 ")
        with trusting().wrap_socket(peer.socket) as secure:
            secure.sendall(b"NOOP\r\n")
            assert secure.recv(1000) == b"250 2.0.0 OK\r\n"
            secure.sendall(b"RCPT TO:<b@b.example>\r\n")
            assert secure.recv(1000).startswith(b"503 ")


def test_a_handshake_that_stalls_or_fails_ends_the_session_and_no_other(certificate, monkeypatch):
    monkeypatch.setattr(connection, "HANDSHAKE", 1.0)
    with listening(terms={"certificate": certificate}) as server, server.connect() as other:
        with server.connect() as stalls:
            assert stalls.ask("STARTTLS").startswith("220 ")
            assert stalls.socket.recv(100) == b""
        with server.connect() as fails:
            assert fails.ask("STARTTLS").startswith("220 ")
            fails.send(b"this is no handshake\r\n" * 10)
            assert fails.is_closed()
        assert other.ask("NOOP").startswith("250 ")


def test_a_peer_that_is_gone_when_it_is_told_to_go_ahead_leaves_nothing_behind(certificate):
    with listening(terms={"certificate": certificate}) as server, server.connect() as peer:
        go_on = server.hold_up()
        peer.send(b"STARTTLS\r\n")
        peer.reset()
        go_on.set()
        wait_until(lambda: not server.listener.sessions)
        wait_until(lambda: not server.handshakes())


def test_a_peer_that_has_not_read_what_was_answered_gets_no_tls(certificate):
    with listening(terms={"certificate": certificate}, idle_commands=0) as server:
        peer, _ = server.connect_narrow()
        with peer:
            peer.sendall(b"EHLO x\r\n" * 40 + b"STARTTLS\r\n")
            wait_until(lambda: not server.listener.sessions)


@pytest.mark.parametrize("how", ["mail", "hang up", "no handshake"])
def test_what_tls_needs_is_given_back_at_once(certificate, how):
    gc.disable()
    try:
        with listening(terms={"certificate": certificate}) as server:
            with server.connect() as peer:
                session = weakref.ref(next(iter(server.listener.sessions)))
                if how == "mail":
                    peer.start_tls()
                    peer.ask("EHLO x")
                    peer.start_data()
                    assert peer.ask("x\r\n.").startswith("250 ")
                else:
                    assert peer.ask("STARTTLS").startswith("220 ")
                    peer.send(b"no handshake\r\n" if how == "no handshake" else b"")
            wait_until(lambda: session() is None)
    finally:
        gc.enable()


def test_nothing_is_written_of_a_peer_that_hangs_up_amid_tls(certificate, caplog):
    with listening(terms={"certificate": certificate}, idle_commands=0) as server, server.connect() as peer:
        peer.start_tls()
        go_on = server.hold_up()
        peer.send(b"NOOP\r\n" * 30_000)
        peer.socket.shutdown(socket.SHUT_WR)
        go_on.set()
        wait_until(lambda: not server.listener.sessions)
    assert caplog.records == []


def test_what_comes_with_the_end_of_tls_is_answered(certificate):
    heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
    with listening(terms={"certificate": certificate}) as server, server.connect() as peer:
        assert peer.ask("STARTTLS").startswith("220 ")
        secure = trusting().wrap_bio(heard, said)
        while secure.version() is None:
            with contextlib.suppress(ssl.SSLWantReadError):
                secure.do_handshake()
            peer.send(said.read())
            heard.write(peer.socket.recv(10_000) if secure.version() is None else b"")
        secure.write(b"NOOP\r\n")
        with contextlib.suppress(ssl.SSLWantReadError):
            secure.unwrap()
        peer.send(said.read())
        while octets := peer.socket.recv(10_000):
            heard.write(octets)
        assert secure.read(100) == b"250 2.0.0 OK\r\n"


def test_old_versions_of_tls_are_refused(certificate):
    with listening(terms={"certificate": certificate}) as server, server.connect() as peer:
        assert peer.ask("STARTTLS").startswith("220 ")
        context = trusting()
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(peer.socket)


def test_without_tls_nothing_is_taken_where_it_is_required(certificate):
    with (
        listening(terms={"certificate": certificate, "requires_tls": True}) as server,
        server.connect() as peer,
    ):
        assert peer.ask("MAIL FROM:<>") == "530 5.7.0 STARTTLS first"
        peer.start_tls()
        peer.ask("EHLO x")
        peer.start_data()
        assert peer.ask(b"x\r\n.").startswith("250 ")


def test_starttls_without_a_certificate_or_twice_or_with_an_argument(certificate):
    with listening() as server, server.connect() as peer:
        assert "STARTTLS" not in peer.ask("EHLO x")
        assert peer.ask("STARTTLS").startswith("503 ")
    with listening(terms={"certificate": certificate}) as server, server.connect() as peer:
        assert peer.ask("STARTTLS now").startswith("501 ")
        peer.start_tls()
        assert peer.ask("STARTTLS").startswith("503 ")


def subject(server) -> str:
    with server.connect() as peer:
        der = peer.start_tls().getpeercert(binary_form=True)
    return "new.example.com" if b"new.example.com" in (der or b"") else "old"


def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(tmp_path):
    certificate = Certificate(*certificates.make(tmp_path))
    with listening(terms={"certificate": certificate}) as server:
        assert subject(server) == "old"
        (tmp_path / "tls.pem").write_text("half a file")
        assert subject(server) == "old"
        certificates.make(tmp_path, "new.example.com")
        assert subject(server) == "new.example.com"
        (tmp_path / "tls.key").unlink()
        assert subject(server) == "new.example.com"


def test_a_certificate_that_cannot_be_used_is_told_at_once(tmp_path):
    files = certificates.make(tmp_path)
    files[1].write_text("no key")
    with pytest.raises(OSError, match=r"PEM|SSL"):
        Certificate(*files)
