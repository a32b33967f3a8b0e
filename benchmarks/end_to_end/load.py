"""Sends reports over SMTP as fast as one core can, or at a rate, and tells how long the answers took.

    python -m benchmarks.end_to_end.load HOST:PORT [--messages N] [--connections N] [--per-connection N] [--rate N]

Sockets and epoll, nothing between: it has to outrun the server. Every message is about another recipient and another
letter, so each is recorded. The dialogue is in lockstep, one command and then its reply. Latency is from the final dot
to its reply. Prints a line of JSON; exit status 1 when a message got no 250.
"""

import argparse
import json
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field

from tests.reports import Fate, postfix_style

RCPT = "bounces@bounces.example.com"
CAUSES = (
    ("5.1.1", "smtp; 550 5.1.1 <{}>: Recipient address rejected: User unknown in virtual mailbox table"),
    ("5.2.2", "smtp; 552 5.2.2 <{}>: mailbox over quota"),
    ("4.4.1", "X-Postfix; connect to mx.example.org[198.51.100.25]:25: Connection timed out"),
    ("5.7.1", "smtp; 554 5.7.1 Service unavailable; Client host [192.0.2.25] blocked using zen.example.org"),
    ("5.7.26", "smtp; 550 5.7.26 This mail is unauthenticated, SPF and DKIM checks did not pass"),
    ("4.7.1", "smtp; 451 4.7.1 Greylisting in action, please come back later"),
)


def report(number: int, run: str, *, size: int = 3_700, recipients: int = 1) -> bytes:
    """Return a report of about `size` octets about `recipients` of letter `number` of this run."""
    status, text = CAUSES[number % len(CAUSES)]
    addresses = [f"user{number:07}.{i}.{run}@d{number % 997:03}.example.org" for i in range(recipients)]
    fates = [Fate(address, status, text.format(address)) for address in addresses]
    bare = postfix_style(fates, f"{run}.{number}").replace(b"text/rfc822-headers", b"message/rfc822")
    # Before the message id, in the returned header: fields of different names, as any header has.
    fields = (b"X-Filler-%d: %b\r\n" % (i, b"abcdefghij" * 6) for i in range(max(0, size - len(bare)) // 75))
    at = bare.rindex(b"Message-ID: ")
    return bare[:at] + b"".join(fields) + bare[at:]


@dataclass
class Outcome:
    """What became of a run."""

    latencies: list[float] = field(default_factory=list)  # seconds
    bad: list[str] = field(default_factory=list)

    def percentile(self, part: float) -> float:
        """Return a latency in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1000 if ordered else 0.0


class Peer:
    """One connection: its next words depend on how far it is."""

    SCRIPT = (b"EHLO load.example.net\r\n",)
    MESSAGE = (b"MAIL FROM:<>\r\n", f"RCPT TO:<{RCPT}>\r\n".encode(), b"DATA\r\n")

    def __init__(self, address: tuple[str, int], load: "Load", left: int) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(address)
        self.socket.settimeout(0)
        self.load, self.left = load, left
        self.expected = b"220"  # the reply that we wait for
        self.step = -1  # of MESSAGE; -1: not in a transaction
        self.heard, self.unsent = b"", b""
        self.dot_at = 0.0
        self.is_quitting = False

    def send(self, words: bytes) -> None:
        try:
            sent = self.socket.send(words)
        except BlockingIOError:
            sent = 0
        self.unsent = words[sent:]
        if self.unsent:
            self.load.poll.modify(self.socket, select.EPOLLIN | select.EPOLLOUT)
        elif self.step == len(self.MESSAGE):
            self.dot_at = time.perf_counter()

    def go_on_sending(self) -> None:
        self.load.poll.modify(self.socket, select.EPOLLIN)
        self.send(self.unsent)

    def begin(self) -> None:
        """Start a message."""
        self.left -= 1
        self.step = 0
        self.send(self.MESSAGE[0])

    def quit(self) -> None:
        self.is_quitting = True
        self.send(b"QUIT\r\n")

    def hear(self) -> bool:
        """Take what came; whether the connection goes on."""
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return True
        except OSError as error:
            return self.fail(str(error))
        if not data:
            return False if self.is_quitting else self.fail("closed by the server")
        self.heard += data
        if not data.endswith(b"\n"):
            return True
        last = self.heard[self.heard.rfind(b"\n", 0, -1) + 1 :]
        if last[3:4] == b"-":
            return True
        self.heard = b""
        self.obey(last)
        return True

    def fail(self, why: str) -> bool:
        self.load.outcome.bad.append(why)
        return False

    def obey(self, reply: bytes) -> None:
        if self.is_quitting:
            return
        if reply[:1] not in b"23":
            self.fail(reply.decode("ascii", "replace").strip())
            self.quit()
        elif self.expected == b"220":
            self.expected = b"250"
            self.send(self.SCRIPT[0])
        elif self.step == len(self.MESSAGE):
            self.load.outcome.latencies.append(time.perf_counter() - self.dot_at)
            self.step = -1
            self.load.ready(self)
        elif self.step < 0:
            self.load.ready(self)
        else:
            self.step += 1
            self.send(self.MESSAGE[self.step] if self.step < 3 else self.load.messages.popleft())


class Load:
    """All connections of one run."""

    def __init__(
        self, address: tuple[str, int], messages: list[bytes], connections: int, per_connection: int
    ) -> None:
        self.address, self.per_connection, self.connections = address, per_connection, connections
        self.messages = deque(message.replace(b"\r\n.", b"\r\n..") + b".\r\n" for message in messages)
        self.total = self.unbegun = len(messages)
        self.outcome = Outcome()
        self.poll = select.epoll()
        self.peers: dict[int, Peer] = {}
        self.idle: list[Peer] = []
        self.rate = 0.0
        self.began = 0.0
        self.due = 0

    def run(self, rate: float = 0.0) -> float:
        """Send all, at `rate` a second or, 0, as fast as answers come; return the seconds that it took."""
        self.rate, self.began = rate, time.perf_counter()
        self.due = 0 if rate else self.unbegun
        if not rate or self.per_connection > 1:
            for _ in range(min(self.connections, -(-self.unbegun // self.per_connection))):
                self.connect()
        while self.peers or self.unbegun:
            self._begin_due()
            for descriptor, event in self.poll.poll(0.0005 if rate else 10):
                peer = self.peers[descriptor]
                if event & select.EPOLLOUT:
                    peer.go_on_sending()
                elif not peer.hear():
                    self.lose(peer)
        return time.perf_counter() - self.began

    def connect(self) -> None:
        peer = Peer(self.address, self, self.per_connection)
        self.peers[peer.socket.fileno()] = peer
        self.poll.register(peer.socket, select.EPOLLIN)

    def lose(self, peer: Peer) -> None:
        del self.peers[peer.socket.fileno()]
        self.poll.unregister(peer.socket)
        peer.socket.close()
        # It was to send what is left; in the mode of a rate a message that is due connects by itself.
        if self.unbegun and (not self.rate or not self.peers):
            self.connect()

    def ready(self, peer: Peer) -> None:
        """A connection waits for its next message."""
        if not peer.left or not self.unbegun:
            peer.quit()
        elif self.due:
            self._begin(peer)
        else:
            self.idle.append(peer)

    def _begin(self, peer: Peer) -> None:
        self.due -= 1
        self.unbegun -= 1
        peer.begin()

    def _begin_due(self) -> None:
        if not self.rate:
            return
        so_far = min(int((time.perf_counter() - self.began) * self.rate), self.total)
        begun = self.total - self.unbegun
        self.due = min(so_far - begun, self.unbegun)
        while self.due and self.idle:
            self._begin(self.idle.pop())
        if self.due > sum(not peer.is_quitting and peer.step < 0 for peer in self.peers.values()):
            self.connect()
        if not self.unbegun:
            while self.idle:
                self.idle.pop().quit()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--per-connection", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0, help="messages a second; 0: as many as it takes")
    parser.add_argument("--size", type=int, default=3_700)
    parser.add_argument("--recipients", type=int, default=1)
    args = parser.parse_args()
    host, _, port = args.address.rpartition(":")
    run = f"{time.time_ns() // 1000:x}"
    messages = [report(i, run, size=args.size, recipients=args.recipients) for i in range(args.messages)]
    load = Load((host, int(port)), messages, args.connections, args.per_connection)
    before = time.process_time()
    took = load.run(args.rate)
    computed = time.process_time() - before
    outcome = load.outcome
    print(
        json.dumps(
            {
                "octets": len(messages[0]),
                "seconds": round(took, 3),
                "rate": round(len(outcome.latencies) / took, 1),
                "p50_ms": round(outcome.percentile(0.5), 2),
                "p99_ms": round(outcome.percentile(0.99), 2),
                "load_us": round(computed / args.messages * 1e6, 1),
                "not_250": len(outcome.bad),
            }
        )
    )
    if outcome.bad:
        print(f"the first of them: {outcome.bad[0]}", file=sys.stderr)
    return 1 if outcome.bad else 0


if __name__ == "__main__":
    sys.exit(main())
