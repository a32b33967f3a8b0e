"""The sockets on which mail comes in: those that systemd has opened for us, else those that the settings name.

systemd's are passed as sd_listen_fds(3) says, and read without its library. With them the daemon needs no right to
open port 25. A socket unit whose FileDescriptorName= is "lmtp" is for LMTP.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from bounced.process import CannotStart
from bounced.settings import Endpoint
from bounced.settings.schema import Smtp

FIRST = 3
# Connections that the kernel keeps for us while we are busy.
BACKLOG = 1024


class Listening(NamedTuple):
    """One listening socket."""

    socket: socket.socket
    lmtp: bool

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens: with the port of the system's choice, if it was left to it."""
        name = self.socket.getsockname()
        if self.socket.family == socket.AF_UNIX:
            return Endpoint(os.fsdecode(name).replace("\0", "@"), 0)
        return Endpoint(*name[:2])

    @property
    def protocol(self) -> str:
        """What is spoken there, "smtp" or "lmtp"."""
        return "lmtp" if self.lmtp else "smtp"


@contextmanager
def opened(smtp: Smtp, *, loopback_only: bool = False) -> Iterator[list[Listening]]:
    """Yield the sockets that systemd has passed, else those of smtp.listen and smtp.lmtp; close them at the end.

    `loopback_only`: other machines must not reach what systemd has passed. Raises CannotStart.
    """
    with ExitStack() as stack:
        listening = inherited()
        for one in listening:
            stack.callback(one.socket.close)
        if exposed := [
            str(one.endpoint) for one in listening if loopback_only and not one.endpoint.is_loopback
        ]:
            raise CannotStart(
                f"return_path_domains: expected the domains of your return paths, as systemd opens"
                f" {', '.join(exposed)} to other machines; without any, mail for every domain would be taken",
                status=78,
            )
        if not listening:
            wanted = [(endpoint, False) for endpoint in smtp.listen] + [
                (endpoint, True) for endpoint in smtp.lmtp
            ]
            for endpoint, lmtp in wanted:
                try:
                    listening += [Listening(one, lmtp) for one in _opened(endpoint, stack)]
                except OSError as error:
                    raise _explained(endpoint, error) from error
        yield listening


def inherited() -> list[Listening]:
    """Return the sockets that systemd has passed to this process."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    names = os.environ.get("LISTEN_FDNAMES", "").split(":") + [""] * count
    descriptors = range(FIRST, FIRST + count)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - its only parameter
    return [
        Listening(socket.socket(fileno=descriptor), name == "lmtp")
        for descriptor, name in zip(descriptors, names, strict=False)
    ]


def _opened(endpoint: Endpoint, stack: ExitStack) -> Iterator[socket.socket]:
    """Listen there: a name may have several addresses. Raises OSError."""
    if endpoint.is_unix:
        path = Path(endpoint.host)
        yield stack.enter_context(_at(path))
        stack.callback(path.unlink, missing_ok=True)
        return
    for family, _, _, _, address in socket.getaddrinfo(
        *endpoint, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        yield stack.enter_context(socket.create_server(address, family=family, backlog=BACKLOG))


def _at(path: Path) -> socket.socket:
    """Listen on a socket in the file system; one that a daemon before us has left there is removed."""
    if path.is_socket() and not _is_alive(path):
        path.unlink()
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(str(path))
        path.chmod(0o660)  # for mail servers of our group, whatever the umask
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _is_alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, suppress(ConnectionRefusedError):
        probe.settimeout(0)  # one whose backlog is full is alive, too
        with suppress(BlockingIOError):
            probe.connect(str(path))
        return True
    return False


def _explained(endpoint: Endpoint, error: OSError) -> CannotStart:
    if error.errno == errno.EADDRINUSE:
        return CannotStart(
            f"{endpoint} is in use: stop what listens there (ss -ltnp shows it), or set smtp.listen", status=1
        )
    if error.errno == errno.EACCES:
        return CannotStart(
            f"no permission to listen on {endpoint}: let systemd open it (bounced.socket), as ports below 1024"
            f" need CAP_NET_BIND_SERVICE, or set smtp.listen",
            status=77,
        )
    return CannotStart(f"cannot listen on {endpoint}: {error.strerror or error}; see smtp.listen", status=1)
