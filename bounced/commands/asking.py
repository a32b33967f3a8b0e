"""What the commands that ask the store share: opening it, saying that it does not answer, their addresses."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice

from bounced import settings
from bounced.commands import Exit, complain
from bounced.store import Store, StoreUnavailable
from bounced.store.embedded import has_data

# Addresses of stdin that are asked for in one go.
BATCH = 1000


class NoStore(Exception):  # noqa: N818 - it says what is the case
    """There is no store yet, and an empty one would be asked in vain."""


def ask(args: argparse.Namespace, work: Callable[[Store], Awaitable[int]], *, creates: bool = False) -> int:
    """Run `work` on the open store and return its exit status, or that of what went wrong.

    `creates`: on a new embedded store, when there is none.
    """
    try:
        return asyncio.run(_ask(args, work, creates=creates))
    except NoStore as error:
        complain(f"no store in {error}: is STATE_DIRECTORY or state_dir set as for the daemon?")
        return Exit.UNAVAILABLE
    except settings.SettingsError as error:
        complain(*error.problems)
        return Exit.CONFIG
    except StoreUnavailable as error:
        complain(f"the store does not answer: {error.cause}")
        return Exit.UNAVAILABLE


async def _ask(args: argparse.Namespace, work: Callable[[Store], Awaitable[int]], *, creates: bool) -> int:
    chosen = settings.load(args.config, args.set).settings
    redis = chosen.redis
    if redis.url == "embedded" and not creates and not has_data(chosen.state_dir):
        raise NoStore(chosen.state_dir)
    store = await Store.open(
        redis.url, redis.prefix, chosen.decisions(), chosen.state_dir, redis.key_form, settings=redis
    )
    try:
        return await work(store)
    finally:
        await store.close()


def batches(words: Sequence[str]) -> Iterator[list[str]]:
    """Yield the addresses of the command line, with "-" the lines of stdin, some at a time."""
    addresses = _addresses(words)
    while batch := list(islice(addresses, BATCH)):
        yield batch


def _addresses(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if word == "-":
            yield from (line.strip() for line in sys.stdin if line.strip())
        else:
            yield word
