"""What should wake somebody: storms against the sender, outages of providers, words we do not know, silence.

    sender-storm      many recipients of one provider refused for dmarc-issues, reputation-issues or
                      blocklisting-issues: the sender's fault, and five in a row suppress an address for it
    provider-outage   many addresses of one domain suddenly unknown: mostly a directory that is down
    unclassified      the share of failures that no rule could judge
    silence           no bounce for hours: a return path that leads nowhere any more

Pure: no clock, no log. Times are seconds of any one clock. A window slides by halves of its length. What is usual
for a provider or a domain is the mean of about a day, learnt here and forgotten with the process.

Anybody may send reports about any domain: so many are kept as TRACKED says, and the weakest go first.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from bounced.core.model import Category
from bounced.settings import Alarms as Thresholds

# Providers and domains that are watched at one time, each with its cause.
TRACKED = 2000
# Alarms of one name that are raised at one time.
RAISED = 100
DAY = 86400.0

SENDERS_FAULT = frozenset({Category.DMARC_ISSUES, Category.REPUTATION_ISSUES, Category.BLOCKLISTING_ISSUES})
OTHER = "other"


class Name(StrEnum):
    """Which alarm."""

    SENDER_STORM = "sender-storm"
    PROVIDER_OUTAGE = "provider-outage"
    UNCLASSIFIED = "unclassified"
    SILENCE = "silence"


ADVICE = {
    Name.SENDER_STORM: "mail from here is being refused, whoever gets it: stop sending to this provider, read the "
    "diagnostics, repair the cause; then bounced undo what it has suppressed",
    Name.PROVIDER_OUTAGE: "many addresses are unknown all at once: ask whether the domain has trouble, and undo "
    "what it has suppressed",
    Name.UNCLASSIFIED: "rules are missing: bounced review begins them",
    Name.SILENCE: "nothing comes back any more: check the return path's MX and port 25 from outside, and that mail "
    "goes out",
}


class Failure(NamedTuple):
    """A failure that was counted for the first time."""

    address: int  # a digest: alarms count recipients, and need not know them
    domain: str
    provider: str  # OTHER: none that we know by name
    category: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that is raised. What does not apply is "" or 0."""

    name: Name
    provider: str = ""
    domain: str = ""  # of a provider that we do not know by name, and of an outage
    category: str = ""
    recipients: int = 0  # in the window, at least
    failures: int = 0  # in the window
    usual: float = 0  # failures in a window
    since: float = 0  # when it was raised


class Key(NamedTuple):
    """What one alarm is about."""

    name: Name
    provider: str = ""
    domain: str = ""
    category: str = ""


@dataclass(slots=True)
class _Track:
    """What happened of one kind, in this half of the window and in the one before."""

    most: int  # recipients that need to be told apart
    recipients: set[int] = field(default_factory=set)
    recipients_before: set[int] = field(default_factory=set)
    failures: int = 0
    failures_before: int = 0
    usual: float = 0.0  # failures in half a window

    def note(self, address: int) -> None:
        self.failures += 1
        if len(self.recipients) < self.most:
            self.recipients.add(address)

    @property
    def distinct(self) -> int:
        return len(self.recipients | self.recipients_before)

    @property
    def window(self) -> int:
        return self.failures + self.failures_before

    def turn(self, weight: float) -> None:
        """Begin another half; the one that ends goes into what is usual with this weight."""
        self.usual += (self.failures - self.usual) * weight
        self.recipients, self.recipients_before = set(), self.recipients
        self.failures, self.failures_before = 0, self.failures

    @property
    def is_forgotten(self) -> bool:
        return not self.window and self.usual < 0.05


class Alarms:
    """Takes failures, and says when it is looked at which alarms are raised and which cleared."""

    def __init__(self, thresholds: Thresholds, now: float) -> None:
        self._thresholds = thresholds
        self._tracks: dict[Key, _Track] = {}
        self._all = _Track(0)
        self._unclassified = _Track(0)
        self._half_ends = now + thresholds.window / 2
        self._halves = 0  # that have ended
        self._last_bounce = now
        self.raised: dict[Key, Alarm] = {}

    def bounced(self, now: float) -> None:
        """Note that there was a bounce, whatever it says."""
        self._last_bounce = max(self._last_bounce, now)

    def failed(self, failures: Iterable[Failure]) -> None:
        """Note failures that were counted now."""
        chosen = self._thresholds
        for address, domain, provider, category in failures:
            self._all.note(address)
            if category == Category.OTHER:
                self._unclassified.note(address)
            elif category == Category.INVALID_MAILBOX and chosen.outage_recipients:
                key = Key(Name.PROVIDER_OUTAGE, provider, domain)
                self._track(key, chosen.outage_recipients).note(address)
            elif category in SENDERS_FAULT and chosen.sender_recipients:
                key = Key(Name.SENDER_STORM, provider, domain if provider == OTHER else "", category)
                self._track(key, chosen.sender_recipients).note(address)

    def look(self, now: float) -> tuple[list[Alarm], list[Alarm]]:
        """Return the alarms that are raised by now and were not, and those that are not raised any more."""
        due = {key: alarm for key, alarm in self._due(now) if key in self.raised or self._may_raise(key.name)}
        raised = [alarm for key, alarm in due.items() if key not in self.raised]
        cleared = [alarm for key, alarm in self.raised.items() if key not in due]
        self.raised = {key: self.raised.get(key, alarm) for key, alarm in due.items()}
        if now >= self._half_ends:
            self._turn(now)
        return raised, cleared

    def _may_raise(self, name: Name) -> bool:
        return sum(key.name is name for key in self.raised) < RAISED

    def _track(self, key: Key, most: int) -> _Track:
        track = self._tracks.get(key)
        if track is None:
            if len(self._tracks) >= TRACKED:
                self._make_room()
            track = self._tracks[key] = _Track(most)
        return track

    def _make_room(self) -> None:
        """Forget a quarter: those with the fewest recipients, but none whose alarm is raised."""
        quiet = [key for key in self._tracks if key not in self.raised]
        quiet.sort(key=lambda key: (self._tracks[key].distinct, self._tracks[key].usual))
        for key in quiet[: TRACKED // 4]:
            del self._tracks[key]

    def _turn(self, now: float) -> None:
        half = self._thresholds.window / 2
        # Time in which nobody looked was quiet for all we know; two halves of it empty the window.
        turns = min(2, int((now - self._half_ends) // half) + 1)
        self._half_ends = now + half
        for _ in range(turns):
            self._halves += 1
            mean = max(2 * half / DAY, 1 / (self._halves + 1))
            for key, track in self._tracks.items():
                # A storm must not become usual while it is young; what lasts for half a day is.
                track.turn(min(1.0, 2 * half / DAY) if key in self.raised else min(1.0, mean))
            self._all.turn(mean)
            self._unclassified.turn(mean)
        self._tracks = {
            key: track for key, track in self._tracks.items() if key in self.raised or not track.is_forgotten
        }

    def _due(self, now: float) -> Iterator[tuple[Key, Alarm]]:
        for key, track in self._tracks.items():
            # One that is raised is cleared well below of where it was: it must not flicker.
            ease = 0.5 if key in self.raised else 1.0
            failures, usual = track.window, 2 * track.usual
            # Most have too few failures: it need not be counted how many recipients those are.
            least = max(track.most, self._thresholds.rise * usual) * ease
            if failures >= least and (recipients := track.distinct) >= track.most * ease:
                yield key, Alarm(*key, recipients=recipients, failures=failures, usual=usual, since=now)
        yield from self._due_unclassified(now)
        yield from self._due_silence(now)

    def _due_unclassified(self, now: float) -> Iterator[tuple[Key, Alarm]]:
        share, failures = self._thresholds.unclassified_share, self._thresholds.unclassified_failures
        key = Key(Name.UNCLASSIFIED)
        ease = 0.5 if key in self.raised else 1.0
        total, unclassified = self._all.window, self._unclassified.window
        if share and total >= failures * ease and unclassified * 100 >= share * total * ease:
            usual = 2 * self._unclassified.usual
            yield key, Alarm(key.name, category=Category.OTHER, failures=unclassified, usual=usual, since=now)

    def _due_silence(self, now: float) -> Iterator[tuple[Key, Alarm]]:
        hours = self._thresholds.silence
        if hours and now - self._last_bounce >= hours * 3600:
            yield Key(Name.SILENCE), Alarm(Name.SILENCE, since=self._last_bounce)
