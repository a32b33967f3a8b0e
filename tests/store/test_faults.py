"""A store that is down, frozen or refuses: one error, its cause in words, nothing half done."""

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bounced.core.policy import Outcome, Policy, Result
from bounced.store import Store, StoreUnavailable
from bounced.store.commit import COMMIT_SECONDS, QUEUE
from bounced.store.server import REDIRECTIONS, Server
from tests import certificates
from tests.redis_server import wait_for
from tests.store.proxy import Proxy
from tests.store.refusals import REFUSALS
from tests.store.test_store import HARD, HASH, JANE, hard, soft

DOCUMENT = Path(__file__).parents[2] / "docs" / "redis.md"


async def opened(url) -> Store:
    return await Store.open(url, "bounced", Policy(), Path("unused"))


async def cause(store, *changes) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        await store.record(changes or [hard("m")])
    return caught.value.cause


async def confirmed(store, change, seconds=5.0) -> Outcome:
    """Repeat a report, as its sender does, until it is confirmed."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                outcomes: list[Outcome] = await store.record([change])
            except StoreUnavailable:
                await asyncio.sleep(0.01)
            else:
                return outcomes[0]


async def record_after_closings(store, close: Callable[[], None], turns) -> None:
    """Record, each time after all connections were closed and the loop has had so many turns."""
    for i in range(20):
        close()
        for _ in range(turns):
            await asyncio.sleep(0)
        assert (await store.record([hard(f"m{i}")]))[0].result is Result.NEW


def calls(client) -> int:
    return int(client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


def test_a_frozen_store_changes_nothing_when_it_wakes_up(own_server):
    async def scenario() -> None:
        store = await opened(own_server.url)
        await store.record([soft("m", "other@example.org")])
        with own_server.client() as client:
            before = calls(client)
            own_server.freeze()
            started = time.monotonic()
            causes = await asyncio.gather(*(cause(store, hard(f"m{i}")) for i in range(3)))
            assert set(causes) == {"no answer in time"}
            assert time.monotonic() - started < 10
            own_server.thaw()
            wait_for(lambda: calls(client) > before)  # the late call has been made
            assert client.exists(HASH, HARD) == 0
        outcome = await confirmed(store, hard("m0"))
        assert outcome.result is Result.NEW
        await store.close()

    asyncio.run(scenario())


def test_a_server_that_was_restarted_is_found_again(own_server):
    async def scenario() -> Any:
        store = await opened(own_server.url)
        await store.record([soft("m0")])
        own_server.kill()
        assert "no connection" in await cause(store)
        own_server.start()
        outcome = await confirmed(store, soft("m1"))
        await store.close()
        return outcome

    assert asyncio.run(scenario()).soft == 1  # this server kept nothing


@pytest.mark.parametrize("word", REFUSALS)
def test_a_refusal_is_named_and_changes_nothing_and_is_over_when_it_is_over(own_server, word):
    async def scenario() -> None:
        store = await opened(own_server.url)
        await store.record([soft("m0", "other@example.org")])
        with REFUSALS[word](own_server):
            said = await cause(store)
            assert word in said or (word == "NOAUTH" and "authentication refused" in said)
        with own_server.client() as client:
            assert client.exists(HASH, HARD) == 0
        outcome = await confirmed(store, hard("m"))
        assert outcome.result is Result.NEW
        await store.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("turns", [0, 1, 2, 20])
def test_a_connection_that_was_closed_meanwhile_costs_nothing(server, turns):
    """Whether the loop has had the turns to see it or not."""

    async def scenario() -> None:
        store = await opened(f"redis://127.0.0.1:{server.port}/0")
        await record_after_closings(store, server.hang_up, turns)
        await store.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("turns", [0, 1, 2, 20])
def test_a_tls_session_that_was_ended_meanwhile_costs_nothing(server, turns, tmp_path):
    """Its end is seen before that of the socket."""
    certificate, key = certificates.make(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    query = f"ssl_ca_certs={certificate}&ssl_check_hostname=false"

    async def scenario() -> None:
        async with Proxy.before(server.port, tls) as network:
            store = await opened(f"rediss://127.0.0.1:{network.port}/0?{query}")
            await record_after_closings(store, network.end, turns)
            await store.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("turns", [0, 1, 2, 20])
def test_a_connection_that_was_reset_meanwhile_costs_nothing(server, turns):
    async def scenario() -> None:
        async with Proxy.before(server.port) as network:
            store = await opened(f"redis://127.0.0.1:{network.port}/0")
            await record_after_closings(store, network.reset, turns)
            await store.close()

    asyncio.run(scenario())


def test_what_comes_too_late_is_not_sent(server):
    async def scenario() -> None:
        node = Server(f"redis://127.0.0.1:{server.port}/0")
        now = asyncio.get_running_loop().time()
        await node.ping(now + 5)
        [reply] = await node.run([("SET", HARD, "1")], now - 1)
        assert isinstance(reply, StoreUnavailable)
        await node.close()

    asyncio.run(scenario())
    with server.client() as client:
        assert not client.exists(HARD)


TRY_AGAIN = "TRYAGAIN Multiple keys request during rehashing of slot"


@pytest.mark.parametrize(("times", "result"), [(REDIRECTIONS, Result.NEW), (REDIRECTIONS + 1, None)])
def test_a_slot_that_is_being_moved_is_asked_again_for_a_while(server, times, result):
    """TRYAGAIN is for commands on several keys, of which we have none: so no real cluster says it to us."""

    async def scenario() -> None:
        async with Proxy.before(server.port) as network:
            store = await opened(f"redis://127.0.0.1:{network.port}/0")
            await store.ping()
            network.refuse(*[TRY_AGAIN] * times)
            if result is None:
                assert "TRYAGAIN" in await cause(store)
            else:
                assert (await store.record([hard("m")]))[0].result is result
            assert (await confirmed(store, hard("m"))).result is (Result.DUPLICATE if result else Result.NEW)
            await store.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("hour", [-3600, 3600])
def test_a_clock_that_was_set_is_measured_again(own_server, hour):
    """As if the server's had been put forward, or back: the time of a decision follows with the next reply."""

    async def scenario() -> None:
        store = await opened(own_server.url)
        await store.ping()
        [node] = store._server._topology.nodes()
        assert node._ahead is not None
        node._ahead += hour
        [outcome] = await store.record([hard("m")])
        assert outcome.result is Result.NEW
        await store.record([hard("m2")])
        with own_server.client() as client:
            assert abs(int(client.hget(HASH, "last_at")) - client.time()[0]) <= max(hour, 2)
            assert int(client.time()[0]) - await node.now(asyncio.get_running_loop().time() + 1) in {0, 1}
        await store.close()

    asyncio.run(scenario())


def documented_rights(of: str, until: str) -> list[str]:
    """What an ACL user must be given, as ACL SETUSER takes it: what the document names between these words."""
    rights = re.search(f"{of}(.*?){until}", DOCUMENT.read_text(), re.DOTALL)
    assert rights is not None
    quoted = [" ".join(names.split()) for names in re.findall(r"`([A-Z \n]+)`", rights[1])]
    of_two_words = {"SCRIPT LOAD", "CONFIG GET", "CLUSTER SLOTS"}
    names = [name for each in quoted for name in ([each] if each in of_two_words else each.split())]
    return [
        f"+{name.lower().replace(' ', '|')}" for name in names if name != "WAITAOF"
    ]  # newer than some servers


def test_the_documented_rights_suffice(own_server):
    with own_server.client() as client:
        allowed = documented_rights("The user of the daemon needs", ";")
        client.execute_command("ACL", "SETUSER", "daemon", "on", ">secret", "~bounced:*", *allowed)

    async def scenario() -> None:
        store = await opened(own_server.url.replace("redis://", "redis://daemon:secret@"))
        await store.ping()
        await store.record([soft("m1"), hard("m2")])
        await store.delivered([JANE])
        await store.suppress(JANE)
        assert await store.check([JANE]) != [None]
        await store.release(JANE)
        assert await store.lookup(JANE) is not None
        await store.close()

    asyncio.run(scenario())


def test_a_write_that_fails_after_the_hash_is_made_good_later(own_server):
    async def scenario() -> None:
        store = await opened(own_server.url)
        with own_server.client() as client:
            client.set("bounced:events", "not a stream")
            assert "WRONGTYPE" in await cause(store)
            assert client.hget(HASH, "seen").endswith("h?")
            client.delete("bounced:events")
            [outcome] = await store.record([hard("m")])
            assert outcome.result is Result.DUPLICATE
            assert client.get(HARD) == client.hget(HASH, "hard_until")
            assert client.xlen("bounced:events") == 1
            assert client.hget(HASH, "seen").endswith("h.")
        await store.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("credentials", ["", ":wrong-secret@", "nobody:wrong-secret@"])
def test_a_refused_password_is_named_but_not_told(own_server, credentials):
    with own_server.client() as client:
        client.config_set("requirepass", "right-secret")

    async def scenario() -> Any:
        store = await opened(own_server.url.replace("redis://", f"redis://{credentials}"))
        said = await cause(store)
        await store.close()
        return said

    said = asyncio.run(scenario())
    assert "authentication refused" in said
    assert "secret" not in said


def test_a_store_that_cannot_keep_up_refuses_at_once(own_server):
    async def scenario() -> None:
        store = await opened(own_server.url)
        await store.ping()
        own_server.freeze()
        changes = [soft("m", f"a{i}@example.org") for i in range(QUEUE)]
        waiting = asyncio.create_task(store.record(changes))
        await asyncio.sleep(0)
        assert "cannot keep up" in await cause(store)
        own_server.thaw()
        with contextlib.suppress(StoreUnavailable):
            await waiting
        await store.close()

    asyncio.run(scenario())


def test_a_caller_that_goes_away_takes_nobody_with_it(own_server):
    async def scenario() -> None:
        store = await opened(own_server.url)
        gone = [asyncio.create_task(store.record([soft(f"m{i}")])) for i in range(3)]
        stays = asyncio.create_task(store.record([soft("m", "joe@example.org")]))
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        [outcome] = await stays
        assert outcome.result is Result.NEW
        await store.close()

    asyncio.run(scenario())


def test_reads_fail_with_the_same_error(own_server):
    async def scenario() -> None:
        store = await opened(own_server.url)
        own_server.kill()
        for read in (store.ping(), store.lookup(JANE), store.check([JANE])):
            with pytest.raises(StoreUnavailable, match="no connection"):
                await read
        await store.close()

    asyncio.run(scenario())


def test_while_a_server_is_down_all_are_refused_at_once_and_then_none(own_server):
    async def scenario() -> None:
        store = await opened(own_server.url)
        await store.ping()
        own_server.freeze()
        assert await cause(store) == "no answer in time"
        started = time.monotonic()
        refused = await asyncio.gather(
            *(store.record([hard(f"m{i}")]) for i in range(5000)), return_exceptions=True
        )
        assert all(isinstance(error, StoreUnavailable) for error in refused)
        assert time.monotonic() - started < COMMIT_SECONDS  # nobody has waited
        own_server.thaw()
        await confirmed(store, hard("m"), 3)
        await store.close()

    asyncio.run(scenario())
