"""`bounced undo`: take back what a wrong rule or an outage did to addresses, from the events that tell of it."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

from bounced.commands import Exit, complain, say
from bounced.commands.asking import ask
from bounced.commands.moments import written
from bounced.commands.progress import progress
from bounced.core.address import is_within
from bounced.core.history import Event
from bounced.store import Store
from bounced.store.repair import Fate, Histories

BATCH = 200  # addresses that are written in one go
BOUNCES = frozenset({"hard", "soft", "record"})

_TOLD = {
    Fate.LIFTED: "may be sent to again",
    Fate.RESTS: "still rest, for what was known before or has come since",
    Fate.LOWERED: "have fewer soft bounces in a row",
    Fate.SAME: "stand as before: nothing of it is left, or it counted for nothing",
    Fate.UNEXPLAINED: "are left alone: their events do not explain how they stand",
    Fate.FORGOTTEN: "are not known any more",
    Fate.BUSY: "are left alone: they are being changed; run it again",
}


def run(args: argparse.Namespace) -> int:
    """Tell what would be done, ask, and do it."""
    if not (args.category or args.domain or args.rule or args.remote_mta):
        complain("undo: say what is to be undone: --category, --domain, --rule or --remote-mta")
        return Exit.USAGE

    async def work(store: Store) -> int:
        with progress("events", total=2 * await store.archive.length()) as advance:
            found = await _found(store, args, advance)
            names = list(dict.fromkeys(event.address for event in found))
            histories = await store.repair.histories(names, advance)
        wanted = {event.id for event in found}
        since, until = written(args.since), written(args.until or int(time.time()))
        say(f"{len(found):>10,}  bounces match, of {len(names):,} addresses, from {since} to {until}")
        if await store.archive.lost(args.since):
            oldest = await store.archive.oldest()
            complain(f"the oldest change that is kept is of {written(oldest or 0)}: what was before it stays")
        if not names:
            return Exit.OK
        _tell(await _undo(store, histories, names, wanted, dry_run=True), "would be")
        if args.dry_run or not (args.yes or _agreed()):
            say("Nothing was changed." if args.dry_run else "Nothing was changed; --yes does it.")
            return Exit.OK
        fates = await _undo(store, histories, names, wanted, dry_run=False)
        _tell(fates, "is")
        return Exit.NO if {Fate.BUSY, Fate.UNEXPLAINED} & set(fates) else Exit.OK

    return ask(args, work)


async def _found(store: Store, args: argparse.Namespace, advance: Callable[[int], None]) -> list[Event]:
    found = []
    async for page in store.archive.events(args.since, args.until):
        found += [event for event in page.events if _matches(event, args)]
        advance(page.read)
    return found


def _matches(event: Event, args: argparse.Namespace) -> bool:
    return (
        event.what in BOUNCES
        and (not args.category or event.category in args.category)
        and (not args.rule or event.rule in args.rule)
        and (not args.domain or _is_in(event.address.rpartition("@")[2], args.domain))
        and (not args.remote_mta or _is_in(event.remote_mta, args.remote_mta))
    )


def _is_in(host: str, domains: list[str]) -> bool:
    name = host.lower().rstrip(".")
    return any(is_within(name, domain) for domain in map(str.lower, domains))


async def _undo(
    store: Store, histories: Histories, names: list[str], wanted: set[str], *, dry_run: bool
) -> Counter[Fate]:
    counts: Counter[Fate] = Counter()
    with progress("addresses", total=len(names)) as advance:
        for i in range(0, len(names), BATCH):
            fates = await store.repair.undo(histories, names[i : i + BATCH], wanted, dry_run=dry_run)
            counts.update(fates.values())
            advance(len(fates))
    return counts


def _tell(counts: Counter[Fate], is_: str) -> None:
    """Say how many addresses rested and rest, and what becomes of them."""
    for line in _lines(counts, is_):
        say(line)


def _lines(counts: Counter[Fate], is_: str) -> Iterator[str]:
    yield f"{counts[Fate.LIFTED] + counts[Fate.RESTS]:>10,}  of them at rest before"
    yield f"{counts[Fate.RESTS]:>10,}  of them at rest {'afterwards' if is_ == 'would be' else 'now'}"
    for fate, words in _TOLD.items():
        if counts[fate]:
            yield f"{counts[fate]:>10,}    {words}"


def _agreed() -> bool:
    """Whether the person at the terminal says so; without one, nobody does."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        return input("Undo this? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
