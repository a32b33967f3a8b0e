"""How fast returned mail is read: messages a second on one core, and microseconds a stage.

    python benchmarks/read.py [DIR]

DIR holds one message a file; without it the test messages are read. Beside it stands what Python's own
email.message_from_bytes takes to split the same messages, and nothing more.
"""

import email
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bounced import knowledge
from bounced.core import message, pipeline, recipients
from bounced.core.classify import classify
from bounced.core.mime import parse
from bounced.core.policy import Policy

MESSAGES = Path(__file__).parent.parent / "tests" / "core" / "messages"
SECONDS = (
    1.0  # of each measurement; the fastest of three passes counts, for other programs only make it slower
)

KNOWN = knowledge.load()
POLICY = Policy()


def seconds(work: Callable[[Any], object], items: Iterable[Any]) -> float:
    """The shortest time that `work` took over all of `items`."""
    items = tuple(items)
    best, end = float("inf"), time.perf_counter() + SECONDS
    passes = 0
    while passes < 3 or time.perf_counter() < end:
        began = time.perf_counter()
        for item in items:
            work(item)
        best = min(best, time.perf_counter() - began)
        passes += 1
    return best


def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES
    raws = [path.read_bytes() for path in sorted(directory.iterdir()) if path.is_file()]
    count = len(raws)
    print(f"{count} messages, {sum(map(len, raws)) / count:,.0f} octets on average")

    bare = seconds(email.message_from_bytes, raws)
    whole = seconds(lambda raw: pipeline.read(raw, KNOWN, POLICY), raws)
    print(f"email.message_from_bytes  {count / bare:9,.0f} messages/s")
    print(f"pipeline.read             {count / whole:9,.0f} messages/s   {bare / whole:.2f} times as fast")

    readings = [pipeline.read(raw, KNOWN, POLICY) for raw in raws]
    evidence = [recipients.evidence(entry, one.report) for one in readings for entry in one.report.recipients]
    stages: tuple[tuple[str, float], ...] = (
        ("parse (header only)", seconds(parse, raws)),
        ("message", seconds(lambda raw: message.read(raw, KNOWN.marks), raws)),
        ("message and notice", seconds(lambda raw: message.read(raw, KNOWN.marks).notice, raws)),
        ("recipients", seconds(lambda one: recipients.choose(one.report, 100), readings)),
        ("classify", seconds(lambda one: classify(one, KNOWN.rules), evidence)),
        ("all", whole),
    )
    for name, took in stages:
        print(f"{name:<24}{took / count * 1e6:8.0f} us a message")


if __name__ == "__main__":
    main()
