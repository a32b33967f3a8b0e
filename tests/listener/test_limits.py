"""What one network may take, what all may take together, and what the log shows of it."""

from contextlib import ExitStack

import pytest

from bounced.listener.limits import (
    TOO_MANY,
    TOO_MANY_OF_YOURS,
    TOO_OFTEN,
    Address,
    Gate,
    Memory,
)
from bounced.settings import Limits
from bounced.settings.values import Size
from tests import process
from tests.listener.dialogue import listening


def peer(host: str) -> Address:
    return Address.of((host, 25))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_who_counts_as_one_peer(one, other, same):
    assert (peer(one).network == peer(other).network) is same


def test_a_network_gets_as_many_connections_as_it_may_and_others_are_served():
    gate, limits = Gate(), Limits(connections_per_address=2)
    assert [gate.enter(n, peer("192.0.2.1"), limits, 0) for n in range(3)] == [None, None, TOO_MANY_OF_YOURS]
    assert gate.enter("other", peer("192.0.2.2"), limits, 0) is None
    gate.leave(0)
    gate.leave(2)  # who never was in
    gate.leave(2)
    assert gate.enter(3, peer("192.0.2.1"), limits, 0) is None
    assert gate.enter(4, peer("192.0.2.1"), limits, 0) == TOO_MANY_OF_YOURS


def test_a_network_may_come_so_often_in_a_minute():
    gate, limits = Gate(), Limits(connection_rate_per_address=3)
    replies = []
    for n in range(5):
        replies.append(gate.enter(n, peer("192.0.2.1"), limits, 100 + n))
        gate.leave(n)
    assert replies == [None, None, None, TOO_OFTEN, TOO_OFTEN]
    assert gate.enter(5, peer("192.0.2.1"), limits, 170) is None


def test_exempt_networks_and_processes_of_this_machine_are_counted_in_total_only():
    gate, limits = Gate(), Limits(connections=5, connections_per_address=1, connection_rate_per_address=1)
    replies = [gate.enter(n, peer("127.0.0.1"), limits, 0) for n in range(3)]
    replies += [gate.enter(n, Address.of(""), limits, 0) for n in range(3, 6)]
    assert replies == [None] * 5 + [TOO_MANY]


def test_zero_switches_limits_off():
    gate = Gate()
    limits = Limits(connections=0, connections_per_address=0, connection_rate_per_address=0)
    assert {gate.enter(n, peer("192.0.2.1"), limits, 0) for n in range(5000)} == {None}
    assert Memory().take(1 << 40, 1, Limits(message_memory=Size(0)))
    assert Memory().take(100, 1, Limits(message_memory=Size(100), message_size=Size(0)))


def test_memory_is_given_back():
    memory, limits = Memory(), Limits(message_memory=Size(100))
    assert memory.take(80, None, limits)
    assert not memory.take(30, None, limits)
    memory.give(80, None)
    assert memory.take(100, None, limits)
    assert not memory.has_room(None, limits)


def test_a_network_has_its_share_of_the_memory():
    memory, limits = Memory(), Limits(message_memory=Size(100), message_size=Size(10))
    assert memory.take(25, 1, limits)
    assert not memory.has_room(1, limits)
    assert memory.take(25, 2, limits)
    assert memory.take(50, None, limits)  # who is exempt has no network
    memory.give(25, 1)
    assert memory.has_room(1, limits)


def test_who_sends_slowly_from_one_network_takes_no_room_from_others():
    with listening(message_memory=400_000, message_size=50_000, exempt=()) as server, ExitStack() as stack:
        for _ in range(2):
            slow = stack.enter_context(server.connect(source="127.0.0.2"))
            slow.start_data()
            slow.send(b"x" * 45_000)
        process.wait_until(lambda: server.listener.memory.held > 85_000)
        third = stack.enter_context(server.connect(source="127.0.0.2"))
        third.start_data()
        third.send(b"x" * 45_000)
        assert third.reply().startswith("452 4.3.1 ")
        other = stack.enter_context(server.connect(source="127.0.0.3"))
        other.start_data()
        assert other.ask("x" * 45_000 + "\r\n.").startswith("250 ")


def test_over_the_wire_a_network_is_turned_away_and_another_served():
    with listening(connections_per_address=1, exempt=()) as server, server.connect() as first:
        with server.connect(greet=False) as second:
            assert second.reply() == TOO_MANY_OF_YOURS
            assert second.is_closed()
        with server.connect(source="127.0.0.2") as other:
            assert other.ask("NOOP").startswith("250 ")
        assert first.ask("QUIT").startswith("221 ")
        assert first.is_closed()
        with server.connect() as again:
            assert again.ask("NOOP").startswith("250 ")


def test_messages_that_do_not_fit_into_memory_come_again():
    with listening(message_memory=100_000) as server, server.connect() as first, server.connect() as second:
        first.start_data()
        first.send(b"x" * 90_000)
        second.start_data()
        second.send(b"x" * 90_000)
        assert second.reply().startswith("452 4.3.1 ")  # and it is hung up on: it would go on sending
        first.send(b"\r\n.\r\n")
        assert first.reply().startswith("250 2.0.0 ")
        with server.connect() as third:
            third.start_data()
            assert third.ask("x\r\n.").startswith("250 ")


def test_a_session_has_so_many_messages():
    with listening(messages=2) as server, server.connect() as peer:
        for _ in range(2):
            peer.start_data()
            assert peer.ask("x\r\n.").startswith("250 ")
        assert peer.ask("MAIL FROM:<>").startswith("421 4.7.0")
        assert peer.is_closed()


@pytest.mark.parametrize("command", ["NOOP", "RSET", "EHLO x", "VRFY x"])
def test_talk_without_mail_ends(command):
    with listening(idle_commands=10) as server, server.connect() as peer:
        replies = [peer.ask(command)[:3] for _ in range(10)]
        assert replies[-1] == "421"
        assert "421" not in replies[:-1]
        assert peer.is_closed()


def test_a_message_starts_the_count_of_talk_again():
    with listening(idle_commands=10) as server, server.connect() as peer:
        for _ in range(5):
            for _ in range(5):
                assert peer.ask("NOOP").startswith("250 ")
            peer.start_data()
            assert peer.ask("x\r\n.").startswith("250 ")
