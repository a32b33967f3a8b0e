"""`bounced import`: suppress whom another system's list names, or our own export."""

import argparse
import asyncio
import codecs
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from bounced import lists
from bounced.addresses import given
from bounced.commands import Exit, complain, say
from bounced.commands.asking import ask
from bounced.commands.judging import judged_by
from bounced.commands.progress import progress
from bounced.core.address import canonical
from bounced.core.classify import classify
from bounced.core.model import Category, Evidence
from bounced.core.naming import is_name, name_of
from bounced.core.policy import Change, What
from bounced.core.rulefile import RulesError
from bounced.core.ruleset import Ruleset
from bounced.lists import Entry
from bounced.settings import SettingsError
from bounced.store import Store
from bounced.store.store import FOR_EVER

BATCH = 2000  # entries given to the store in one go
BLOCK = 1 << 16  # octets
COMPLAINTS = 10  # entries that are complained of one by one


class _Import:
    """What becomes of each entry, and the counts."""

    def __init__(self, rules: Ruleset, now: int) -> None:
        self._rules = rules
        self._now = now
        self.counts: Counter[str] = Counter()
        self.not_understood = 0

    def changes(self, entries: Iterator[Entry]) -> Iterator[Change]:
        """Yield what is to be done, entry by entry; count what is not."""
        for entry in entries:
            address = _address(entry)
            if address is None:
                self.not_understood += 1
                if self.not_understood <= COMPLAINTS:
                    complain(f"entry {entry.number}: {entry.address[:100]!r} is not an address")
            elif entry.until is not None and entry.until <= self._now:
                self.counts["ended already"] += 1
            else:
                change = self._change(address, entry)
                self.counts[change.reason or str(change.category)] += 1
                yield change

    def _change(self, address: str, entry: Entry) -> Change:
        """A hard bounce where we know why, or else a suppression with the list's own word for it."""
        category = entry.category
        if category is None and entry.said and not entry.asked:
            judged = classify(Evidence(text=entry.said, status=entry.status), self._rules).category
            category = None if judged is Category.OTHER else judged
        if category is None:
            until = FOR_EVER if entry.asked else entry.until
            return Change(address, What.SUPPRESS, until=until, reason=entry.why[:100] or "imported")
        return Change(
            address,
            What.HARD,
            message=f"import {entry.at or entry.until or self._now // 86400}",  # so that twice is once
            at=entry.at,
            category=category,
            status=entry.status,
            diagnostic=entry.said or None,
            until=entry.until,
        )

    def summary(self) -> Iterator[str]:
        """Lines for a person."""
        for why, number in self.counts.most_common(20):
            yield f"{number:>10,}  {why}"
        yield f"{self.counts.total():>10,}  in all"
        if self.not_understood:
            yield f"{self.not_understood:>10,}  not understood"


def run(args: argparse.Namespace) -> int:
    """Read the list, and do or tell what it means."""
    try:
        descriptor = sys.stdin.fileno() if args.file == "-" else os.open(args.file, os.O_RDONLY)
        os.read(descriptor, 0)  # which a directory refuses
    except OSError as error:
        complain(f"{args.file}: {error.strerror}")
        return Exit.NO_INPUT
    try:
        known, _ = judged_by(args)
    except (SettingsError, RulesError) as error:
        complain(*error.problems)
        return Exit.CONFIG
    task = _Import(known.rules, int(time.time()))

    async def work(store: Store | None) -> int:
        with progress("addresses", descriptor) as advance:
            changes = task.changes(lists.read(_text(descriptor)))
            try:
                while batch := list(islice(changes, BATCH)):
                    if store is not None:
                        await store.record(batch)
                    advance(len(batch))
            except lists.NotAList as error:
                complain(f"{args.file}: {error}")
                return Exit.USAGE
        for line in task.summary():
            say(line)
        return Exit.NO if task.not_understood else Exit.OK

    return asyncio.run(work(None)) if args.dry_run else ask(args, work, creates=True)


def _address(entry: Entry) -> str | None:
    """The canonical address, or the name that stands for one; our own export writes names as in the keys."""
    written = entry.address.strip()
    if is_name(written) or (entry.until is not None and "%" in written and name_of(written) == written):
        return written
    # Our own export may name what a report had called an address.
    return given(written) if entry.until is None else canonical(written)


def _text(descriptor: int) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while block := os.read(descriptor, BLOCK):
        yield decoder.decode(block)
