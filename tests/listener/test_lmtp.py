"""LMTP, and sockets other than a TCP port on IPv4."""

import smtplib
import socket
from collections.abc import Sequence

import pytest

from bounced import sockets
from bounced.process import CannotStart
from bounced.settings import Endpoint
from bounced.settings.schema import Smtp
from bounced.sockets import Listening
from tests.listener.dialogue import listening

MESSAGE = "Subject: x\r\n\r\nhello\r\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lmtp"


def opened(*listen: str, lmtp: Sequence[str] = ()):
    return sockets.opened(
        Smtp(listen=tuple(map(Endpoint.parse, listen)), lmtp=tuple(map(Endpoint.parse, lmtp)))
    )


def test_each_recipient_gets_a_reply(path):
    with (
        opened("127.0.0.1:0", lmtp=[f"unix:{path}"]) as [_, lmtp],
        listening(domains=["b.example"], message_size=1000) as server,
    ):
        server.run(server.listener.listen(lmtp))
        assert path.stat().st_mode & 0o777 == 0o660
        with smtplib.LMTP(str(path)) as client:
            assert client.ehlo("relay.example")[0] == 250  # LHLO, in smtplib's LMTP
            assert client.esmtp_features.keys() >= {"pipelining", "enhancedstatuscodes", "size"}
            for command in ("MAIL FROM:<>", "RCPT TO:<a@b.example>", "RCPT TO:<b@b.example>"):
                assert client.docmd(command)[0] == 250
            assert client.docmd("RCPT TO:<a@elsewhere.example>")[0] == 550
            assert client.data(MESSAGE)[0] == 250
            assert client.getreply()[0] == 250
            for command in ("MAIL FROM:<>", "RCPT TO:<a@b.example>", "RCPT TO:<b@b.example>"):
                client.docmd(command)
            assert client.data("x" * 2000)[0] == 552
            assert client.getreply()[0] == 552
            assert client.docmd("EHLO", "relay.example")[0] == 500
            assert client.quit()[0] == 221
        assert [arrival.recipients for arrival in server.arrivals] == [("a@b.example", "b@b.example")]
        assert server.arrivals[0].peer == "local"
    assert not path.exists()


def test_a_refused_message_is_one_error_however_many_recipients_hear_of_it(path):
    with opened(lmtp=[f"unix:{path}"]) as [lmtp], listening(message_size=1000, errors=20) as server:
        server.run(server.listener.listen(lmtp))
        with smtplib.LMTP(str(path)) as client:
            for command in ("LHLO x", "MAIL FROM:<>", *["RCPT TO:<a@b.example>"] * 50):
                assert client.docmd(command)[0] == 250
            replies = [client.data("x" * 2000), *(client.getreply() for _ in range(49))]
            assert {code for code, _ in replies} == {552}
            assert client.docmd("NOOP")[0] == 250


def test_smtp_knows_no_lhlo():
    with listening() as server, server.connect() as peer:
        assert peer.ask("LHLO x").startswith("500 ")


def test_ipv6():
    with opened("[::1]:0") as [here], listening() as server:
        server.run(server.listener.listen(here))
        with smtplib.SMTP("::1", here.endpoint.port) as client:
            client.sendmail("", "a@b.example", MESSAGE)
        assert server.arrivals[0].peer.startswith("[::1]:")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_a_socket_that_systemd_opened_is_used(path, family):
    with listening() as server:
        passed = Listening(socket.socket(family), lmtp=family == socket.AF_UNIX)  # the listener's to close
        passed.socket.bind(str(path) if family == socket.AF_UNIX else ("127.0.0.1", 0))
        passed.socket.listen()
        server.run(server.listener.listen(passed))
        client = (
            smtplib.LMTP(passed.endpoint.host) if family == socket.AF_UNIX else smtplib.SMTP(*passed.endpoint)
        )
        with client:
            client.sendmail("", "a@b.example", MESSAGE)
        assert len(server.arrivals) == 1


@pytest.mark.parametrize("environment", [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "2"}])
def test_sockets_for_another_process_are_left_alone(monkeypatch, environment):
    monkeypatch.delenv("LISTEN_PID", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert sockets.inherited() == []


def test_a_socket_file_that_was_left_behind_is_replaced_and_one_in_use_is_not(path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with opened(lmtp=[f"unix:{path}"]):
        with pytest.raises(CannotStart, match="is in use"), opened(lmtp=[f"unix:{path}"]):
            pass
        assert path.is_socket()
    assert not path.exists()
