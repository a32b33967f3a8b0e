"""The arguments and help of the commands for those who run it. What they do is in commands/."""

import argparse
from collections.abc import Callable, Iterator


def declare(command: Callable[[str, str, str], argparse.ArgumentParser]) -> Iterator[argparse.ArgumentParser]:
    """Declare every command by `command(name, summary, text)`; yield those that read settings."""
    show = command("show", "show what is known of an address", SHOW)
    show.add_argument("address", metavar="ADDRESS")
    yield show


SHOW = """\
example:
  $ bounced show jane@example.org
  state       rest until 2027-05-22T09:30:00Z
  reason      invalid-mailbox

Exit status: 0, 1 when nothing is known of the address, 69 the store does not answer."""
