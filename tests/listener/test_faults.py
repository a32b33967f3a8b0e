"""What goes wrong on our side, or on theirs: nothing accepted is lost, nothing of ours is told."""

import asyncio
import socket
import threading

import pytest
from aiosmtpd.smtp import SMTP

from bounced.listener.session import Session
from tests.listener.dialogue import listening
from tests.process import wait_until


def test_a_fault_of_ours_is_451_without_detail():
    async def fail(_arrival):
        raise RuntimeError("redis://:secret@host refused")

    with listening(fail) as server, server.connect() as peer:
        peer.start_data()
        assert peer.ask("x\r\n.") == "451 4.3.0 Cannot take it now, try again later"
        assert peer.ask("NOOP").startswith("250 ")


def test_a_fault_in_one_session_silences_no_other(monkeypatch):
    say = Session.say

    def fail(session):
        if session.peer.port == faulty.socket.getsockname()[1]:
            raise RuntimeError("a fault of ours")
        say(session)

    with listening() as server, server.connect() as faulty, server.connect() as other:
        monkeypatch.setattr(Session, "say", fail)
        go_on = server.hold_up()
        for peer in (faulty, other):
            peer.send(b"NOOP\r\n")
        go_on.set()
        assert other.reply().startswith("250 ")
        assert faulty.is_closed()


@pytest.mark.parametrize("hang_up", ["close", "reset", "half-close"])
def test_a_commit_is_finished_when_the_peer_hangs_up(hang_up):
    committing, go_on, committed = threading.Event(), threading.Event(), threading.Event()

    async def slowly(_arrival):
        committing.set()
        await asyncio.to_thread(go_on.wait)
        committed.set()
        return "250 2.0.0 Noted"

    with listening(slowly) as server, server.connect() as peer:
        peer.start_data()
        peer.send(b"x\r\n.\r\n")
        assert committing.wait(10)
        if hang_up == "half-close":
            peer.socket.shutdown(1)
        elif hang_up == "reset":
            peer.reset()
        else:
            peer.__exit__()
        go_on.set()
        assert committed.wait(10)
        if hang_up == "half-close":
            assert peer.reply().startswith("250 ")


def test_a_peer_may_read_its_replies_after_it_has_hung_up():
    with listening(idle_commands=0) as server:
        peer, session = server.connect_narrow()
        with peer:
            peer.sendall(b"EHLO x\r\n" * 40)
            peer.shutdown(socket.SHUT_WR)
            wait_until(lambda: session._is_over)
            with peer.makefile("rb") as replies:
                assert replies.read().count(b"\r\n250 ") == 40


def test_draining_answers_what_was_sent_and_sends_the_others_away():
    committing, go_on = threading.Event(), threading.Event()

    async def slowly(_arrival):
        committing.set()
        await asyncio.to_thread(go_on.wait)
        return "250 2.0.0 Noted"

    with listening(slowly) as server, server.connect() as idle, server.connect() as busy:
        busy.start_data()
        busy.send(b"x\r\n.\r\n")
        assert committing.wait(10)
        drained = asyncio.run_coroutine_threadsafe(server.listener.drain(20), server.loop)
        assert idle.reply().startswith("421 4.3.2")
        assert idle.is_closed()
        with pytest.raises(ConnectionError):
            server.connect(greet=False)
        go_on.set()
        assert busy.reply().startswith("250 ")
        assert busy.reply().startswith("421 4.3.2")
        drained.result(10)


def test_draining_does_not_wait_for_ever():
    with listening() as server, server.connect() as peer:
        peer.start_data()
        server.run(server.listener.drain(0.1), timeout=5)
        assert peer.is_closed()


def test_of_aiosmtpd_only_the_timer_is_called_and_it_finds_what_it_reads():
    def own(name: str) -> bool:
        return getattr(Session, name) is not getattr(SMTP, name, None)

    assert all(own(name) for name in dir(asyncio.BufferedProtocol) if not name.startswith("_"))
    assert own("_timeout_cb")
    assert set(SMTP._reset_timeout.__code__.co_names) - {"cancel", "call_later"} == {
        "loop", "_timeout_handle", "_timeout_duration", "_timeout_cb"
    }  # fmt: skip
