"""`bounced serve`, whose processor time is told by area at its end: python -m benchmarks.end_to_end.sampling FILE ...

Every millisecond of processor time the stack is looked at. The innermost frame in a file of AREAS tells where the time
goes; what it calls in the kernel and in libraries is its own. The counts are written to FILE as JSON.
"""

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from bounced.cli import main

INTERVAL = 0.001
AREAS = {
    "bounced/core/mime": "MIME",
    "bounced/core/message": "MIME",
    "bounced/core/report": "report",
    "bounced/core/recipients": "report",
    "bounced/core/notice": "report",
    "bounced/core/classify": "rules",
    "bounced/core/ruleset": "rules",
    "bounced/core/text": "rules",
    "bounced/core": "reading, other",
    "bounced/listener/data": "DATA",
    "bounced/listener": "dialogue",
    "bounced/store": "Redis",
    "redis/": "Redis",
    "bounced/events": "log",
    "structlog/": "log",
    "bounced/intake": "intake",
    "asyncio/selector_events": "sockets",
    "asyncio/": "event loop",
}
counts: Counter[str] = Counter()


def area(frame: FrameType | None) -> str:
    while frame is not None:
        name = frame.f_code.co_filename
        for part, called in AREAS.items():
            if part in name:
                return called
        frame = frame.f_back
    return "other"


def sample(_number: int, frame: FrameType | None) -> None:
    counts[area(frame)] += 1


if __name__ == "__main__":
    file, *sys.argv[1:] = sys.argv[1:]
    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
    try:
        main()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        Path(file).write_text(json.dumps(counts))
