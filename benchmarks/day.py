"""A day of returned mail, with a storm and an outage in it: through the intake into a store, then seen and repaired.

    python -m benchmarks.day [REPORTS] [DIRECTORY]

Reports of mixed causes come by the hour of a made-up day that ends now. From 09:00 of it on, one provider refuses for
DMARC and reputation; from 14:00 to 15:00 the directory of one domain is down and says "user unknown" to everybody.
What is printed: which alarms were raised and when, the addresses at rest before and after the outage was undone, by
the count of keys. The page of `bounced report` is written to DIRECTORY (default: here) before and after.
"""

import asyncio
import contextlib
import io
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple

import redis

from bounced import cli, events, knowledge
from bounced.alarms import Alarms
from bounced.commands.moments import written
from bounced.core.policy import Policy
from bounced.intake import ACCEPTED, Arrival, Intake
from bounced.quarantine import Quarantine
from bounced.reader import Reader
from bounced.settings.schema import Alarms as Thresholds
from bounced.settings.schema import Redis
from bounced.store import Store
from tests.redis_server import BINARIES, RedisServer

OUTAGE = "university.example"
STORM_HOURS, OUTAGE_HOUR = range(9, 13), 14
CALLERS = 50
EVENTS = 1_000_000  # that are kept


class Cause(NamedTuple):
    """One way to fail."""

    weight: float
    status: str
    reply: str


CAUSES = (
    Cause(24, "5.1.1", "550 5.1.1 <{to}>: Recipient address rejected: User unknown in virtual mailbox table"),
    Cause(16, "5.2.2", "552 5.2.2 <{to}>: Mailbox is over quota"),
    Cause(4, "5.1.2", "550 5.1.2 Domain {domain} does not exist"),
    Cause(8, "5.2.1", "550 5.2.1 The account {to} has been disabled"),
    Cause(9, "4.4.1", "connect to mx.{domain}[192.0.2.7]:25: Connection timed out"),
    Cause(7, "4.7.1", "451 4.7.1 Greylisting in action, please come back later"),
    Cause(8, "5.7.1", "554 5.7.1 Message considered spam by our filter, id {n}"),
    Cause(
        5, "5.7.1", "554 5.7.1 Service unavailable; Client host [192.0.2.33] blocked using zen.spamhaus.org"
    ),
    Cause(
        4,
        "5.7.26",
        "550 5.7.26 Unauthenticated email from example.com is not accepted due to domain's DMARC policy",
    ),
    Cause(4, "4.3.0", "451 4.3.0 Temporary server error, please try again later"),
    Cause(3, "5.7.1", "550 5.7.1 <{to}>: Relay access denied"),
    Cause(3, "5.4.6", "554 5.4.6 Too many hops, mail loop"),
    Cause(4, "5.3.4", "552 5.3.4 Message size exceeds fixed limit"),
    Cause(3, "4.4.7", "Delivery time expired"),
    Cause(1, "5.0.0", "550 x9-77"),
)
STORM = (
    Cause(
        3,
        "5.7.26",
        "550 5.7.26 This mail has been blocked because the sender is unauthenticated: DMARC policy",
    ),
    Cause(
        2,
        "5.7.1",
        "550 5.7.1 Our system has detected that this message is likely unsolicited mail: low reputation",
    ),
)
DOWN = Cause(1, "5.1.1", "550 5.1.1 <{to}>: Recipient address rejected: User unknown in directory")

DOMAINS = {
    "gmail.com": (30, "gmail-smtp-in.l.google.com"),
    "outlook.com": (14, "outlook-com.olc.protection.outlook.com"),
    "yahoo.com": (12, "mta5.am0.yahoodns.net"),
    "gmx.de": (8, "mx01.emig.gmx.net"),
    "web.de": (6, "mx-ha02.web.de"),
    "icloud.com": (5, "mx01.mail.icloud.com"),
    "orange.fr": (5, "smtp-in.orange.fr"),
    OUTAGE: (3, f"mx1.{OUTAGE}"),
    **{f"firm{n}.example": (17 / 40, f"mail.firm{n}.example") for n in range(40)},
}

REPORT = """\
From: MAILER-DAEMON@relay.example.net (Mail Delivery System)
To: bounces@bounces.example.com
Date: {date}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b/relay"
Message-Id: <report-{n}@relay.example.net>

--b/relay
Content-Type: text/plain

Your message to <{to}> could not be delivered: {reply}

--b/relay
Content-Type: message/delivery-status

Reporting-MTA: dns; relay{relay}.example.net

Final-Recipient: rfc822; {to}
Action: failed
Status: {status}
Remote-MTA: dns; {remote}
Last-Attempt-Date: {date}
Diagnostic-Code: smtp; {reply}

--b/relay
Content-Type: text/rfc822-headers

From: News <news@example.com>
To: {to}
Message-ID: <letter-{n}@app.example.com>

--b/relay--
"""


class Simulated(NamedTuple):
    """One report of the day."""

    at: int
    content: bytes
    outage: bool


def day(reports: int, end: int, chance: random.Random) -> Iterator[Simulated]:
    """Yield the reports, by time: 15 % storm, 10 % outage, the others of mixed causes with the day's swing."""
    swing = [3, 2, 2, 2, 2, 3, 4, 6, 8, 9, 9, 8, 7, 7, 8, 8, 7, 6, 5, 5, 4, 4, 4, 3]
    storm, outage = reports * 15 // 100, reports // 10
    hours = Counter(chance.choices(range(24), swing, k=reports - storm - outage))
    number = 0
    for hour in range(24):
        start = end - 86400 + hour * 3600
        kinds = ["mixed"] * hours[hour]
        kinds += ["storm"] * (storm // len(STORM_HOURS) if hour in STORM_HOURS else 0)
        kinds += ["outage"] * (outage if hour == OUTAGE_HOUR else 0)
        chance.shuffle(kinds)
        for n, kind in enumerate(kinds):
            number += 1
            yield _report(number, start + 3600 * n // len(kinds), kind, chance, reports)


def _report(number: int, at: int, kind: str, chance: random.Random, reports: int) -> Simulated:
    weights = [weight for weight, _ in DOMAINS.values()]
    [domain] = chance.choices(list(DOMAINS), weights)
    causes: tuple[Cause, ...] = CAUSES
    person = f"person{chance.randrange(max(10, reports // 2))}"
    if kind == "storm":
        domain, causes = "gmail.com", STORM
    elif kind == "outage":
        # One in fifty has bounced for good before: she must stay at rest when the outage is undone.
        domain, causes, person = OUTAGE, (DOWN,), f"student{number}"
    [cause] = chance.choices(causes, [cause.weight for cause in causes])
    to = f"{person}@{domain}"
    reply = cause.reply.format(to=to, domain=domain, n=number)
    content = REPORT.format(
        n=number, to=to, reply=reply, status=cause.status, remote=DOMAINS[domain][1], date=formatdate(at),
        relay=number % 4 + 1,
    )  # fmt: skip
    return Simulated(at, content.replace("\n", "\r\n").encode(), kind == "outage")


def gone_before(reports: int) -> list[str]:
    """Students whose mailbox was really gone the day before: one in fifty of all numbers that reports may have."""
    return [f"student{n}@{OUTAGE}" for n in range(1, reports + 1, 50)]


async def live(url: str, reports: int, end: int, folder: Path) -> int:
    """Let the day happen and print the alarms; return since when its reports were recorded."""
    store = await Store.open(url, "bounced", Policy(), folder, settings=Redis(events_kept=EVENTS))
    reader = Reader(knowledge.read(None), Policy(), max_recipients=100)
    intake = Intake(reader, store, Quarantine(folder))
    alarms, minute = Alarms(Thresholds(), end - 86400), end - 86400
    simulated = list(day(reports, end, random.Random(8)))
    before = [_gone(to, n) for n, to in enumerate(gone_before(reports))]
    await _accept(intake, before)
    events.failures.clear()
    began = int(time.time()) + 1
    await asyncio.sleep(began - time.time())
    started = time.monotonic()
    for i in range(0, len(simulated), CALLERS):
        batch = simulated[i : i + CALLERS]
        await _accept(intake, [each.content for each in batch])
        alarms.bounced(batch[-1].at)
        alarms.failed(list(events.failures))
        events.failures.clear()
        while minute + 60 <= batch[-1].at:
            minute += 60
            raised, cleared = alarms.look(minute)
            for word, these in (("raised", raised), ("cleared", cleared)):
                for alarm in these:
                    what = " ".join(filter(None, (alarm.provider, alarm.domain, alarm.category)))
                    print(f"{(minute - end + 86400) / 3600:5.2f} h  {word:8} {alarm.name:16} {what}")
    seconds = time.monotonic() - started
    print(f"{len(simulated):,} reports in {seconds:.0f} s: {len(simulated) / seconds:,.0f} a second")
    await store.close()
    reader.close()
    return began


def _gone(to: str, number: int) -> bytes:
    at = formatdate(time.time() - 86400 * 2)
    report = REPORT.format(
        n=f"before-{number}",
        to=to,
        reply="550 5.1.1 No such user",
        status="5.1.1",
        remote="mx",
        date=at,
        relay=1,
    )
    return report.replace("\n", "\r\n").encode()


async def _accept(intake: Intake, contents: list[bytes]) -> None:
    arrivals = [
        Arrival(content, "192.0.2.1:4711", "", ("b@bounces.example.com",), (None,)) for content in contents
    ]
    replies = await asyncio.gather(*(intake.accept(arrival) for arrival in arrivals))
    assert set(replies) <= {ACCEPTED}, replies


def at_rest(url: str) -> set[str]:
    """Return who is at rest, by the keys."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return {key.removeprefix("bounced:hard:") for key in client.scan_iter("bounced:hard:*", count=1000)}


def command(url: str, *words: str) -> str:
    """Return what a command prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = cli.main(
            [words[0], f"--set=redis.url={url}", f"--set=redis.events_kept={EVENTS}", *words[1:]]
        )
    assert status == 0, out.getvalue()
    return out.getvalue()


def run(url: str, reports: int, pages: Path, folder: Path) -> tuple[set[str], set[str], str]:
    """Let the day happen and undo the outage; return who was at rest before and after, and what undo said."""
    end = int(time.time())
    with Path(os.devnull).open("wb") as nowhere, contextlib.closing(events.configure(stream=nowhere)):
        began = asyncio.run(live(url, reports, end, folder))
    before = at_rest(url)
    command(url, "report", "--since", "24h", "--html", str(pages / "day.html"))
    said = command(
        url, "undo", "--since", written(began), "--domain", OUTAGE, "--category", "invalid-mailbox", "--yes"
    )
    command(url, "report", "--since", "24h", "--html", str(pages / "undone.html"))
    return before, at_rest(url), said


def main(reports: int, pages: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(BINARIES["valkey"], Path(folder))
        try:
            before, after, said = run(server.url, reports, pages, Path(folder))
            print(said)
            print(
                f"bounced:hard: keys before {len(before):,}, after {len(after):,}, lifted {len(before - after):,}"
            )
        finally:
            server.kill()


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 100_000,
        Path(sys.argv[2]) if len(sys.argv) > 2 else Path(),
    )
