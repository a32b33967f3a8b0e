"""Undo: what was wrong goes, what was known before comes back, later evidence stays; once, and with exact counts."""

import asyncio
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from bounced.core.model import Category
from bounced.core.naming import KeyForm, hidden_name, name_of
from bounced.core.policy import Change, Policy, What
from bounced.settings.schema import Redis
from bounced.store import Store
from tests.operators.calling import call

JANE, JOE = "jane@example.org", "joe@example.org"
BAD = {"category": Category.INVALID_MAILBOX, "rule": "bad-rule", "remote_mta": "mx1.example.net"}
GOOD = {"category": Category.INVALID_MAILBOX, "rule": "user-unknown", "remote_mta": "mx.example.com"}
FULL = {"category": Category.FULL_MAILBOX, "rule": "quota"}


def hard(address, message, **said) -> Change:
    return Change(address, What.HARD, message, **said)


def soft(address, message, **said) -> Change:
    return Change(address, What.SOFT, message, **(FULL | said))


def record(url, *changes, form=KeyForm.PLAIN) -> None:
    async def work() -> None:
        store = await Store.open(url, "bounced", Policy(), Path("unused"), form)
        for change in changes:
            await store.record([change])
        await store.close()

    asyncio.run(work())


def undo(url, *options, since="1h"):
    return call("undo", f"--set=redis.url={url}", "--since", since, *options)


def standing(store, address):
    soft, until, reason = store.hmget(f"bounced:addr:{address}", "soft", "hard_until", "reason")
    assert store.get(f"bounced:hard:{address}") == until
    return int(soft or 0), until is not None, reason


def counts(output) -> dict[str, int]:
    lines = [line.split(None, 1) for line in output.splitlines() if line[:10].strip()]
    return {words: int(number.replace(",", "")) for number, words in lines if number[0].isdigit()}


HISTORIES = {
    "nothing else": ([hard(JANE, "m1", **BAD)], (0, False, None)),
    "it was hard before": ([hard(JANE, "m0", **GOOD), hard(JANE, "m1", **BAD)], (0, True, "invalid-mailbox")),
    "it became hard by another message later": (
        [hard(JANE, "m1", **BAD), hard(JANE, "m2", **GOOD)],
        (0, True, "invalid-mailbox"),
    ),
    "soft bounces before come back": (
        [soft(JANE, "m0"), soft(JANE, "m1"), hard(JANE, "m2", **BAD)],
        (2, False, None),
    ),
    "soft bounces while it was hard count": (
        [hard(JANE, "m0", **BAD), soft(JANE, "m1"), soft(JANE, "m2")],
        (2, False, None),
    ),
    "the row that it broke through": (
        [soft(JANE, f"m{n}") for n in range(4)] + [soft(JANE, "m5", **BAD)],
        (4, False, None),
    ),
    "soft bounces that make it hard without it": (
        [hard(JANE, "m0", **BAD)] + [soft(JANE, f"s{n}") for n in range(5)],
        (0, True, "soft-limit"),
    ),
    "one of the row": ([soft(JANE, "m0"), soft(JANE, "m1", **BAD), soft(JANE, "m2")], (2, False, None)),
    "a row that a delivery broke": (
        [soft(JANE, "m0"), soft(JANE, "m1", **BAD), Change(JANE, What.DELIVERED), soft(JANE, "m2")],
        (1, False, None),
    ),
    "an operator's release stays": ([hard(JANE, "m0", **BAD), Change(JANE, What.RELEASE)], (0, False, None)),
    "an operator's suppression stays": (
        [hard(JANE, "m0", **BAD), Change(JANE, What.SUPPRESS, until=4_000_000_000, reason="asked us to")],
        (0, True, "asked us to"),
    ),
    "an upgrade falls back to what the message was": (
        [soft(JANE, "m0"), hard(JANE, "m0", **BAD)],
        (1, False, None),
    ),
    "a longer suppression of another cause": (
        [Change(JANE, What.SUPPRESS, until=4_000_000_000, reason="asked us to"), hard(JANE, "m0", **BAD)],
        (0, True, "asked us to"),
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_an_address_stands_as_if_it_had_not_happened(name, valkey, store):
    changes, expected = HISTORIES[name]
    record(valkey, *changes)
    done = undo(valkey, "--rule", "bad-rule", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert standing(store, JANE) == expected
    told = store.xrevrange("bounced:events", count=1)[0][1]
    assert told["what"] == "undo"
    assert len(told["undoes"].split()) == sum(change.rule == "bad-rule" for change in changes)
    again = undo(valkey, "--rule", "bad-rule", "--yes")
    assert standing(store, JANE) == expected
    assert store.xlen("bounced:events") == len(changes) + 1, again.stdout


def test_two_undos_of_one_address_in_any_order_leave_what_is_left(valkey, store):
    other = {"category": Category.INVALID_MAILBOX, "rule": "other-rule"}
    record(valkey, soft(JANE, "m0"), hard(JANE, "m1", **BAD), soft(JANE, "m2"), hard(JANE, "m3", **other))
    undo(valkey, "--rule", "other-rule", "--yes")
    assert standing(store, JANE) == (0, True, "invalid-mailbox")
    undo(valkey, "--rule", "bad-rule", "--yes")
    assert standing(store, JANE) == (2, False, None)


def test_totals_count_no_more_what_was_undone_and_a_report_that_comes_again_counts_again(valkey, store):
    record(valkey, soft(JANE, "m0"), hard(JANE, "m1", **BAD))
    undo(valkey, "--rule", "bad-rule", "--yes")
    known = store.hgetall(f"bounced:addr:{JANE}")
    assert (known["soft_total"], known["hard_total"]) == ("1", "0")
    assert known["seen"][11::13] == "sr"
    record(valkey, soft(JANE, "m1"))  # read again by a better rule
    assert standing(store, JANE) == (2, False, None)


def test_a_row_that_a_sender_broke_stays_broken(valkey, store):
    record(valkey, soft(JANE, "m0"), soft(JANE, "m1", **BAD), soft(JANE, "m2"))
    store.hdel(f"bounced:addr:{JANE}", "soft")
    undo(valkey, "--rule", "bad-rule", "--yes")
    assert standing(store, JANE) == (0, False, None)


def test_what_events_do_not_explain_is_left_alone(valkey, store):
    record(valkey, hard(JANE, "m0", **BAD))
    store.hset(f"bounced:addr:{JANE}", "hard_until", "4000000000")
    done = undo(valkey, "--rule", "bad-rule", "--yes")
    assert done.returncode == 1
    assert "events do not explain" in done.stdout
    assert store.hget(f"bounced:addr:{JANE}", "hard_until") == "4000000000"


def test_addresses_that_keys_do_not_name_are_undone_too(valkey, store):
    record(valkey, hard(JANE, "m0", **BAD), hard(hidden_name(JOE), "m0", **BAD), form=KeyForm.SHA256)
    names = (name_of(JANE, KeyForm.SHA256), hidden_name(JOE))
    assert all(standing(store, name)[1] for name in names)
    undo(valkey, "--set=redis.key_form=sha256", "--rule", "bad-rule", "--yes")
    assert not any(standing(store, name)[1] for name in names)


@pytest.mark.parametrize(("answer", "rests"), [("n", True), ("", True), ("y", False)])
def test_at_a_terminal_it_asks(answer, rests, valkey, store):
    record(valkey, hard(JANE, "m0", **BAD))
    words = ["undo", f"--set=redis.url={valkey}", "--since", "1h", "--rule", "bad-rule"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "bounced", *words], stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.write(ours, f"{answer}\n".encode())
        assert process.wait(60) == 0
    assert b"Undo this? [y/N]" in os.read(ours, 65536)
    os.close(ours)
    os.close(theirs)
    assert standing(store, JANE)[1] == rests


def test_an_undo_that_died_half_way_is_finished(valkey, store):
    record(valkey, hard(JANE, "m0", **BAD))
    store.hset(f"bounced:addr:{JANE}", "soft", "0")  # as restore.lua leaves it
    store.hdel(f"bounced:addr:{JANE}", "hard_until", "reason")
    assert store.exists(f"bounced:hard:{JANE}")
    undo(valkey, "--rule", "bad-rule", "--yes")
    assert standing(store, JANE) == (0, False, None)
    assert store.xrevrange("bounced:events", count=1)[0][1]["what"] == "undo"


CHOICES = {
    ("--category", "invalid-mailbox"): {JANE, JOE},
    ("--category", "full-mailbox"): set(),
    ("--domain", "example.org"): {JANE, JOE},
    ("--domain", "ample.org"): set(),
    ("--domain", "org"): {JANE, JOE},
    ("--remote-mta", "example.net"): {JANE},
    ("--remote-mta", "MX.example.com"): {JOE},
    ("--rule", "bad-rule", "--rule", "user-unknown"): {JANE, JOE},
    ("--rule", "bad-rule", "--remote-mta", "example.com"): set(),
}


@pytest.mark.parametrize("options", CHOICES, ids=" ".join)
def test_all_options_must_hold(options, valkey, store):
    record(valkey, hard(JANE, "m0", **BAD), hard(JOE, "m0", **GOOD))
    undo(valkey, *options, "--yes")
    assert {address for address in (JANE, JOE) if not standing(store, address)[1]} == CHOICES[options]


def test_only_what_was_recorded_in_time_is_undone(valkey, store):
    record(valkey, hard(JANE, "m0", **BAD))
    undo(valkey, "--until", "30m", "--rule", "bad-rule", "--yes")
    assert standing(store, JANE)[1]


def test_a_dry_run_counts_the_same_and_changes_nothing(valkey, store):
    bad = [hard(f"a{n}@example.org", "m0", **BAD) for n in range(450)]
    record(valkey, *(hard(f"a{n}@example.org", "m1", **GOOD) for n in range(20)), *bad)
    before = {key: store.dump(key) for key in store.keys("*")}
    for options in (["--dry-run"], []):
        dry = undo(valkey, "--rule", "bad-rule", *options)
        assert "Nothing was changed" in dry.stdout
    assert {key: store.dump(key) for key in store.keys("*")} == before
    done = undo(valkey, "--rule", "bad-rule", "--yes")
    told = counts(done.stdout)
    assert told["of them at rest before"] == 450
    assert told["of them at rest now"] == 20 == len(store.keys("bounced:hard:*"))
    assert told["may be sent to again"] == 430
    [stats] = store.keys("bounced:stats:*")
    assert store.hmget(stats, "suppressed", "released") == ["450", "430"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--category, --domain, --rule or --remote-mta"),
        (("--until", "yesterday", "--rule", "x"), "2026-11-22T03:10"),
    ],
)
def test_what_cannot_be_meant_is_refused(valkey, options, words):
    done = undo(valkey, *options)
    assert done.returncode == 64
    assert words in done.stderr


def test_what_a_daemon_has_counted_and_not_told_of_yet_is_not_lost(valkey, store):
    record(valkey, hard(JANE, "m0", **BAD), hard(JANE, "m1", **GOOD))
    # As it is between the first pipeline of a commit, which counts m1, and the second, which tells of it.
    [(event, _)] = store.xrevrange("bounced:events", count=1)
    store.xdel("bounced:events", event)
    seen = store.hget(f"bounced:addr:{JANE}", "seen")
    store.hset(f"bounced:addr:{JANE}", "seen", f"{seen[:-1]}?")
    assert "events do not explain" in undo(valkey, "--rule", "bad-rule", "--yes").stdout
    assert standing(store, JANE)[:2] == (0, True)
    record(valkey, hard(JANE, "m1", **GOOD))  # its sender had no 250, and comes again
    undo(valkey, "--rule", "bad-rule", "--yes")
    assert standing(store, JANE)[:2] == (0, True)


def test_reports_that_come_meanwhile_are_not_lost_and_keys_agree(valkey, store):
    """Other daemons record while an undo runs: what they say stays, and each derived key follows its hash."""
    addresses = [f"a{n}@example.org" for n in range(300)]
    record(valkey, *(hard(address, "m0", **BAD) for address in addresses))

    async def race() -> None:
        writer = await Store.open(valkey, "bounced", Policy(), Path("unused"))
        undoer = await Store.open(valkey, "bounced", Policy(), Path("unused"))
        [page] = [page async for page in undoer.archive.events()]
        wanted = {event.id for event in page.events}
        histories = await undoer.repair.histories(addresses, lambda _: None)
        coming = asyncio.gather(
            *(writer.record([hard(address, "m1", **GOOD)]) for address in addresses[:100]),
            *(writer.record([soft(address, "m2")]) for address in addresses[100:200]),
        )
        for i in range(0, 300, 50):
            await undoer.repair.undo(histories, addresses[i : i + 50], wanted, dry_run=False)
        await coming
        # Who was busy all the time, or was told of too late, is done when it is run again.
        await undoer.repair.undo(histories, addresses, wanted, dry_run=False)
        await writer.close()
        await undoer.close()

    asyncio.run(race())
    for n, address in enumerate(addresses):
        row, rests, _ = standing(store, address)
        assert (row, rests) == ((0, True) if n < 100 else (1, False) if n < 200 else (0, False))


def test_so_many_events_are_kept_as_the_operator_says(valkey, store):
    async def fill() -> None:
        settings = Redis(events_kept=1000)
        opened = await Store.open(valkey, "bounced", Policy(), Path("unused"), settings=settings)
        for i in range(0, 4000, 200):
            await opened.record([soft(f"a{n}@example.org", "m") for n in range(i, i + 200)])
        await opened.close()

    asyncio.run(fill())
    assert 1000 <= store.xlen("bounced:events") < 1300
    told = undo(valkey, "--set=redis.events_kept=1000", "--rule", "none")
    assert "what was before it stays" in told.stderr
    words = ("--set=redis.events_kept=1000", "--since", "1h", "--html", "-")
    assert "not kept any more" in call("report", f"--set=redis.url={valkey}", *words).stdout
    assert "what was before it stays" not in undo(valkey, "--rule", "none").stderr  # as far as it knows
