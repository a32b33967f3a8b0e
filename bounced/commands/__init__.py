"""What each command does: a module a command, imported only when it is called.

Each has `run(args) -> int`, the exit status.
"""

import sys
from enum import IntEnum

from bounced.core.printable import printable


class Exit(IntEnum):
    """Exit statuses: ours up to 1, then those of sysexits.h."""

    OK = 0
    NO = 1  # a negative answer, or not all could be done
    USAGE = 64
    NO_INPUT = 66
    UNAVAILABLE = 69  # the store does not answer
    CONFIG = 78


def say(line: str) -> None:
    """Print a line of the answer; what strangers wrote in it is to be made printable first."""
    sys.stdout.write(f"{line}\n")


def complain(*lines: str) -> None:
    """Tell the person at the terminal what is wrong."""
    for line in lines:
        sys.stderr.write(f"bounced: {printable(line)}\n")
