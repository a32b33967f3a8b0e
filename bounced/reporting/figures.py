"""The figures of a report, gathered from the day's counts, the events and the records: all work is bounded.

The day's counts reach back 400 days, the events as far as the stream does; up to two days are told hour by hour,
from the events, by when the bounces happened. How soft rows and suppressions stand is what the records say now.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple, TypeVar

from bounced.core.history import Event
from bounced.core.model import Category
from bounced.core.policy import Policy
from bounced.core.text import mask
from bounced.providers import OTHER, provider_of
from bounced.reporting.sent import Sent
from bounced.store.archive import Archive

TOP = 12  # lines of a list
KEPT = 10_000  # domains, servers, texts of which a count is kept: strangers may name any number
BINS = 62  # columns at most
FAR = 27 * 7  # days of the calendar
HOURLY = 48  # hours up to which a column is an hour

T = TypeVar("T")

_CATEGORIES = frozenset(category.value for category in Category)


class Bin(NamedTuple):
    """The time that is one column, from `start` to before `end`."""

    start: datetime
    end: datetime


class Text(NamedTuple):
    """What servers said, names taken out."""

    text: str
    category: str
    rule: str


@dataclass(slots=True)
class Figures:
    """All that a report shows."""

    made_at: datetime
    first: date
    last: date
    bins: list[Bin]
    sent: Sent | None
    soft_limit: int
    categories: dict[Category, list[int]] = field(default_factory=dict)  # for each bin
    suppressed: list[int] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    providers: dict[str, Counter[Category]] = field(default_factory=dict)
    domains: Counter[str] = field(default_factory=Counter)
    events: int = 0
    events_lost: bool = False  # some of this time are not kept any more
    events_since: datetime | None = None
    servers: Counter[str] = field(default_factory=Counter)
    server_causes: dict[str, Counter[str]] = field(default_factory=dict)
    texts: Counter[Text] = field(default_factory=Counter)
    records: int = 0
    rows: Counter[int] = field(default_factory=Counter)  # addresses by soft bounces in a row
    ends: Counter[date] = field(default_factory=Counter)  # suppressions by the day on which they end
    ends_later: int = 0
    at_rest: int = 0

    @property
    def bounces(self) -> int:
        """All that came back in these days."""
        return sum(map(sum, self.categories.values()))

    @property
    def hourly(self) -> bool:
        """Whether a column is an hour."""
        return self.bins[-1].end - self.bins[-1].start < timedelta(days=1)

    def total(self, category: Category) -> int:
        """Bounces of a category."""
        return sum(self.categories[category])

    @property
    def ranked(self) -> list[Category]:
        """The categories that there were, most frequent first."""
        found = [category for category in Category if self.total(category)]
        return sorted(found, key=self.total, reverse=True)

    def sent_to(self, provider: str) -> int:
        """Messages sent to a row of `providers`; 0: not known."""
        if self.sent is None or provider == OTHER:
            return 0
        return sum(n for domain, n in self.sent.domains.items() if provider in (domain, provider_of(domain)))

    @property
    def columns(self) -> list[int]:
        """All bounces of each bin."""
        return [sum(column) for column in zip(*self.categories.values(), strict=True)]


async def gather(
    archive: Archive,
    since: int,
    policy: Policy,
    sent: Callable[[date, date], Sent] | None,
    advance: Callable[[int], None] = lambda _: None,
) -> Figures:
    """Gather everything since a Unix time. `advance` hears of each number of entries that was read."""
    now = datetime.now(UTC)
    begin = datetime.fromtimestamp(since, UTC)
    hourly = now - begin <= timedelta(hours=HOURLY)
    bins = _hours(begin, now) if hourly else _days(begin.date(), now.date())
    figures = Figures(
        now,
        begin.date(),
        now.date(),
        bins,
        None if sent is None else sent(begin.date(), now.date()),
        policy.soft_limit,
        {category: [0] * len(bins) for category in Category},
        [0] * len(bins),
        [0] * len(bins),
    )
    if not hourly:
        await _count(archive, figures, advance)
    await _read_events(archive, figures, since, advance, hourly=hourly)
    figures.providers = _strongest(figures.providers, TOP)
    await _read_records(archive, figures, advance)
    return figures


def _hours(begin: datetime, now: datetime) -> list[Bin]:
    start = begin.replace(minute=0, second=0, microsecond=0)
    hour = timedelta(hours=1)
    return [Bin(start + n * hour, start + (n + 1) * hour) for n in range((now - start) // hour + 1)]


def _days(first: date, last: date) -> list[Bin]:
    days = (last - first).days + 1
    width = 1 if days <= BINS else 7 if days <= BINS * 7 else 28
    midnight = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    ends = [midnight - timedelta(days=n) for n in range(0, days, width)]
    first_midnight = midnight - timedelta(days=days)
    return [Bin(max(end - timedelta(days=width), first_midnight), end) for end in reversed(ends)]


async def _count(archive: Archive, figures: Figures, advance: Callable[[int], None]) -> None:
    for column, days in enumerate(figures.bins):
        for n in range((days.end - days.start).days):
            async for counts in archive.counts((days.start + timedelta(days=n)).date()):
                for name, number in counts.items():
                    _add(figures, column, name, number)
                advance(len(counts))
            _forget_rare(figures)


def _add(figures: Figures, column: int, name: str, number: int) -> None:
    """Add one of the day's counts."""
    category, colon, domain = name.partition(":")
    if category in _CATEGORIES and colon:
        _add_domain(figures, Category(category), domain, number)
    elif category in _CATEGORIES:
        figures.categories[Category(category)][column] += number
    elif name == "suppressed":
        figures.suppressed[column] += number
    elif name == "released":
        figures.released[column] += number


def _add_domain(figures: Figures, category: Category, domain: str, number: int, server: str = "") -> None:
    provider = provider_of(domain, server or None)
    figures.domains[domain] += number
    figures.providers.setdefault(domain if provider == OTHER else provider, Counter())[category] += number


def _strongest(rows: Mapping[str, Counter[Category]], number: int) -> dict[str, Counter[Category]]:
    """Return the rows with most bounces; the others become one, the last."""
    ranked = sorted(rows, key=lambda row: (row == OTHER, -rows[row].total()))
    kept = {row: rows[row] for row in ranked[:number] if row != OTHER}
    others = sum((rows[row] for row in ranked if row not in kept), Counter[Category]())
    return kept | ({OTHER: others} if others else {})


async def _read_events(
    archive: Archive, figures: Figures, since: int, advance: Callable[[int], None], *, hourly: bool
) -> None:
    figures.events_lost = await archive.lost(since)
    texts = _Masked()
    async for page in archive.events(since):
        for event in page.events:
            if figures.events_since is None:
                figures.events_since = datetime.fromtimestamp(event.recorded, UTC)
            if hourly:
                _add_hour(figures, event)
            if event.category in _CATEGORIES:
                figures.events += 1
                if event.remote_mta:
                    server = event.remote_mta.lower().rstrip(".")
                    figures.servers[server] += 1
                    figures.server_causes.setdefault(server, Counter())[event.category] += 1
                if event.diagnostic:
                    said = Text(texts.of(event.diagnostic), event.category, event.rule)
                    figures.texts[said] += 1
        _forget_rare(figures)
        advance(page.read)


def _add_hour(figures: Figures, event: Event) -> None:
    start = int(figures.bins[0].start.timestamp())
    column = min(max(0, (event.at - start) // 3600), len(figures.bins) - 1)
    if event.category in _CATEGORIES:
        category = Category(event.category)
        figures.categories[category][column] += 1
        _, at, domain = event.address.rpartition("@")
        if at:
            _add_domain(figures, category, domain, 1, event.remote_mta)
    if event.suppressed:
        figures.suppressed[column] += 1
    elif event.released:
        figures.released[column] += 1


class _Masked:
    """What servers said without names; the same words come often."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, diagnostic: str) -> str:
        if diagnostic not in self._known:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[diagnostic] = mask(diagnostic)
        return self._known[diagnostic]


async def _read_records(archive: Archive, figures: Figures, advance: Callable[[int], None]) -> None:
    now = int(time.time())
    async for page in archive.standing():
        for soft, hard_until in page:
            figures.records += 1
            if hard_until is not None and hard_until > now:
                figures.at_rest += 1
                days = (hard_until - now) // 86400
                if days < FAR:
                    figures.ends[figures.last + timedelta(days=days)] += 1
                else:
                    figures.ends_later += 1
            elif soft:
                figures.rows[soft] += 1
        advance(len(page))


def _forget_rare(figures: Figures) -> None:
    figures.domains = _trimmed(figures.domains)
    figures.servers, figures.texts = _trimmed(figures.servers), _trimmed(figures.texts)
    if len(figures.providers) > 2 * KEPT:
        figures.providers = _strongest(figures.providers, KEPT)
    if len(figures.server_causes) > 4 * KEPT:
        figures.server_causes = {server: figures.server_causes[server] for server in figures.servers}


def _trimmed(counts: Counter[T]) -> Counter[T]:
    """Forget the rarest when there are too many."""
    return counts if len(counts) <= 2 * KEPT else Counter(dict(counts.most_common(KEPT)))
