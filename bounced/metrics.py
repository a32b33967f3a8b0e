"""What is counted: every metric with its labels, the tally of one process, and the page that Prometheus reads.

Counting costs one addition to a dictionary; the part of prometheus_client is the page (docs/decisions/0050). Several
processes each tell their whole tally, and whoever answers adds them up.

No label holds what a stranger chose: their number of values is bounded whatever anybody sends.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import msgspec

from bounced.core.model import Kind

# Upper bounds of the buckets of every histogram, seconds.
BOUNDS = (
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


class Type(StrEnum):
    """What kind of number it is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `name` is without the endings that Prometheus's form gives it: _total, _bucket, ..."""

    type: Type
    name: str
    help: str
    labels: tuple[str, ...] = ()
    known: tuple[
        str, ...
    ] = ()  # values of the only label; shown from the start, so that the first rise is seen


def _counter(name: str, text: str, *labels: str, known: Iterable[str] = ()) -> Metric:
    return Metric(Type.COUNTER, f"bounced_{name}", text, labels, tuple(known))


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(Type.GAUGE, f"bounced_{name}", text, labels)


def _seconds(name: str, text: str, *labels: str) -> Metric:
    return Metric(Type.HISTOGRAM, f"bounced_{name}_seconds", text, labels)


REPORTS = _counter("reports", "Messages that were read, by what they are.", "kind", known=Kind)
RECIPIENTS = _counter(
    "recipients",
    "Recipients of reports, by what became of what was said of them.",
    "outcome",
    known=("new", "upgraded", "duplicate", "delayed", "delivered"),
)
FAILURES = _counter(
    "failures",
    "Failures that were recorded, each message and recipient once.",
    "category",
    "severity",
    "provider",
)
SUPPRESSIONS = _counter(
    "suppressions",
    "Addresses that came to rest, by the category of the failure that did it.",
    "category",
    "provider",
)
UNRECOGNISED = _counter(
    "unrecognised",
    "Messages that a person has to read, now in quarantine.",
    "reason",
    known=("no-recipient", "too-many-recipients", "reader-failed"),
)
QUARANTINE_DROPPED = _counter("quarantine_dropped", "Messages that the quarantine had no room for.", "reason")
QUARANTINE_FAILED = _counter("quarantine_failed", "Messages that the disk did not take for quarantine.")
POSTMASTER = _counter("postmaster", "Messages kept for the postmaster or abuse mailbox.")
FORGED = _counter(
    "forged",
    "Return paths that proved nothing though proof was asked for.",
    "refused",
    known=("true", "false"),
)
CONNECTIONS = _counter("connections", "Connections that came in, those that were turned away included.")
CONNECTIONS_OPEN = _gauge("connections_open", "Connections that are open.")
REFUSED = _counter("refused", "Commands and connections that were refused, by reply code.", "code")
STAGE = _seconds(
    "stage", "Time that a message took: to be read, to be stored, and from final dot to reply.", "stage"
)
STORE_UP = _gauge("store_up", "Whether the store answered when it was last asked: 1 or 0.")
STORE_PING = _gauge("store_ping_seconds", "Time that the store took to answer when it was last asked.")
STORE_BATCH = _seconds("store_batch", "Time that the store took for one batch of changes.")
STORE_CHANGES = _counter("store_changes", "Changes that were in those batches.")
STORE_UNAVAILABLE = _counter("store_unavailable", "Messages that got 451 because the store did not confirm.")
SUPPRESSED = _gauge(
    "suppressed_addresses", "Addresses that are to be left alone, when they were last counted."
)
SUPPRESSED_AT = _gauge("suppressed_counted_timestamp_seconds", "When they were last counted, Unix time.")
ALARM = _gauge("alarm", "Alarms that are raised now.", "alarm", "provider")
LAST_BOUNCE = _gauge(
    "last_bounce_timestamp_seconds", "When the last bounce was read, Unix time; 0: none yet."
)
INTERNAL_ERRORS = _counter("internal_errors", "Faults of ours; those of a message made it come again.")
LOG_DROPPED = _counter("log_lines_dropped", "Lines of the log that nobody took in time.")
LOG_REPEATED = _counter(
    "log_lines_repeated", "Lines of the log that were left out, as too many were alike.", "event"
)
PROCESSES = _gauge("processes", "Processes that take mail, or finish what they have accepted.")
READY = _gauge("ready", "Processes that take mail and whose store answers.")
STARTED = _gauge("start_timestamp_seconds", "When the daemon started, Unix time.")
BUILD = _gauge("build_info", "1; the label says which version this is.", "version")

METRICS = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
# Gauges of several processes: those that are one fact, of which the latest or largest holds; others are added up.
_ONE_FACT = frozenset(
    metric.name for metric in (STORE_PING, SUPPRESSED, SUPPRESSED_AT, ALARM, LAST_BOUNCE, STARTED, BUILD)
)
_WORST = frozenset({STORE_UP.name})

Key = tuple[str, ...]  # a metric's name, and the values of its labels


class Tally:
    """What a process has counted since it began."""

    def __init__(self) -> None:
        self.counts: Counter[Key] = Counter()
        self.gauges: dict[Key, float] = {}
        self.timings: dict[Key, list[float]] = {}  # how many fell into each bucket, into none; their sum

    def count(self, metric: Metric, *labels: str, by: int = 1) -> None:
        """Count something that happened."""
        self.counts[metric.name, *labels] += by

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Say how much there is of something."""
        self.gauges[metric.name, *labels] = value

    def time(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Note how long something took."""
        key = (metric.name, *labels)
        cells = self.timings.get(key)
        if cells is None:
            cells = self.timings[key] = [0] * (len(BOUNDS) + 1) + [0.0]
        cells[bisect_left(BOUNDS, seconds)] += 1
        cells[-1] += seconds

    def merge(self, other: Self) -> None:
        """Add what another process has counted."""
        self.counts.update(other.counts)
        for key, value in other.gauges.items():
            mine = self.gauges.get(key)
            if mine is None:
                self.gauges[key] = value
            elif key[0] in _WORST:
                self.gauges[key] = min(mine, value)
            elif key[0] in _ONE_FACT:
                self.gauges[key] = max(mine, value)
            else:
                self.gauges[key] = mine + value
        for key, cells in other.timings.items():
            known = self.timings.get(key, [0] * len(cells))
            self.timings[key] = [a + b for a, b in zip(known, cells, strict=True)]

    def without_gauges(self) -> "Tally":
        """Return what remains of a process that has ended: what it counted, not what it had."""
        rest = Tally()
        rest.counts, rest.timings = self.counts, self.timings
        return rest

    def encode(self) -> bytes:
        """Return it as octets, for another process."""
        parts = ([*self.counts.items()], [*self.gauges.items()], [*self.timings.items()])
        return msgspec.msgpack.encode(parts)

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """Read what `encode` made of another tally."""
        self = cls()
        counts, gauges, timings = msgspec.msgpack.decode(encoded, type=_Encoded)
        self.counts = Counter(dict(counts))
        self.gauges = dict(gauges)
        self.timings = dict(timings)
        return self


_Encoded = tuple[
    list[tuple[tuple[str, ...], int]],
    list[tuple[tuple[str, ...], float]],
    list[tuple[tuple[str, ...], list[float]]],
]


def page(tally: Tally, accept: str = "") -> tuple[bytes, str]:
    """Return the tally as Prometheus wants it, and the type of that content. `accept` as in the request."""
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415 - commands that count nothing go without

    try:
        encode, content_type = choose_encoder(accept)
    except TypeError:  # it compares versions, and this one is no number
        encode, content_type = choose_encoder("")
    return encode(_Page(tally)), content_type


class _Page:
    """What prometheus_client takes for a registry."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Any]:
        from prometheus_client import metrics_core as families  # noqa: PLC0415 - as above

        for metric in METRICS:
            if metric.type is Type.COUNTER:
                family: Any = families.CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
                for labels, count in self._of(metric, self._tally.counts.items()):
                    family.add_metric(labels, count)
            elif metric.type is Type.GAUGE:
                family = families.GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
                for labels, value in self._of(metric, self._tally.gauges.items()):
                    family.add_metric(labels, value)
            else:
                family = families.HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
                for labels, cells in self._of(metric, self._tally.timings.items()):
                    family.add_metric(labels, *_buckets(cells))
            yield family

    @staticmethod
    def _of(metric: Metric, items: Iterable[tuple[Key, Any]]) -> list[tuple[Key, Any]]:
        found = [(key[1:], value) for key, value in items if key[0] == metric.name]
        if metric.type is Type.COUNTER and len(metric.labels) < 2:
            zeros: dict[Key, Any] = {(value,): 0 for value in metric.known} or {(): 0}
            found = [*(zeros | dict(found)).items()]
        return sorted(found)


def _buckets(cells: list[float]) -> tuple[list[tuple[str, float]], float]:
    total, buckets = 0.0, []
    for bound, count in zip([*map(str, BOUNDS), "+Inf"], cells[:-1], strict=True):
        total += count
        buckets.append((bound, total))
    return buckets, cells[-1]
