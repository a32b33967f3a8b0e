"""Mail that was kept, read again by today's rules: what it says is recorded as if it came now, and only once.

It goes the way of intake.py, and by the same proof: a signed return path in its envelope is verified as of the day on
which the message came, and what would have been refused changes nothing. What came for an address since then, a
delivery or a release, is later evidence and stays. What was undone stays undone, unless it is judged otherwise now.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Self

from msgspec.structs import replace

from bounced.core import returnpath
from bounced.core.history import Event
from bounced.core.policy import Change, Outcome, Policy, What, apply, decide
from bounced.core.returnpath import Keys, NotProven, Proof
from bounced.intake import IGNORED, Arrival, change_of, is_for_people, unreadable
from bounced.mailfiles import Envelope
from bounced.reader import Reader, ReaderFailed
from bounced.settings import Mode, Settings
from bounced.store import Store

DAY = 86400
_LATER = frozenset({What.DELIVERED.value, What.RELEASE.value})
_RANKS = {What.RECORD: 1, What.SOFT: 2, What.HARD: 3}  # what a message counts as, and may only rise


class Fate(StrEnum):
    """What became of one message."""

    READ = "read"  # all that it says has been recorded, now or before
    NOTHING = "says nothing that counts"  # an autoreply, a complaint, a delay
    UNREADABLE = "still not understood"
    PARTLY = "read for the first recipients only"  # smtp.limits.recipients
    NOT_PROVEN = "proves nothing, and changes nothing"
    PEOPLE = "for people"


class Line(NamedTuple):
    """What a message says of one recipient."""

    change: Change
    outcome: Outcome | None  # None: nothing was done
    why: str = ""  # nothing was done


@dataclass(slots=True)
class Replayed:
    """One message, read again."""

    fate: Fate
    lines: list[Line] = field(default_factory=list)


class Past:
    """What the events tell: until when there is later evidence, what has counted, and what was undone."""

    def __init__(self) -> None:
        self._later: dict[str, int] = {}
        self._ranks: dict[int, int] = {}
        self._undone: set[int] = set()

    @classmethod
    async def of(cls, store: Store, advance: Callable[[int], None] = lambda _: None) -> Self:
        """Read all events."""
        past, counted = cls(), dict[str, Event]()
        async for page in store.archive.events():
            for event in page.events:
                if event.what in _LATER:
                    past._later[event.address] = max(event.at, past._later.get(event.address, 0))
                if event.message and event.category:
                    counted[event.id] = event
                for undone in event.undoes:
                    if taken_back := counted.pop(undone, None):
                        past._undone.add(_judged(taken_back.address, taken_back.message, taken_back))
            advance(page.read)
        for event in counted.values():
            key = hash((event.address, event.message))
            past._ranks[key] = max(_RANKS.get(What(event.what), 0), past._ranks.get(key, 0))
        return past

    def objection(self, name: str, digest: str, change: Change) -> str:
        """Say why a change is not to be made; "" when nothing speaks against it."""
        if change.what is What.DELIVERED:
            return ""
        if self._ranks.get(hash((name, digest)), 0) >= _RANKS[change.what]:
            return "has counted"
        if _judged(name, digest, change) in self._undone:
            return "was undone"
        if self._later.get(name, 0) > (change.at or 0):
            return "later evidence"
        return ""


def _judged(name: str, digest: str, told: Event | Change) -> int:
    return hash((name, digest, str(told.what), str(told.category), told.rule or ""))


class Replay:
    """Reads and records message by message."""

    def __init__(self, reader: Reader, store: Store, settings: Settings, keys: Keys, past: Past) -> None:
        self._reader = reader
        self._store = store
        self._settings = settings
        self._policy: Policy = settings.decisions()
        self._keys = keys
        self._past = past

    async def read(self, content: bytes, envelope: Envelope | None, now: int, *, dry_run: bool) -> Replayed:
        """Read one message and record it, or say what would be recorded. Raises StoreUnavailable."""
        claims = self._claims(envelope)
        if claims is None:
            return Replayed(Fate.NOT_PROVEN)
        if not claims:
            return Replayed(Fate.PEOPLE)
        came = envelope or Envelope(now, "", "", ())
        arrival = Arrival(content, came.peer, came.reverse_path, came.recipients, claims, came.at)
        replayed = Replayed(Fate.NOTHING)
        content = arrival.delivered if envelope else content
        for proof in arrival.judged_by:
            try:
                reading = await self._reader.read(content, proof, arrival.reported_to)
            except ReaderFailed:
                return Replayed(Fate.UNREADABLE)
            reason = unreadable(reading)
            if reason and not reading.left_out:
                return Replayed(Fate.UNREADABLE)
            if reading.report.kind in IGNORED:
                continue
            for verdict in reading.verdicts:
                change = change_of(verdict, reading, arrival.at)
                if change is not None:
                    dated = replace(change, at=min(change.at or arrival.at, arrival.at))
                    replayed.lines.append(await self._line(dated, now, dry_run=dry_run))
            replayed.fate = Fate.PARTLY if reading.left_out else Fate.READ
        return replayed

    def _claims(self, envelope: Envelope | None) -> tuple[Proof | None, ...] | None:
        """What the return paths prove: as Arrival.claims; None: what must be proven is not."""
        chosen = self._settings.return_path
        modes: dict[str, Mode] = {one.domain: one.mode for one in chosen.modes}
        if envelope is None:
            return None if Mode.ENFORCE in (chosen.mode, *modes.values()) else (None,)
        claims: list[Proof | None] = []
        refused = False
        for address in envelope.recipients:
            local_part, _, domain = address.rpartition("@")
            mode = modes.get(domain.lower(), chosen.mode)
            if is_for_people(local_part or domain):
                continue
            try:
                proof = None if mode is Mode.OFF else self._proof(local_part, domain, envelope.at)
            except NotProven:
                proof = None
                refused = refused or mode is Mode.ENFORCE
                if mode is Mode.ENFORCE:
                    continue
            claims.append(proof)
        return None if refused and not claims else tuple(claims)

    def _proof(self, local_part: str, domain: str, at: int) -> Proof:
        return returnpath.verify(local_part, domain, self._keys, at // DAY)

    async def _line(self, change: Change, now: int, *, dry_run: bool) -> Line:
        decision = decide(change, self._policy, now)
        why = self._past.objection(self._store.archive.name(change.address), decision.digest, change)
        if why:
            return Line(change, None, why)
        if dry_run:
            _, outcome = apply(await self._store.lookup(change.address), decision)
        else:
            [outcome] = await self._store.record([change])
        return Line(change, outcome)
