"""One message that has come in whole: read it, record what it says, log it, and only then answer 250.

unreadable                              quarantine on disk, then 250: refusing a bounce loses it
more recipients than are believed       the same, for the others
for postmaster or abuse                 kept on disk for a person, and judged for its other recipients
autoreply, abuse complaint              logged, 250: changes nothing
everything else                         one call of the store for all recipients, then 250
the store, the disk or we fail          451: the sender keeps the message
"""

import asyncio
import time

from msgspec import Struct, field

from bounced import events
from bounced.core.model import Action, Kind, Reading, Severity, Verdict
from bounced.core.policy import Change, Outcome, Result, What
from bounced.core.returnpath import Proof
from bounced.keeping import Keeping
from bounced.mailfiles import Envelope
from bounced.quarantine import Quarantine
from bounced.reader import Reader, ReaderFailed
from bounced.store import Store, StoreUnavailable

ACCEPTED = "250 2.0.0 Noted"
# The reply to every fault of ours, whatever its kind; the log says more.
TRY_AGAIN = "451 4.3.0 Cannot take it now, try again later"
PEOPLE = frozenset({"postmaster", "abuse"})
# These change nothing, whatever addresses they name.
IGNORED = frozenset({Kind.AUTOREPLY, Kind.FEEDBACK})
_WHATS = {severity: What(severity) for severity in Severity if severity is not Severity.NONE}
# What is said to have happened earlier was dated by a clock that is wrong: it happened now. No server tries longer.
OLDEST = 30 * 86400  # seconds


class Arrival(Struct, frozen=True):
    """A message as the listener took it."""

    content: bytes
    peer: str
    reverse_path: str  # "" for the null reverse-path
    recipients: tuple[str, ...]  # of the envelope
    # What the return paths among the recipients prove, None for one that proves nothing and counts all the same. The
    # other recipients that the listener took are mailboxes for people.
    claims: tuple[Proof | None, ...]
    at: int = field(default_factory=lambda: int(time.time()))  # Unix time

    @property
    def envelope(self) -> Envelope:
        """What is kept with the message for whoever reads it again."""
        return Envelope(self.at, self.peer, self.reverse_path, self.recipients)

    @property
    def delivered(self) -> bytes:
        """The message as final delivery leaves it, below its reverse-path: RFC 5321 section 4.4.

        It is read so, because a server reports with the null reverse-path, and who writes with one of his own is
        seldom a server. A line of mbox must stay the first.
        """
        if self.content.startswith(b"From "):
            return self.content
        return b"Return-Path: <%b>\r\n%b" % (self.reverse_path.encode("utf-8", "replace"), self.content)

    @property
    def judged_by(self) -> tuple[Proof | None, ...]:
        """By which claims the report is judged, each once: what is proven, else what it says itself."""
        if len(self.claims) == 1:
            return self.claims
        proofs = dict.fromkeys(claim for claim in self.claims if claim is not None)
        return tuple(proofs) or (None,)

    @property
    def reported_to(self) -> str:
        """The one recipient of the envelope to whom a server reports; "" where several do, or somebody else."""
        return self.recipients[0] if not self.reverse_path and len(self.recipients) == 1 else ""


def is_for_people(local_part: str) -> bool:
    """Whether it is a mailbox of RFC 2142 behind which a person is expected."""
    return local_part.lower() in PEOPLE


class Intake:
    """What stands between the listener and the store."""

    def __init__(
        self, reader: Reader, store: Store, quarantine: Quarantine, keeping: Keeping | None = None
    ) -> None:
        """`keeping`: where every report is kept, None: nowhere."""
        self._reader = reader
        self._store = store
        self._quarantine = quarantine
        self._keeping = keeping

    async def accept(self, arrival: Arrival) -> str:
        """Do all that one message asks for and return the reply to its final dot. Raises nothing."""
        try:
            await self._accept(arrival)
        except StoreUnavailable as error:
            events.store_unavailable(error.cause, arrival.peer)
            error.__traceback__ = None  # its frames hold the message, and what holds the error
        except OSError as error:
            events.quarantine_failed(str(error), arrival.peer)
        except Exception as error:  # noqa: BLE001 - a fault of ours must cost the peer a retry, not its report
            events.internal_error(arrival.peer, error)
        else:
            if self._keeping is not None:
                await self._keep(self._keeping, arrival)
            return ACCEPTED
        return TRY_AGAIN

    @staticmethod
    async def _keep(keeping: Keeping, arrival: Arrival) -> None:
        """Keep the message for some days; a disk that does not take it costs nothing else."""
        try:
            await asyncio.to_thread(keeping.keep, arrival.content, arrival.envelope)
        except Exception as error:  # noqa: BLE001 - what was recorded has its 250, also if no thread can start
            events.keep_failed(str(error))

    async def _accept(self, arrival: Arrival) -> None:
        started = time.perf_counter()
        for proof in arrival.judged_by if arrival.claims else ():
            begun = time.perf_counter()
            reading = await self._read(arrival, proof)
            read, stored = time.perf_counter() - begun, None
            reason = unreadable(reading)
            if reason:
                file = await asyncio.to_thread(
                    self._quarantine.keep, arrival.content, reason, arrival.envelope
                )
                events.bounce_unrecognised(_facts(arrival, started, proof), reason, str(file))
            if reading is None:
                continue
            if reading.report.kind in IGNORED:
                events.bounce_ignored(_facts(arrival, started, proof), reading)
            else:
                begun = time.perf_counter()
                outcomes = await self._record(reading)
                stored = time.perf_counter() - begun if any(outcomes) else None
                _log(_facts(arrival, started, proof), reading, outcomes)
            whole = time.perf_counter() - started
            events.report_read(reading.report.kind, read=read, store=stored, whole=whole)
        if len(arrival.claims) < len(arrival.recipients):  # some are mailboxes for people
            # The last, as the sender comes again with all of it when the store has failed.
            file = await asyncio.to_thread(
                self._quarantine.keep, arrival.content, "postmaster", arrival.envelope
            )
            events.postmaster_kept(_facts(arrival, started), str(file))

    async def _read(self, arrival: Arrival, proof: Proof | None) -> Reading | None:
        try:
            return await self._reader.read(arrival.delivered, proof, arrival.reported_to)
        except ReaderFailed as error:
            events.internal_error(arrival.peer, error.__cause__ or error)
            return None

    async def _record(self, reading: Reading) -> list[Outcome | None]:
        """Write what the report says; an outcome for each verdict, None for one that changes nothing."""
        now = int(time.time())
        changes = [change_of(verdict, reading, now) for verdict in reading.verdicts]
        wanted = [change for change in changes if change is not None]
        outcomes = iter(await self._store.record(wanted) if wanted else ())
        return [None if change is None else next(outcomes) for change in changes]


def unreadable(reading: Reading | None) -> str:
    """Say in a word why a person must look at this mail; "" when there is no need."""
    if reading is None:
        return "reader-failed"
    if reading.report.kind in IGNORED:
        return ""
    if reading.left_out:
        return "too-many-recipients"
    return "" if reading.verdicts else "no-recipient"


def change_of(verdict: Verdict, reading: Reading, now: int) -> Change | None:
    """Return what a verdict of a report that came at `now` does to its recipient; None: nothing."""
    if verdict.severity in _WHATS:
        what = _WHATS[verdict.severity]
    elif verdict.action is Action.DELIVERED:
        what = What.DELIVERED
    else:
        return None
    return Change(
        address=verdict.recipient,
        what=what,
        message=reading.identity,
        category=verdict.category if what is not What.DELIVERED else None,
        status=verdict.status,
        diagnostic=verdict.diagnostic,
        remote_mta=verdict.remote_mta,
        reporting_mta=reading.report.reporting_mta,
        rule=verdict.rule or None,
        at=verdict.at if verdict.at is not None and verdict.at >= now - OLDEST else None,
    )


def _facts(arrival: Arrival, started: float, proof: Proof | None = None) -> events.Facts:
    took_ms = round((time.perf_counter() - started) * 1000, 1)
    return {"peer": arrival.peer, "took_ms": took_ms, "proven": proof is not None}


def _log(facts: events.Facts, reading: Reading, outcomes: list[Outcome | None]) -> None:
    for verdict, outcome in zip(reading.verdicts, outcomes, strict=True):
        if verdict.severity is Severity.NONE and verdict.action is Action.DELAYED:
            events.bounce_delayed(facts, reading, verdict)
        elif outcome is None or verdict.severity is Severity.NONE:
            events.bounce_delivered(facts, reading, verdict, outcome)
        elif outcome.result is Result.DUPLICATE:
            events.bounce_duplicate(facts, reading, verdict, outcome)
        else:
            events.bounce_recorded(facts, reading, verdict, outcome)
