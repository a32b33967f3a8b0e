from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from bounced.core.model import Category, Severity
from bounced.core.policy import (
    EFFECTS,
    LETTERS,
    SEEN_LIMIT,
    SKEW,
    Change,
    Effect,
    Period,
    Policy,
    Result,
    State,
    What,
    apply,
    decide,
)

POLICY = Policy()
NOW = int(datetime(2026, 8, 31, 12, 30, tzinfo=UTC).timestamp())
END = int(datetime(2027, 2, 28, 12, 30, tzinfo=UTC).timestamp())  # six calendar months later


def play(*changes, policy=POLICY, now=NOW, record=None) -> Any:
    """Apply changes one after the other; return the record and the last outcome."""
    outcome = None
    for change in changes:
        record, outcome = apply(record, decide(change, policy, now))
    return record, outcome


def soft(message, **fields) -> Change:
    return Change("jane@example.org", What.SOFT, message, category=Category.FULL_MAILBOX, **fields)


def hard(message, **fields) -> Change:
    return Change("jane@example.org", What.HARD, message, category=Category.INVALID_MAILBOX, **fields)


def delivered(message="", **fields) -> Change:
    return Change("jane@example.org", What.DELIVERED, message, **fields)


RELEASE = Change("jane@example.org", What.RELEASE)


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("6 months", "2026-08-31T12:30:00", "2027-02-28T12:30:00"),
        ("6 months", "2027-08-31T00:00:00", "2028-02-29T00:00:00"),
        ("6 months", "2026-01-15T23:59:59", "2026-07-15T23:59:59"),
        ("1 month", "2026-12-31T00:00:00", "2027-01-31T00:00:00"),
        ("12 months", "2028-02-29T00:00:00", "2029-02-28T00:00:00"),
        ("180 days", "2026-01-01T00:00:00", "2026-06-30T00:00:00"),
        (" 1 day ", "2026-12-31T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_a_period_follows_the_calendar_of_utc(period, start, end):
    began = datetime.fromisoformat(start).replace(tzinfo=UTC)
    ended = Period.parse(period).after(int(began.timestamp()))
    assert datetime.fromtimestamp(ended, UTC) == datetime.fromisoformat(end).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "6", "months", "0 months", "1201 months", "0 days", "99999 days", "-1 days"]
)
def test_what_is_no_period_says_what_is_wanted(text):
    with pytest.raises(ValueError, match='write "6 months" or "180 days"'):
        Period.parse(text)


def test_only_a_wrong_address_is_hard_unless_the_operator_says_so():
    hard_ones = {category for category in Category if POLICY.severity_of(category) is Severity.HARD}
    assert hard_ones == {Category.INVALID_MAILBOX, Category.INVALID_DOMAIN}
    policy = Policy(severity={Category.INACTIVE_MAILBOX: Severity.HARD, Category.OTHER: Severity.RECORD})
    assert policy.severity_of(Category.INACTIVE_MAILBOX) is Severity.HARD
    assert policy.severity_of(Category.OTHER) is Severity.RECORD
    assert policy.severity_of(Category.FULL_MAILBOX) is Severity.SOFT


def test_the_table_has_an_effect_for_all_that_happens_in_each_state():
    assert {(what, state) for what in EFFECTS for state in EFFECTS[what]} == {
        (w, s) for w in What for s in State
    }


def test_a_hard_bounce_suppresses_for_six_months():
    record, outcome = play(soft("m1"), hard("m2", status="5.1.1", diagnostic="no", remote_mta="mx"))
    assert (outcome.result, outcome.before, outcome.after) == (Result.NEW, State.ACTIVE, State.HARD)
    assert (outcome.soft, outcome.hard_until) == (0, END)
    assert (record.reason, record.status, record.expires_at) == ("invalid-mailbox", "5.1.1", END)
    assert (record.soft_total, record.hard_total) == (1, 1)


def test_the_fifth_soft_bounce_in_a_row_is_hard():
    record, outcome = play(*(soft(f"m{i}") for i in range(4)))
    assert (outcome.after, outcome.soft, outcome.hard_until) == (State.BRINK, 4, None)
    record, outcome = play(soft("m4"), record=record)
    assert (outcome.before, outcome.after, outcome.soft) == (State.BRINK, State.HARD, 0)
    assert (record.hard_until, record.reason) == (END, "soft-limit")


def test_with_a_limit_of_one_the_first_soft_bounce_is_hard():
    assert play(soft("m"), policy=Policy(soft_limit=1))[1].after is State.HARD


def test_while_hard_soft_bounces_are_recorded_not_counted():
    record, outcome = play(hard("m1"), soft("m2"))
    assert (outcome.result, outcome.soft, record.soft_total, record.category) == (
        Result.NEW,
        0,
        1,
        "full-mailbox",
    )
    assert record.reason == "invalid-mailbox"


def test_when_the_suppression_has_ended_the_address_is_active_again():
    record, _ = play(hard("m1"))
    _, outcome = play(soft("m2"), now=END, record=record)
    assert (outcome.before, outcome.after, outcome.soft) == (State.ACTIVE, State.ACTIVE, 1)


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        (What.SOFT, What.SOFT, Result.DUPLICATE),
        (What.SOFT, What.HARD, Result.UPGRADED),
        (What.HARD, What.SOFT, Result.DUPLICATE),
        (What.RECORD, What.SOFT, Result.UPGRADED),
        (What.DELIVERED, What.SOFT, Result.NEW),
        (What.SOFT, What.DELIVERED, Result.NEW),
    ],
)
def test_a_message_counts_once_as_the_worst_that_was_said_of_it(first, second, result):
    start, _ = play(soft("another"))
    record, outcome = play(Change("j@x", first, "m"), Change("j@x", second, "m"), record=start)
    assert outcome.result is result
    assert record.soft_total + record.hard_total <= 2


def test_a_delivered_message_breaks_the_row_once():
    record, outcome = play(soft("m1"), delivered("m2"), soft("m3"), delivered("m2"))
    assert (outcome.result, outcome.soft, record.soft) == (Result.DUPLICATE, 1, 1)


def test_a_delivery_older_than_the_last_bounce_does_not_break_the_row():
    record, outcome = play(soft("m1", at=NOW - 10), delivered("m2", at=NOW - 11 - SKEW))
    assert (outcome.result, record.soft) == (Result.STALE, 1)
    assert play(delivered("m2", at=NOW - 10 - SKEW), record=record)[1].soft == 0
    log = Change("j@x", What.DELIVERED, at=NOW - 11)  # which has one clock, and no identity
    assert play(log, record=record)[1].result is Result.STALE


def test_nothing_is_kept_of_an_address_that_never_bounced():
    for change in (delivered("m"), delivered(), RELEASE):
        record, outcome = play(change)
        assert (record, outcome.result) == (None, Result.UNCHANGED)


def test_a_delivery_lifts_no_suppression():
    assert play(hard("m1"), delivered())[1].hard_until == END


def test_release_starts_afresh_and_the_same_report_does_not_undo_it():
    record, outcome = play(soft("m1"), hard("m2"), RELEASE)
    assert (outcome.before, outcome.after, record.hard_until, record.reason) == (
        State.HARD,
        State.ACTIVE,
        None,
        None,
    )
    assert play(hard("m2"), record=record)[1].result is Result.DUPLICATE
    assert play(hard("m3"), record=record)[1].after is State.HARD


def test_a_longer_suppression_stands():
    later = END + 1000
    suppress = Change("jane@example.org", What.SUPPRESS, until=later, reason="asked us to")
    record, outcome = play(suppress, hard("m"))
    assert (outcome.hard_until, record.reason, record.expires_at) == (later, "asked us to", later)
    assert play(replace(suppress, until=None))[1].hard_until == END


def test_a_late_report_keeps_what_newer_ones_said():
    record, _ = play(soft("m1", at=NOW - 5, status="4.2.2"), soft("m2", at=NOW - 9, status="4.7.1"))
    assert (record.soft, record.status, record.first_at, record.last_at) == (2, "4.2.2", NOW - 9, NOW - 5)


def test_no_event_lies_in_the_future():
    assert play(soft("m", at=NOW + 999))[0].last_at == NOW


def test_the_last_messages_are_remembered():
    policy = Policy(soft_limit=99)
    record, _ = play(*(soft(f"m{i}") for i in range(SEEN_LIMIT + 1)), policy=policy)
    assert len(record.seen) == SEEN_LIMIT
    assert play(soft("m1"), policy=policy, record=record)[1].result is Result.DUPLICATE
    assert play(soft("m0"), policy=policy, record=record)[1].result is Result.NEW


def test_what_a_stranger_wrote_is_cut_and_encodable():
    record, _ = play(soft("\udc80m", diagnostic="\udc80" + "x" * 9999))
    assert record.diagnostic.startswith("\\udc80x")
    assert len(record.diagnostic) < 600


def test_every_letter_is_ranked():
    assert sorted(LETTERS.values()) == ["d", "h", "r", "s"]
    assert all(EFFECTS[what][State.ACTIVE] is not Effect.NOTHING for what in LETTERS)
