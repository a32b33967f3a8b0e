"""The dialogue: what is taken, what is refused and in which words."""

import re

import pytest

from tests.listener.dialogue import listening

ENHANCED = re.compile(r"[245]\d\d[ -][245]\.\d{1,3}\.\d{1,3} ")


def test_ehlo_names_what_works():
    with listening(message_size=1000) as server, server.connect(greet=False) as peer:
        peer.reply()
        lines = peer.ask("EHLO peer.example").split("\n")
        assert {line[4:] for line in lines[1:]} == {
            "PIPELINING",
            "SIZE 1000",
            "8BITMIME",
            "ENHANCEDSTATUSCODES",
            "SMTPUTF8",
        }
        assert peer.ask("HELO peer.example") == "250 mx.example.com"


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("MAIL FROM:<>", "250 2.1.0"),
        ("mail from: <mailer-daemon@mx.example.org> size=10 BODY=8BITMIME", "250 2.1.0"),
        ("MAIL FROM:<@a.example,@b.example:jürgen@exämple.org> SMTPUTF8", "250 2.1.0"),
        ('MAIL FROM:<"a b\\"c"@mx.example.org>', "250 2.1.0"),
        ("MAIL FROM:<a@[192.0.2.1]>", "250 2.1.0"),
        ("MAIL FROM:<> SIZE=1001", "552 5.3.4"),
        ("MAIL FROM:<> SIZE=many", "501 5.5.4"),
        ("MAIL FROM:<> BODY=BINARYMIME", "501 5.5.4"),
        ("MAIL FROM:<> SMTPUTF8=yes", "501 5.5.4"),
        ("MAIL FROM:<> RET=FULL", "555 5.5.4"),
        ("MAIL FROM:a@mx.example.org", "501 5.5.4"),
        ("MAIL FROM:<a @mx.example.org>", "501 5.5.4"),
        ("MAIL FROM:<(comment)a@mx.example.org>", "501 5.5.4"),
        ("MAIL", "501 5.5.4"),
        ("RCPT TO:<bounces@b.example>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("NOOP whatever", "250 2.0.0"),
        ("RSET", "250 2.0.0"),
        ("RSET now", "501 5.5.4"),
        ("VRFY bounces@b.example", "252 2.5.0"),
        ("EXPN list", "500 5.5.1"),
        ("EHLO", "501 5.5.4"),
        ("AUTH PLAIN AGEAYg==", "500 5.5.1"),
        ("QUIT now", "501 5.5.4"),
        ("QUIT", "221 2.0.0"),
    ],
)
def test_reply_to(command, reply):
    with listening(message_size=1000, domains=["b.example"]) as server, server.connect() as peer:
        answer = peer.ask(command)
        assert answer.startswith(reply)
        assert ENHANCED.match(answer)


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("<bounces@b.example>", "250 2.1.5"),
        ("<bounces+x=y@B.EXAMPLE>", "250 2.1.5"),
        ("<postmaster>", "250 2.1.5"),
        ("<bounces@elsewhere.example>", "550 5.7.1"),
        ("<bounces@sub.b.example>", "550 5.7.1"),
        ("<bounces@b.example> NOTIFY=NEVER", "555 5.5.4"),
        ("<>", "501 5.5.4"),
        ("bounces@b.example", "501 5.5.4"),
    ],
)
def test_recipient(recipient, reply):
    with listening(domains=["b.example"]) as server, server.connect() as peer:
        peer.ask("MAIL FROM:<>")
        assert peer.ask(f"RCPT TO:{recipient}").startswith(reply)


def test_recipients_beyond_the_limit_are_for_the_next_transaction():
    with listening(recipients=2) as server, server.connect() as peer:
        peer.ask("MAIL FROM:<>")
        replies = [peer.ask(f"RCPT TO:<b{n}@b.example>")[:9] for n in range(4)]
        assert replies == ["250 2.1.5", "250 2.1.5", "452 4.5.3", "452 4.5.3"]
        peer.ask("DATA")
        assert peer.ask("x\r\n.") == "250 2.0.0 Noted"
        assert server.arrivals[0].recipients == ("b0@b.example", "b1@b.example")


@pytest.mark.parametrize("control", [b"\x00", b"\x07", b"\x1b[31m", b"\r", b"\n", b"\x7f"])
def test_control_characters_are_refused_and_never_sent_back(control):
    with listening() as server, server.connect() as peer:
        answer = peer.ask(b"RCPT TO:<a" + control + b"b@b.example>")
        assert answer.startswith("501 5.5.2")
        assert answer.isprintable()


@pytest.mark.parametrize("command", [b"NOOP " + b"x" * 600, b"NOOP \xff\xfe"])
def test_a_command_that_is_too_long_or_not_utf8_costs_only_itself(command):
    with listening() as server, server.connect() as peer:
        assert peer.ask(command).startswith("50")
        assert peer.ask("NOOP").startswith("250 ")


def test_a_line_without_end_ends_the_session():
    with listening() as server, server.connect() as peer:
        try:
            for _ in range(100):
                peer.send(b"x" * 10_000)
        except ConnectionError:
            return
        assert peer.reply().startswith("500 5.5.2")


def test_a_browser_gets_one_line():
    with listening() as server, server.connect(greet=False) as peer:
        peer.reply()
        assert peer.ask("POST / HTTP/1.1").startswith("500 ")
        assert peer.is_closed()


def test_twenty_errors_end_the_session():
    with listening() as server, server.connect() as peer:
        assert {peer.ask("WHAT")[:9] for _ in range(20)} == {"500 5.5.1"}
        assert peer.reply().startswith("421 4.7.0")
        assert peer.is_closed()


def test_connections_beyond_the_limit_get_421_and_room_is_made_by_leaving():
    with listening(connections=2) as server, server.connect(), server.connect() as leaving:
        with server.connect(greet=False) as third:
            assert third.reply().startswith("421 4.3.2")
            assert third.is_closed()
        leaving.ask("QUIT")
        assert leaving.is_closed()
        with server.connect():
            pass


def test_commands_sent_in_one_go_are_answered_in_order():
    with listening() as server, server.connect() as peer:
        peer.send(b"MAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n")
        assert [peer.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
        peer.send(b"one\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n")
        assert [peer.reply()[:3] for _ in range(4)] == ["250", "250", "250", "354"]
        peer.send(b"two\r\n.\r\nQUIT\r\n")
        assert [peer.reply()[:3] for _ in range(2)] == ["250", "221"]
        assert [arrival.content for arrival in server.arrivals] == [b"one\r\n", b"two\r\n"]
