"""What noting one bounce costs the event loop, in microseconds: its log line, its numbers, what alarms need of it.

.venv/bin/python benchmarks/watch.py
"""

import sys
import time
import timeit
from collections.abc import Callable

from bounced import events
from bounced.alarms import Alarms, Failure
from bounced.core.model import Action, Category, Kind, Reading, Report, Severity, Verdict
from bounced.core.policy import Outcome, Result, State
from bounced.settings import Addresses, Settings
from bounced.settings.schema import Alarms as Thresholds
from bounced.settings.schema import Log

NUMBER, ROUNDS = 5000, 9
FACTS = {"peer": "192.0.2.1:25", "took_ms": 1.0, "proven": False}
VERDICT = Verdict(
    recipient="jane.doe@example.org",
    final_recipient="jane.doe@example.org",
    action=Action.FAILED,
    status="5.1.1",
    smtp_reply="550",
    diagnostic="550 5.1.1 <jane.doe@example.org>: Recipient address rejected: User unknown",
    remote_mta="mx.example.org",
    category=Category.INVALID_MAILBOX,
    severity=Severity.HARD,
    rule="user-unknown",
)
READING = Reading(
    Report(Kind.BOUNCE, reporting_mta="relay.example.net"), (VERDICT,), "<letter@app.example.com>"
)
OUTCOME = Outcome(Result.NEW, State.ACTIVE, State.HARD, 0, 1795323623)


def note() -> None:
    """What intake notes of a report on one recipient."""
    events.report_read(Kind.BOUNCE, read=0.0004, store=0.002, whole=0.0025)
    events.bounce_recorded(FACTS, READING, VERDICT, OUTCOME)


def told(name: str, call: Callable[[], object], number: int = NUMBER) -> None:
    best = min(timeit.repeat(call, number=number, repeat=ROUNDS, timer=time.thread_time)) / number
    print(f"{name:34} {best * 1e6:6.2f} us", file=sys.stderr)


def main() -> None:
    for addresses in Addresses:
        events.configure(Settings(log=Log(addresses=addresses)))
        told(f"log and numbers, addresses {addresses}", note)
        events.failures.clear()
    told("numbers only", lambda: events.report_read(Kind.BOUNCE, read=0.0004, store=0.002, whole=0.0025))
    alarms = Alarms(Thresholds(), 0)
    failure = Failure(1, "example.org", "other", Category.INVALID_MAILBOX)
    told("alarms", lambda: alarms.failed([failure]))


if __name__ == "__main__":
    main()
