"""What senders and the daemon rely on, on a real server."""

import asyncio
import hashlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bounced.core.model import Category
from bounced.core.naming import KeyForm, hidden_name
from bounced.core.policy import Change, Period, Policy, Result, State, What
from bounced.store import Store, StoreUnavailable, commit
from bounced.store.store import FOR_EVER

JANE = "jane@example.org"
HASH, HARD = f"bounced:addr:{JANE}", f"bounced:hard:{JANE}"


def soft(message, address=JANE, **fields) -> Change:
    return Change(address, What.SOFT, message, category=Category.FULL_MAILBOX, status="4.2.2", **fields)


def hard(message, address=JANE, **fields) -> Change:
    return Change(address, What.HARD, message, category=Category.INVALID_MAILBOX, status="5.1.1", **fields)


def use(server, scenario, policy=None) -> Any:
    """Run `scenario(store)` on a store that is closed afterwards."""

    async def run() -> Any:
        store = await Store.open(server.url, "bounced", policy or Policy(), Path("unused"))
        try:
            return await scenario(store)
        finally:
            await store.close()

    return asyncio.run(run())


def record_each(*changes) -> Any:
    async def scenario(store):
        return [outcome for change in changes for outcome in await store.record([change])]

    return scenario


def test_five_soft_bounces_are_hard_for_exactly_six_calendar_months(server, redis):
    *earlier, last = use(server, record_each(*(soft(f"m{i}") for i in range(5))))
    assert [outcome.soft for outcome in earlier] == [1, 2, 3, 4]
    assert last.after is State.HARD
    assert redis.exists(HARD) == 1
    until = int(redis.get(HARD))
    assert redis.expiretime(HARD) == until == int(redis.hget(HASH, "hard_until")) == redis.expiretime(HASH)
    now = redis.time()[0]
    assert until in {Period(months=6).after(now - lag) for lag in range(5)}
    months = (datetime.fromtimestamp(until, UTC).month - datetime.fromtimestamp(now, UTC).month) % 12
    assert months in {5, 6}  # 5 only when a shorter month clipped the day
    assert redis.hmget(HASH, "soft", "reason", "soft_total") == ["0", "soft-limit", "5"]


def test_four_soft_bounces_and_a_delivery_leave_nothing_in_the_way(server, redis):
    async def scenario(store):
        await store.record([soft(f"m{i}") for i in range(4)])
        assert redis.hget(HASH, "soft") == "4"
        await store.delivered([JANE, "never@example.org"])
        assert redis.hget(HASH, "soft") == "0"
        await store.record([soft("m4")])
        return await store.check([JANE])

    assert use(server, scenario) == [None]
    assert redis.exists(HARD) == 0
    assert redis.exists("bounced:addr:never@example.org") == 0


def test_a_delivery_breaks_the_row_of_a_hidden_address_too(server):
    async def scenario(store):
        hidden = hidden_name(JANE)
        await store.record([soft(f"m{i}", hidden) for i in range(4)])
        assert await store.rows([JANE, "never@example.org"]) == [4, 0]
        await store.delivered([JANE])
        await store.record([soft("m4", hidden)])
        return await store.check([JANE])

    assert use(server, scenario) == [None]


@pytest.mark.parametrize("address", [JANE, hidden_name(JANE)])
def test_a_report_of_delivery_breaks_the_row_of_a_hidden_address_too(server, redis, address):
    hidden = hidden_name(JANE)

    async def scenario(store):
        await store.record([soft(f"m{i}", hidden) for i in range(4)])
        outcomes = await store.record([Change(address, What.DELIVERED, "m5"), soft("m6", "joe@example.org")])
        return len(outcomes), await store.rows([JANE])

    assert use(server, scenario) == (2, [0])
    assert redis.exists(HASH) == 0


def test_a_sender_breaks_the_row_with_hdel(server, redis):
    async def scenario(store):
        await store.record([soft(f"m{i}") for i in range(4)])
        redis.hdel(HASH, "soft")
        return await store.record([soft("m4")])

    assert use(server, scenario)[0].soft == 1


def test_the_same_report_a_hundred_times_over_ten_callers_counts_once(server, redis):
    async def scenario(store):
        other = await Store.open(server.url, "bounced", Policy(), Path("unused"))
        callers = [store.record([soft("m")]) for _ in range(50)] + [
            other.record([soft("m")]) for _ in range(50)
        ]
        outcomes = [outcome for [outcome] in await asyncio.gather(*callers)]
        await other.close()
        return outcomes

    outcomes = use(server, scenario)
    assert sorted(outcome.result for outcome in outcomes) == [Result.DUPLICATE] * 99 + [Result.NEW]
    assert redis.hmget(HASH, "soft", "soft_total") == ["1", "1"]


def test_one_report_may_name_a_recipient_twice(server, redis):
    outcomes = use(server, lambda store: store.record([hard("m"), hard("m"), hard("m", "joe@example.org")]))
    assert [outcome.result for outcome in outcomes] == [Result.NEW, Result.DUPLICATE, Result.NEW]
    assert redis.xlen("bounced:events") == 2


def test_what_is_known_can_be_looked_up(server):
    async def scenario(store):
        await store.record([hard("m", diagnostic="550 5.1.1 user unknown", remote_mta="mx.example.org")])
        return await store.lookup(JANE), await store.lookup("never@example.org")

    known, unknown = use(server, scenario)
    assert (known.reason, known.status, known.diagnostic) == (
        "invalid-mailbox",
        "5.1.1",
        "550 5.1.1 user unknown",
    )
    assert (known.hard_total, known.remote_mta, len(known.seen)) == (1, "mx.example.org", 1)
    assert known.expires_at == known.hard_until
    assert unknown is None


def test_a_soft_bounce_is_forgotten_after_the_hard_expiry(server, redis):
    use(server, record_each(soft("m")), policy=Policy(hard_expiry=Period(days=10)))
    assert 10 * 86400 - 60 < redis.ttl(HASH) <= 10 * 86400


def test_check_answers_for_many_addresses_in_order(server, redis):
    async def scenario(store):
        await store.suppress("a5@example.org", until=4_000_000_000, reason="asked us to")
        redis.set("bounced:hard:a6@example.org", "by another hand")
        return await store.check([f"a{i}@example.org" for i in range(2500)])

    answers = use(server, scenario)
    assert {i: until for i, until in enumerate(answers) if until is not None} == {
        5: 4_000_000_000,
        6: FOR_EVER,
    }


def test_release_lifts_the_suppression_and_the_row(server, redis):
    async def scenario(store):
        await store.record([hard("m")])
        await store.release(JANE)
        await store.record([hard("m")])
        return await store.check([JANE])

    assert use(server, scenario) == [None]
    assert redis.exists(HARD) == 0
    assert redis.hmget(HASH, "hard_until", "reason") == [None, None]


def test_release_removes_a_key_without_a_record(server, redis):
    redis.set(HARD, 4_000_000_000)
    assert use(server, lambda store: store.release(JANE)).result is Result.UNCHANGED
    assert redis.exists(HARD) == 0


def test_a_write_that_arrives_after_a_release_is_undone_when_the_report_comes_again(server, redis):
    async def scenario(store):
        await store.record([hard("m")])
        until, seen = redis.hmget(HASH, "hard_until", "seen")
        await store.release(JANE)
        redis.set(HARD, until)  # by a daemon that has died since, without settling the message
        redis.hset(HASH, "seen", seen.replace(".", "?"))
        return await store.record([hard("m")])

    assert use(server, scenario)[0].result is Result.DUPLICATE
    assert redis.exists(HARD) == 0


def test_the_last_twelve_messages_are_remembered(server):
    changes = [soft(f"m{i}") for i in (*range(13), 1, 0)]
    *_, remembered, forgotten = use(server, record_each(*changes), policy=Policy(soft_limit=99))
    assert (remembered.result, forgotten.result) == (Result.DUPLICATE, Result.NEW)


def test_keys_hold_no_blank_and_no_control_character(server, redis):
    strange = ['"a b\x00\r\n\u2028"@example.org', "x" * 400 + "@example.org", "jos\u00e9@example.org"]
    use(server, lambda store: store.record([hard("m", address) for address in strange]))
    assert sorted(redis.keys("bounced:hard:*")) == [
        'bounced:hard:"a%20b%00%0D%0A%E2%80%A8"@example.org',
        "bounced:hard:jos\u00e9@example.org",
        "bounced:hard:~sha256:a640eddd6bf3c0033d5e4e2b81405b1766f3b315ed6c3ad37372d728c65ce25e",
    ]


def test_each_change_is_an_event_and_each_bounce_a_count(server, redis):
    async def scenario(store):
        await store.record([soft("m1"), soft("m1"), hard("m2")])
        await store.release(JANE)

    use(server, scenario)
    events = [fields for _, fields in redis.xrange("bounced:events")]
    assert [(e["what"], e["state"], e["category"]) for e in events] == [
        ("soft", "active", "full-mailbox"),
        ("hard", "hard", "invalid-mailbox"),
        ("release", "active", ""),
    ]
    [stats] = redis.keys("bounced:stats:*")
    assert redis.hgetall(stats) == {
        "full-mailbox": "1",
        "full-mailbox:example.org": "1",
        "invalid-mailbox": "1",
        "invalid-mailbox:example.org": "1",
        "suppressed": "1",
        "released": "1",
    }
    assert redis.ttl(stats) > 399 * 86400


def test_a_record_that_somebody_broke_fails_alone(server, redis):
    redis.set("bounced:addr:broken@example.org", "a string")

    async def scenario(store):
        return await asyncio.gather(
            store.record([soft("m", "broken@example.org")]), store.record([soft("m")]), return_exceptions=True
        )

    broken, fine = use(server, scenario)
    assert isinstance(broken, StoreUnavailable)
    assert "WRONGTYPE" in broken.cause
    assert fine[0].result is Result.NEW


def test_a_server_that_forgot_the_scripts_gets_them_again(server, redis):
    async def scenario(store):
        await store.record([soft("m1")])
        redis.script_flush()
        return await store.record([soft("m2")])

    assert use(server, scenario)[0].soft == 2


def test_many_callers_share_pipelines(server):
    async def scenario(store):
        started = time.monotonic()
        await asyncio.gather(*(store.record([soft("m", f"a{i}@example.org")]) for i in range(2000)))
        return time.monotonic() - started

    assert use(server, scenario) < 5


def test_a_change_right_behind_two_batches_that_end_at_once_does_not_wait(server, redis, monkeypatch):
    monkeypatch.setattr(commit, "BATCH", 1)

    async def scenario(store):
        loop = asyncio.get_running_loop()
        await store.ping()
        longest = 0.0
        for i in range(10):
            ended = False

            async def in_step() -> None:
                while not ended:  # noqa: B023 - of this round
                    redis.ping()  # what was sent before has been answered: all replies come in one turn
                    await asyncio.sleep(0)

            async def twice(message: str) -> None:
                for address in ("a@example.org", "b@example.org"):
                    await store.record([soft(message, address)])

            keeping = asyncio.create_task(in_step())
            started = loop.time()
            await asyncio.gather(twice(f"m{i}"), store.record([soft(f"m{i}", "c@example.org")]))
            longest = max(longest, loop.time() - started)
            ended = True
            await keeping
        return longest

    assert use(server, scenario) < commit.COMMIT_SECONDS / 2


def test_of_one_message_at_the_same_time_from_many_one_event_is_told(server, redis):
    async def scenario(store):
        others = (store.record([soft("m", f"a{i}@example.org")]) for i in range(400))
        await asyncio.gather(*others, *(store.record([soft("m")]) for _ in range(400)))

    use(server, scenario)
    told = [fields for _, fields in redis.xrange("bounced:events") if fields["address"] == JANE]
    assert len(told) == 1
    assert redis.hget(HASH, "soft") == "1"


@pytest.mark.parametrize("url", ["http://example.org", "example.org", "redis+x://example.org", ""])
def test_what_is_no_url_of_a_store_is_refused(url):
    with pytest.raises(ValueError, match="redis://"):
        asyncio.run(Store.open(url, "bounced", Policy(), Path("unused")))


def test_the_url_is_shown_without_its_secret():
    secret = "rediss://u:secret@db.example.org:6390/2?ssl_check_hostname=no"

    async def url() -> str:
        return (await Store.open(secret, "b", Policy(), Path("unused"))).url

    assert asyncio.run(url()) == "rediss://db.example.org:6390/2"


def test_what_is_kept_for_a_hidden_address_counts_for_the_address(server, redis):
    async def scenario(store):
        await store.record([hard("m0", address=hidden_name(JANE))])
        before = await store.check([JANE, "joe@example.org"])
        await store.release(JANE)
        return before, await store.check([JANE])

    (jane, joe), after = use(server, scenario)
    assert jane is not None
    assert joe is None
    assert after == [None]
    assert redis.keys("bounced:hard:*") == []


def test_with_key_form_sha256_no_address_is_kept_and_the_answers_are_the_same(server, redis):
    async def scenario() -> Any:
        store = await Store.open(server.url, "bounced", Policy(), Path("unused"), KeyForm.SHA256)
        try:
            await store.record([hard("m0", diagnostic=f"550 5.1.1 <{JANE}>: user unknown")])
            return await store.check([JANE, "joe@example.org"]), await store.lookup(JANE)
        finally:
            await store.close()

    (jane, joe), record = asyncio.run(scenario())
    assert jane is not None
    assert joe is None
    assert record.diagnostic == "550 5.1.1 <*@example.org>: user unknown"
    digest = hashlib.sha256(JANE.encode()).hexdigest()
    assert redis.exists(f"bounced:hard:{digest}", f"bounced:addr:{digest}") == 2
    [(_, event)] = redis.xrange("bounced:events")
    assert event["address"] == digest
    assert "jane" not in " ".join(redis.keys())
