"""What undoing does: an address stands as if some of what happened to it had not, or nothing is said."""

import pytest
from msgspec.structs import replace

from bounced.core.history import UNDO, Event, Standing, without
from bounced.core.model import Category
from bounced.core.policy import Change, Policy, Record, What, apply, decide

NOW, DAY, JANE = 1_795_320_000, 86_400, "jane@example.org"
POLICY = Policy()
UNKNOWN = Category.INVALID_MAILBOX


class History:
    """Changes as they come, a day apart; their events, and the record as it stands."""

    def __init__(self) -> None:
        self.now = NOW
        self.record = Record()
        self.events: list[Event] = []

    def happens(self, what, message="", *, category=None, **more) -> str:
        """Let something happen; return the id of its event."""
        self.now += DAY
        before = self.record
        decision = decide(Change(JANE, what, message, category=category, **more), POLICY, self.now)
        after, _ = apply(before, decision)
        self.record = after or Record()
        hard = self.record.hard_until is not None
        self.events.append(
            Event(
                JANE, what, "hard" if hard else "active", self.record.soft, self.record.hard_until, self.now,
                soft_before=before.soft, hard_until_before=before.hard_until, reason_before=before.reason or "",
                reason=self.record.reason or "", category=category or "", message=decision.digest,
                id=f"{len(self.events)}-0", recorded=self.now,
            )
        )  # fmt: skip
        return self.events[-1].id

    def hard(self, message) -> str:
        return self.happens(What.HARD, message, category=UNKNOWN)

    def soft(self, message) -> str:
        return self.happens(What.SOFT, message, category=Category.FULL_MAILBOX)

    def without(self, *gone) -> Standing | None:
        return without(self.events, gone, self.record, POLICY, self.now)


@pytest.fixture
def history():
    return History()


def test_what_was_not_there_before_goes(history):
    wrong = history.hard("m1")
    (event,) = history.events
    assert (event.suppressed, event.released) == (True, False)
    standing = history.without(wrong)
    assert (standing.soft, standing.hard_until, standing.reason) == (0, None, "")
    assert standing.letters == ((event.message, "r"),)  # it is remembered, and does not count


def test_what_was_known_before_comes_back(history):
    history.soft("m1")
    history.soft("m2")
    assert history.without(history.hard("m3")).soft == 2


def test_an_address_that_was_at_rest_stays_so(history):
    history.hard("m1")
    until = history.record.hard_until
    standing = history.without(history.hard("m2"))
    assert (standing.hard_until, standing.reason) == (until, UNKNOWN)


def test_later_evidence_stays(history):
    wrong = history.hard("m1")
    history.hard("m2")
    assert history.without(wrong).hard_until == history.record.hard_until


def test_soft_bounces_that_did_not_count_while_it_was_at_rest_count(history):
    wrong = history.hard("m1")
    history.soft("m2")
    assert history.without(wrong).soft == 1


def test_an_operator_who_suppressed_it_later_is_obeyed(history):
    wrong = history.hard("m1")
    history.happens(What.SUPPRESS, until=NOW + 400 * DAY, reason="asked us to")
    standing = history.without(wrong)
    assert (standing.hard_until, standing.reason) == (NOW + 400 * DAY, "asked us to")


def test_a_release_since_then_stands(history):
    wrong = history.hard("m1")
    history.happens(What.RELEASE)
    assert history.events[-1].released
    assert history.without(wrong).hard_until is None


def test_an_earlier_undoing_happens_no_second_time(history):
    wrong = history.hard("m1")
    lifted = Event(
        JANE, UNDO, "active", 0, None, history.now, soft_before=0, hard_until_before=history.record.hard_until,
        undoes=(wrong,), id="9-0", recorded=history.now,
    )  # fmt: skip
    history.events.append(lifted)
    history.record = Record()
    assert history.without(wrong).hard_until is None


def test_a_row_that_a_sender_broke_stays_broken(history):
    history.soft("m1")
    wrong = history.soft("m2")
    history.record = replace(history.record, soft=0)  # HDEL, which no event tells
    history.soft("m3")
    assert history.without(wrong).soft == 1
    history.record = replace(history.record, soft=0)
    assert history.without(wrong).soft == 0


def test_an_event_of_before_tells_how_it_stood_when_the_next_one_does_not(history):
    history.soft("m1")
    wrong = history.hard("m2")
    history.events[1] = replace(history.events[1], soft_before=None)
    assert history.without(wrong).soft == 1


def unknown_before(history):
    history.events[0] = replace(history.events[0], soft_before=None)


def of_a_later_version(history):
    history.soft("m2")
    history.events[1] = replace(history.events[1], what="sunset")


def a_gap(history):
    history.soft("m2")
    history.events[1] = replace(history.events[1], hard_until_before=None)


def a_gap_in_the_row(history):
    history.soft("m2")
    history.events[1] = replace(history.events[1], soft_before=3)


def another_record(history):
    history.record = replace(history.record, hard_until=NOW + 300 * DAY)


@pytest.mark.parametrize(
    "spoil", [unknown_before, of_a_later_version, a_gap, a_gap_in_the_row, another_record]
)
def test_what_the_events_do_not_explain_is_left_alone(history, spoil):
    wrong = history.hard("m1")
    spoil(history)
    assert history.without(wrong) is None


def test_a_category_of_a_later_version_is_none(history):
    wrong = history.hard("m1")
    history.hard("m2")
    history.events[1] = replace(history.events[1], category="quantum-issues")
    assert history.without(wrong).hard_until == history.record.hard_until
