"""`bounced replay`: quarantined or kept mail, read again with today's rules and recorded."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bounced import keys, knowledge, mailfiles, settings
from bounced.commands import Exit, complain, say
from bounced.commands.asking import ask
from bounced.commands.progress import progress
from bounced.commands.sources import Source, sources
from bounced.core.printable import printable
from bounced.core.rulefile import RulesError
from bounced.keys import KeysError
from bounced.quarantine import Quarantine
from bounced.reader import Reader
from bounced.replaying import Fate, Line, Past, Replay
from bounced.settings import Mode, Settings, SettingsError
from bounced.store import Store

# Mail that has been read needs nobody to read it again.
DONE = frozenset({Fate.READ, Fate.NOTHING})


def run(args: argparse.Namespace) -> int:
    """Print a line for each recipient, then how many messages came to what."""
    try:
        chosen = settings.load(args.config, args.set).settings
        reader = Reader(
            knowledge.read(chosen.rules_dir), chosen.decisions(), max_recipients=chosen.smtp.limits.recipients
        )
        secrets = _keys(chosen)
    except (SettingsError, RulesError, KeysError) as error:
        complain(*error.problems)
        return Exit.CONFIG
    for name in args.files:
        if name != "-" and not Path(name).exists():
            complain(f"{name}: no such file")
            return Exit.NO_INPUT
    kept = chosen.quarantine
    quarantine = Quarantine(chosen.state_dir, messages=kept.messages, size=kept.size)
    counts: Counter[str] = Counter()

    async def work(store: Store) -> int:
        with progress("events", total=await store.archive.length()) as advance:
            past = await Past.of(store, advance)
        replay = Replay(reader, store, chosen, secrets, past)
        try:
            for source in _messages(args.files):
                if source.error is not None:
                    complain(f"{source.name}: {source.error}")
                    counts["not read"] += 1
                    continue
                file = Path(source.name)
                envelope = mailfiles.read_envelope(file)
                replayed = await replay.read(source.raw, envelope, int(time.time()), dry_run=args.dry_run)
                for line in replayed.lines:
                    say(_told(line, source.name))
                counts[replayed.fate] += 1
                if replayed.fate in DONE and not args.dry_run and quarantine.holds(file):
                    quarantine.move_on(file)
        finally:
            reader.close()
        for fate, number in counts.most_common():
            sys.stderr.write(f"{number:>10,}  {fate}\n")
        return Exit.OK if set(counts) <= DONE | {Fate.PEOPLE} else Exit.NO

    return ask(args, work, creates=not args.dry_run)


def _keys(chosen: Settings) -> dict[str, bytes]:
    """Return the keys that return paths are verified with, if any ask for it. Raises KeysError."""
    modes = (chosen.return_path.mode, *(one.mode for one in chosen.return_path.modes))
    return keys.read(Path(chosen.return_path.keys_file)) if set(modes) != {Mode.OFF} else {}


def _messages(names: list[str]) -> Iterator[Source]:
    """Every message, in order of path; envelopes and what is not written to its end are none."""
    for name in names:
        path = Path(name)
        if name == "-" or not path.is_dir():
            yield from sources([name])
            continue
        for file in sorted(path.rglob("*")):
            hidden = file.name.startswith(".") or file.suffix == mailfiles.ENVELOPE
            if file.is_file() and not hidden:
                yield from sources([str(file)])


def _told(line: Line, file: str) -> str:
    """Return address, what it is judged to be, what became of it, rule and file, with tabs between them."""
    change, outcome = line.change, line.outcome
    became = line.why if outcome is None else f"{outcome.result}: {outcome.before} to {outcome.after}"
    judged = f"{change.what} {change.category}" if change.category else str(change.what)
    return "\t".join(printable(word) for word in (change.address, judged, became, change.rule or "", file))
