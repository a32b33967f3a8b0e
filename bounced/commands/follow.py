"""`bounced follow`: learn from Postfix's log which messages got through, and which were refused.

The log is read from its beginning, and again after a restart: nothing that it says twice counts twice. A
delivery breaks only a row whose last bounce is older, and a bounce counts once for each message and recipient; its
identity is the Message-ID, so that a report on the same message, should one come too, is the same bounce.
"""

import argparse
import asyncio
import signal
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from bounced.commands import Exit, complain
from bounced.commands.asking import ask
from bounced.commands.growing import file, lines_of, stdin
from bounced.commands.judging import judged_by
from bounced.core.address import canonical
from bounced.core.classify import classify
from bounced.core.model import Evidence
from bounced.core.policy import Change, Policy, What
from bounced.core.rulefile import RulesError
from bounced.core.ruleset import Ruleset
from bounced.maillog import Attempt, Reader
from bounced.settings import SettingsError
from bounced.store import Store, StoreUnavailable

BATCH = 1000  # changes given to the store in one go
AGAIN_SECONDS = 1.0  # until a store is asked again that does not answer


def run(args: argparse.Namespace) -> int:
    """Follow the file until SIGTERM, or read stdin to its end."""
    try:
        if args.file != "-":
            with Path(args.file).open("rb"):  # a directory, or what nobody may read, is refused now
                pass
    except OSError as error:
        complain(f"{args.file}: {error.strerror}")
        return Exit.NO_INPUT

    try:
        known, policy = judged_by(args)
    except (SettingsError, RulesError) as error:
        complain(*error.problems)
        return Exit.CONFIG

    async def work(store: Store) -> int:
        await store.ping()
        learner = _Learner(store, policy, known.rules if args.bounces else None)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        blocks = stdin(stop) if args.file == "-" else file(Path(args.file), stop)
        async for lines in lines_of(blocks):
            await learner.learn(lines)
        complain(learner.summary())
        return Exit.OK

    return ask(args, work)


class _Learner:
    """Turns lines into changes of the store."""

    def __init__(self, store: Store, policy: Policy, rules: Ruleset | None) -> None:
        """`rules` None: what was refused is not counted."""
        self._store = store
        self._policy = policy
        self._rules = rules
        self._reader = Reader()
        self._counts: Counter[str] = Counter()

    async def learn(self, lines: Sequence[str]) -> None:
        """Apply what the lines say, in their order; wait for a store that does not answer."""
        read = self._reader.read
        changes = list(self._changes(attempt for line in lines if (attempt := read(line)) is not None))
        self._counts["lines"] += len(lines)
        while changes:
            try:
                await self._apply(changes)
            except StoreUnavailable as error:
                complain(f"the store does not answer, waiting: {error.cause}")
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                break

    def summary(self) -> str:
        """What was done, in words."""
        names = ("lines", "delivered", "rows broken", "bounces")
        return ", ".join(f"{self._counts[name]} {name}" for name in names)

    def _changes(self, attempts: Iterable[Attempt]) -> Iterable[Change]:
        for attempt in attempts:
            address = canonical(attempt.recipient)
            if address is None:
                continue
            if attempt.sent:
                yield Change(address, What.DELIVERED, at=attempt.at)
            elif self._rules is not None:
                yield self._bounce(address, attempt, self._rules)

    def _bounce(self, address: str, attempt: Attempt, rules: Ruleset) -> Change:
        evidence = Evidence(
            text=attempt.said,
            status=attempt.status,
            remote_mta=attempt.remote_mta,
            command=attempt.command,
        )
        category = classify(evidence, rules).category
        return Change(
            address,
            What(self._policy.severity_of(category)),
            message=attempt.message_id or f"postfix {attempt.queue_id} {attempt.at}",
            at=attempt.at,
            category=category,
            status=attempt.status,
            diagnostic=attempt.said,
            remote_mta=attempt.remote_mta,
        )

    async def _apply(self, changes: Sequence[Change]) -> None:
        """A delivery is written only where there is a row to break: nearly nowhere."""
        addresses = list({change.address for change in changes if change.what is What.DELIVERED})
        rows = zip(addresses, await self._store.rows(addresses), strict=True)
        with_row = {address for address, soft in rows if soft}
        bouncing = {change.address for change in changes if change.what is not What.DELIVERED}
        worth_telling = with_row | bouncing
        telling = [
            change
            for change in changes
            if change.what is not What.DELIVERED or change.address in worth_telling
        ]
        for start in range(0, len(telling), BATCH):
            await self._store.record(telling[start : start + BATCH])
        self._counts["delivered"] += sum(change.what is What.DELIVERED for change in changes)
        self._counts["rows broken"] += len(with_row)
        self._counts["bounces"] += sum(change.what is not What.DELIVERED for change in changes)
