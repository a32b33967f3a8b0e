"""Alarms, by a clock that the test turns: what raises them, what does not, when they clear, what they may cost."""

import contextlib
import socket
import sys
from collections.abc import Iterable

import pytest

from bounced import events, metrics
from bounced.alarms import ADVICE, TRACKED, Alarms, Failure, Key, Name
from bounced.providers import OTHER, provider_of, providers
from bounced.settings import Alarms as Thresholds
from bounced.settings import Settings
from bounced.watching import PACKET, Report, Watch

MINUTE, HOUR = 60, 3600


class Day:
    """A day of mail: failures come each minute, and somebody looks."""

    def __init__(self, **thresholds: int) -> None:
        self.now = 0.0
        self.alarms = Alarms(Thresholds(**thresholds), self.now)
        self.told: list[tuple[str, Name, str, float]] = []  # raised or cleared, which, about whom, minute
        self.address = 0

    def failed(self, number: int, domain: str, category: str, *, addresses: int = sys.maxsize) -> None:
        """So many failures, of different addresses unless `addresses` are fewer."""
        provider = provider_of(domain)
        first = self.address
        self.address += number
        self.alarms.failed(
            Failure((first + n) % addresses, domain, provider, category) for n in range(number)
        )
        if number:
            self.alarms.bounced(self.now)

    def minute(self) -> None:
        self.now += MINUTE
        raised, cleared = self.alarms.look(self.now)
        for what, alarms in (("raised", raised), ("cleared", cleared)):
            for alarm in alarms:
                about = alarm.domain or alarm.provider
                self.told.append((what, alarm.name, about, self.now / MINUTE))

    def usual(self, minutes: int, rate: Iterable[tuple[int, str, str]] = ()) -> None:
        for _ in range(minutes):
            for number, domain, category in rate:
                self.failed(number, domain, category)
            self.minute()


USUAL = [
    (2, "gmail.com", "invalid-mailbox"),
    (1, "gmail.com", "reputation-issues"),
    (1, "example.org", "full-mailbox"),
]


@pytest.mark.parametrize("category", ["dmarc-issues", "reputation-issues", "blocklisting-issues"])
def test_a_storm_is_named_within_minutes_and_its_end_too(category):
    day = Day()
    day.usual(10 * 60, USUAL)
    assert day.told == []
    storm = [*USUAL, (30, "gmail.com", category)]
    day.usual(30, storm)
    day.usual(60, USUAL)
    [raised, cleared] = day.told
    assert raised[:3] == ("raised", Name.SENDER_STORM, "google")
    assert raised[3] - 600 <= 3
    assert cleared[:3] == ("cleared", Name.SENDER_STORM, "google")
    assert 630 < cleared[3] <= 630 + 20


def test_a_storm_is_told_of_as_long_as_it_lasts():
    day = Day()
    day.usual(10 * 60, USUAL)
    day.usual(4 * 60, [*USUAL, (10, "gmail.com", "dmarc-issues")])
    assert [what for what, *_ in day.told] == ["raised"]
    day.usual(2 * 60, USUAL)
    assert [what for what, *_ in day.told] == ["raised", "cleared"]


def test_an_outage_is_named_by_its_domain():
    day = Day()
    day.usual(5 * 60, USUAL)
    day.usual(5, [*USUAL, (60, "campus.example", "invalid-mailbox")])
    assert [told[:3] for told in day.told] == [("raised", Name.PROVIDER_OUTAGE, "campus.example")]
    [alarm] = day.alarms.raised.values()
    assert alarm.recipients >= 50
    assert alarm.provider == OTHER
    assert alarm.category == ""


def test_what_is_always_so_is_no_alarm():
    day = Day()
    day.usual(24 * 60, [(20, "gmail.com", "reputation-issues")])
    day.told.clear()  # the first hour of a process cannot know what is usual
    day.usual(12 * 60, [(40, "gmail.com", "reputation-issues")])
    assert day.told == []
    day.usual(15, [(250, "gmail.com", "reputation-issues")])
    assert [told[0] for told in day.told] == ["raised"]


def test_what_lasts_for_hours_after_a_start_is_taken_for_usual():
    day = Day()
    day.usual(24 * 60, [(20, "gmail.com", "reputation-issues")])
    assert [told[0] for told in day.told] == ["raised", "cleared"]
    assert day.told[1][3] < 5 * 60


def test_one_address_that_bounces_often_is_no_storm():
    day = Day()
    for _ in range(60):
        day.failed(50, "gmail.com", "dmarc-issues", addresses=10)
        day.minute()
    assert day.told == []


def test_other_failures_of_many_are_neither_storm_nor_outage():
    day = Day()
    day.usual(60, [(50, "gmail.com", "full-mailbox"), (50, "gmx.de", "connection-error")])
    assert day.told == []


def test_storms_of_two_providers_are_two():
    day = Day()
    day.usual(60, USUAL)
    day.usual(5, [(20, "gmail.com", "dmarc-issues"), (20, "yahoo.co.uk", "dmarc-issues")])
    assert {told[2] for told in day.told} == {"google", "yahoo"}


def test_a_provider_without_a_name_is_named_by_its_domain():
    day = Day()
    day.usual(5, [(20, "campus.example", "blocklisting-issues")])
    assert [told[2] for told in day.told] == ["campus.example"]


def test_the_share_of_what_no_rule_knows():
    day = Day()
    day.usual(60, [(19, "gmail.com", "full-mailbox"), (4, "gmail.com", "other")])
    assert day.told == []
    day.usual(20, [(19, "gmail.com", "full-mailbox"), (8, "gmail.com", "other")])
    assert [told[:2] for told in day.told] == [("raised", Name.UNCLASSIFIED)]
    day.usual(30, [(19, "gmail.com", "full-mailbox")])
    assert [told[0] for told in day.told] == ["raised", "cleared"]


def test_a_share_of_few_is_none():
    day = Day()
    day.usual(60, [(2, "gmail.com", "other")])
    assert day.told == []


def test_silence_when_it_is_asked_for():
    day = Day(silence=6)
    day.usual(60, USUAL)
    day.usual(5 * 60)
    assert day.told == []
    day.usual(2 * 60)
    assert [told[:2] for told in day.told] == [("raised", Name.SILENCE)]
    day.usual(1, USUAL)
    assert [told[0] for told in day.told] == ["raised", "cleared"]
    quiet = Day()
    quiet.usual(48 * 60)
    assert quiet.told == []


@pytest.mark.parametrize(
    ("setting", "category"),
    [
        ("sender_recipients", "dmarc-issues"),
        ("outage_recipients", "invalid-mailbox"),
        ("unclassified_share", "other"),
    ],
)
def test_nought_switches_an_alarm_off(setting, category):
    day = Day(**{setting: 0})
    day.usual(30, [(100, "gmail.com", category)])
    assert day.told == []


def test_thresholds_are_those_of_the_settings():
    day = Day(sender_recipients=5, window=120, rise=1)
    day.usual(60)
    day.usual(1, [(5, "gmail.com", "dmarc-issues")])
    assert [told[0] for told in day.told] == ["raised"]
    day.usual(3)
    assert [told[0] for told in day.told] == ["raised", "cleared"]


def test_a_clock_that_jumps_breaks_nothing():
    day = Day()
    day.usual(10, [(20, "gmail.com", "dmarc-issues")])
    day.now += 30 * 86400
    day.minute()
    day.minute()
    assert [told[0] for told in day.told] == ["raised", "cleared"]
    day.now -= 60 * 86400
    day.usual(10, USUAL)


def test_domains_that_strangers_invent_neither_fill_memory_nor_hide_a_storm():
    day = Day()
    day.usual(60, USUAL)
    for wave in range(5):
        for n in range(20_000):
            day.failed(1, f"d{wave}-{n}.example", "invalid-mailbox")
            if n % 100 == 0:
                day.failed(1, "gmail.com", "dmarc-issues")
        assert len(day.alarms._tracks) <= TRACKED
        day.minute()
    assert [told[2] for told in day.told] == ["google"]


def test_every_alarm_has_its_advice():
    assert set(ADVICE) == set(Name)
    assert Key(Name.SILENCE).provider == ""


@pytest.mark.parametrize(
    ("domain", "remote_mta", "provider"),
    [
        ("gmail.com", None, "google"),
        ("example.org", "aspmx.l.google.com", "google"),
        ("example.org", "ASPMX.L.GOOGLE.COM.", "google"),
        ("hotmail.co.uk", None, "microsoft"),
        ("example.org", "example-org.mail.protection.outlook.com", "microsoft"),
        ("yahoo.co.jp", "mx.example.org", "yahoo"),
        ("yahoo.phishing.example.org", None, "other"),
        ("notgoogle.com", "mx.notgoogle.com", "other"),
        ("example.org", None, "other"),
        ("", "", "other"),
    ],
)
def test_whose_mailboxes_they_are(domain, remote_mta, provider):
    assert provider_of(domain, remote_mta) == provider
    assert provider in providers()


def test_providers_make_few_labels():
    assert len(providers()) < 50


def test_a_worker_tells_all_failures_however_long_the_domains_are():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setblocking(False)
        report, watch = Report(theirs), Watch(Settings())
        domain = f"{'.'.join(['x' * 60] * 4)}.example"
        events.failures.extend(Failure(n, domain, OTHER, "invalid-mailbox") for n in range(3000))
        while left := len(events.failures):
            report.send()
            with contextlib.suppress(BlockingIOError):
                while packet := ours.recv(PACKET):
                    watch.hear(1, packet)
            assert len(events.failures) < left
        watch.look()
    assert watch.tally().gauges[metrics.ALARM.name, Name.PROVIDER_OUTAGE, OTHER] == 1
