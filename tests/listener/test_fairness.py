"""A flood of one peer is served in turns: whoever comes meanwhile does not wait for its end."""

import threading

from tests.listener.dialogue import Peer, listening

COMMANDS = 100_000


def flood(peer: Peer, words: bytes) -> threading.Event:
    """Send words all at once, and read the replies, until the event that is returned says that all have come."""
    done = threading.Event()

    def read() -> None:
        for _ in range(COMMANDS):
            peer.reply()
        done.set()

    threading.Thread(target=peer.send, args=(words * COMMANDS,), daemon=True).start()
    threading.Thread(target=read, daemon=True).start()
    return done


def test_commands_sent_ahead_hold_up_nobody_else():
    with listening(idle_commands=0) as server, server.connect() as greedy, server.connect() as other:
        assert greedy.ask("NOOP").startswith("250 ")
        done = flood(greedy, b"NOOP\r\n")
        for _ in range(3):
            other.start_data()
            assert other.ask("x\r\n.").startswith("250 ")
        assert not done.is_set()
        assert done.wait(60)
