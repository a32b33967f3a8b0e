"""`bounced release`: let an address be sent to again."""

import argparse

from bounced.addresses import given
from bounced.commands import Exit, complain, say
from bounced.commands.asking import ask
from bounced.core.policy import State
from bounced.core.printable import printable
from bounced.store import Store


def run(args: argparse.Namespace) -> int:
    """Lift the suppression and say how the address stood."""
    address = given(args.address)
    if address is None:
        complain(f"{args.address}: not an address")
        return Exit.USAGE

    async def work(store: Store) -> int:
        outcome = await store.release(address)
        rested = outcome.before is State.HARD
        say(f"{printable(address)}: {'may be sent to again' if rested else 'was not at rest'}")
        return Exit.OK

    return ask(args, work)
