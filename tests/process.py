"""What Linux tells of a process, from /proc."""

import contextlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

PROC = Path("/proc")
LISTEN = "0A"
TICKS = os.sysconf("SC_CLK_TCK")


def children(parent: int) -> dict[int, str]:
    """Return the command line of each direct child."""
    found = {}
    for process in PROC.iterdir():
        try:
            if process.name.isdigit() and int(_fields(process)[1]) == parent:
                found[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
    return found


def exists(process: int) -> bool:
    """Whether it runs; one that has ended and that nobody has waited for does not."""
    try:
        return _fields(PROC / str(process))[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def memory(process: int) -> int:
    """Return its resident memory in octets."""
    return _status(process, "VmRSS")


def peak(process: int) -> int:
    """Return the most resident memory that it has had, in octets, since the last `forget_peak`."""
    return _status(process, "VmHWM")


def forget_peak(process: int) -> None:
    """Count the peak from here."""
    (PROC / str(process) / "clear_refs").write_text("5")


def seconds(process: int) -> float:
    """Return how much time of a processor it has had."""
    fields = _fields(PROC / str(process))
    return (int(fields[11]) + int(fields[12])) / TICKS


def open_files(process: int) -> int:
    """Return how many file descriptors it has open."""
    return len(list((PROC / str(process) / "fd").iterdir()))


def connections(process: int) -> set[tuple[int, int]]:
    """Return local and remote port of the TCP connections that it holds; listening sockets are left out."""
    inodes = set()
    for descriptor in (PROC / str(process) / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").rstrip("]"))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in (PROC / str(process) / "net" / table).read_text().splitlines()[1:]:
            _, here, there, state, *more = line.split()
            if more[5] in inodes and state != LISTEN:
                found.add((int(here.rpartition(":")[2], 16), int(there.rpartition(":")[2], 16)))
    return found


def wait_until(condition: Callable[[], object], timeout: float = 20) -> None:
    """Return as soon as the condition holds; raises AssertionError when it does not come to hold."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it does not come to hold"
        time.sleep(0.02)


def _fields(process: Path) -> list[str]:
    """State, parent and so on: what follows the name, in which anything may stand."""
    return (process / "stat").read_text().rpartition(")")[2].split()


def _status(process: int, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", (PROC / str(process) / "status").read_text())
    assert found
    return int(found[1]) * 1024
