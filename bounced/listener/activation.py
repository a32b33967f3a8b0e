"""Sockets that systemd has opened for us: sd_listen_fds(3), without its library.

With them the daemon needs no right to open port 25. A socket unit whose FileDescriptorName= is "lmtp" is for LMTP.
"""

import os
import socket
from typing import NamedTuple

FIRST = 3


class Inherited(NamedTuple):
    """One listening socket."""

    socket: socket.socket
    lmtp: bool


def inherited() -> list[Inherited]:
    """Return the sockets that were passed to this process; they take the place of smtp.listen and smtp.lmtp."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    names = os.environ.get("LISTEN_FDNAMES", "").split(":") + [""] * count
    descriptors = range(FIRST, FIRST + count)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - its only parameter
    return [
        Inherited(socket.socket(fileno=descriptor), name == "lmtp")
        for descriptor, name in zip(descriptors, names, strict=False)
    ]
