"""A Listener on a loop of its own, and a peer that speaks to it octet by octet."""

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from bounced.intake import Arrival
from bounced.listener import Listener, Terms
from bounced.listener.returnpath import ReturnPaths
from bounced.listener.session import Session
from bounced.settings import Limits
from bounced.sockets import Listening
from tests import certificates

Accept = Callable[[Arrival], Coroutine[None, None, str]]


class Server:
    """The listener under test, and what it was given."""

    def __init__(self, accept: Accept | None, terms: Terms) -> None:
        self.arrivals: list[Arrival] = []
        self.faults: list[dict[str, Any]] = []  # that nobody has caught
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

        async def collect(arrival: Arrival) -> str:
            self.arrivals.append(arrival)
            return "250 2.0.0 Noted" if accept is None else await accept(arrival)

        async def start() -> int:
            self.listener = Listener(collect, hostname="mx.example.com", terms=terms)
            here = Listening(socket.create_server(("127.0.0.1", 0)), lmtp=False)
            await self.listener.listen(here)
            return here.endpoint.port

        self.port = self.run(start())

    def run(self, work: Coroutine[Any, Any, Any], timeout: float = 30) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def connect_narrow(self) -> tuple[socket.socket, Session]:
        """Connect a peer for whose replies there is hardly room until it reads them; return also its session."""
        theirs, ours = socket.socketpair()
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least that Linux gives

        async def serve() -> Session:
            transport, session = await self.loop.connect_accepted_socket(lambda: Session(self.listener), ours)
            transport.set_write_buffer_limits(0)
            return session

        theirs.settimeout(20)
        return theirs, self.run(serve())

    def hold_up(self) -> threading.Event:
        """Have the listener do nothing more until the event that is returned is set."""
        held, go_on = threading.Event(), threading.Event()

        def wait() -> None:
            held.set()
            go_on.wait(20)

        self.loop.call_soon_threadsafe(wait)
        held.wait()
        return go_on

    def handshakes(self) -> int:
        """Return how many are under way."""

        async def count() -> int:
            return sum("_shake_hands" in repr(task) for task in asyncio.all_tasks())

        return int(self.run(count()))

    def close(self) -> None:
        self.run(self.listener.drain(5))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def connect(self, *, greet: bool = True, source: str = "127.0.0.1") -> "Peer":
        peer = Peer(self.port, source)
        if greet:
            assert peer.reply().startswith("220 mx.example.com ")
            assert peer.ask("EHLO peer.example").startswith("250-mx.example.com")
        return peer


class Peer:
    """The other side of one connection."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> str:
        """Return one whole reply, "" when the connection has been closed."""
        lines = []
        while line := self._file.readline():
            lines.append(line.decode("ascii").rstrip("\r\n"))
            if line[3:4] != b"-":
                break
        return "\n".join(lines)

    def ask(self, command: str | bytes) -> str:
        """Send a command; return the reply."""
        self.send((command.encode() if isinstance(command, str) else command) + b"\r\n")
        return self.reply()

    def start_tls(self) -> ssl.SSLSocket:
        """Ask for TLS and go on with it."""
        assert self.ask("STARTTLS").startswith("220 ")
        return self.wrap()

    def wrap(self) -> ssl.SSLSocket:
        """Go on with TLS."""
        self._file.close()
        secure = certificates.trusting().wrap_socket(self.socket)
        self.socket, self._file = secure, secure.makefile("rb")
        return secure

    def reset(self) -> None:
        """Hang up at once, without a word."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.__exit__()

    def start_data(self, recipient: str = "bounces@b.example") -> None:
        assert self.ask("MAIL FROM:<>").startswith("250 ")
        assert self.ask(f"RCPT TO:<{recipient}>").startswith("250 ")
        assert self.ask("DATA").startswith("354 ")

    def is_closed(self) -> bool:
        """Read to the end; raises TimeoutError when there is none."""
        while self._file.readline():
            pass
        return True


@contextmanager
def listening(
    accept: Accept | None = None,
    *,
    domains: Iterable[str] = (),
    terms: dict[str, Any] | None = None,
    **limits: Any,
) -> Iterator[Server]:
    """Run a listener that answers each message with `accept`; at the end there must have been no fault in it."""
    known = {"return_paths": ReturnPaths(domains), "limits": Limits(**limits), **(terms or {})}
    server = Server(accept, Terms(**known))
    try:
        yield server
    finally:
        server.close()
    assert server.faults == []
