"""`bounced delivered`: a message got through, so the row of soft bounces is broken."""

import argparse

from bounced.addresses import given
from bounced.commands import Exit, complain
from bounced.commands.asking import ask, batches
from bounced.store import Store


def run(args: argparse.Namespace) -> int:
    """Note the addresses, silently but for those that are none."""

    async def work(store: Store) -> int:
        all_done = True
        for batch in batches(args.addresses):
            pairs = [(written, given(written)) for written in batch]
            addresses = [address for _, address in pairs if address is not None]
            rows = await store.rows(addresses)  # nearly all have none, and that is soon known
            await store.delivered([address for address, soft in zip(addresses, rows, strict=True) if soft])
            for written, address in pairs:
                if address is None:
                    complain(f"{written}: not an address")
                    all_done = False
        return Exit.OK if all_done else Exit.NO

    return ask(args, work)
