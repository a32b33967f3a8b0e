"""Nothing confirmed is lost and nothing counts twice, whatever happens to a cluster or under Sentinels."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from bounced.core.policy import Change, What
from bounced.settings.schema import Durability
from bounced.settings.schema import Redis as Settings
from bounced.store import Store, StoreUnavailable
from tests.redis_server import BINARIES, wait_for
from tests.store.deployments import SLOTS, Cluster, SentinelTrio
from tests.store.load import ENDLESS, Load

WAIT = Settings(durability=Durability.WAIT_REPLICAS)


async def opened(url, settings=WAIT) -> Store:
    return await Store.open(url, "bounced", ENDLESS, Path("unused"), settings=settings)


def say(capsys, what, accounts) -> None:
    with capsys.disabled():
        print(f"\n{what}: {accounts}")  # noqa: T201


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(BINARIES["valkey"], tmp_path)
    yield cluster
    cluster.kill()


@pytest.fixture
def trio(request, tmp_path):
    trio = SentinelTrio(BINARIES["valkey"], tmp_path, **getattr(request, "param", {}))
    yield trio
    trio.kill()


def test_a_cluster_is_used_like_a_single_server_and_resharded_under_load(cluster, capsys):
    async def scenario() -> Any:
        store = await opened(cluster.url)
        async with Load.on(store) as load:
            keys = [f"bounced:addr:{address}" for address in load.soft] + ["bounced:events"]
            busy = {key_slot(key.encode()) for key in keys} | set(range(50))
            for slot in sorted(slot for slot in busy if slot < SLOTS // 3):
                await asyncio.to_thread(cluster.move_slot, slot, 0, 1)
            await load.confirm(200)
        accounts = await load.accounts()
        await store.close()
        return accounts

    accounts = asyncio.run(scenario())
    say(capsys, "cluster, reshard", accounts)
    assert (accounts["lost"], accounts["twice"]) == (0, 0)


def test_a_node_of_a_cluster_that_is_taken_for_a_single_server_says_how_to_name_it(cluster):
    async def scenario() -> None:
        store = await opened(cluster.url.replace("redis+cluster", "redis").partition(",")[0], Settings())
        with pytest.raises(StoreUnavailable, match=r"let redis\.url begin with redis\+cluster://"):
            await store.record([Change(f"{n}@example.org", What.SOFT, "m") for n in range(20)])
        await store.close()

    asyncio.run(scenario())


def test_a_primary_of_a_cluster_dies_under_load(cluster, capsys):
    async def scenario() -> Any:
        store = await opened(cluster.url, Settings())  # its one replica will be the primary: none to wait for
        async with Load.on(store) as load:
            cluster.nodes[0].kill()
            await asyncio.to_thread(wait_for, lambda: cluster.is_primary(3), 30)
            await load.confirm(400)
        accounts = await load.accounts()
        await store.close()
        return accounts

    accounts = asyncio.run(scenario())
    say(capsys, "cluster, a primary killed", accounts)
    assert accounts["twice"] == 0
    assert accounts["lost_within_s"] < 0.5


def test_a_cluster_fails_over_by_hand_under_load(cluster, capsys):
    async def scenario() -> Any:
        store = await opened(cluster.url)
        async with Load.on(store) as load:
            await asyncio.to_thread(cluster.run, 3, "FAILOVER")
            await asyncio.to_thread(wait_for, lambda: cluster.is_primary(3), 30)
            await load.confirm(400)
        accounts = await load.accounts()
        await store.close()
        return accounts

    accounts = asyncio.run(scenario())
    say(capsys, "cluster, fail-over by hand", accounts)
    assert (accounts["lost"], accounts["twice"]) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "replicas", "window", "trio"),  # seconds of confirmed changes that may be lost
    [
        ("killed", 1, 0, {}),
        ("frozen", 1, 0, {}),
        ("by hand", 2, 0, {}),
        ("by hand", 1, 3.0, {}),  # the old primary lives on and has a replica for a moment
        ("by hand", 1, 0.2, {"min-replicas-to-write": "2"}),  # it takes no writes when it has lost one
    ],
    indirect=["trio"],
)
def test_sentinels_fail_over_under_load(trio, how, replicas, window, capsys):
    async def scenario() -> Any:
        store = await opened(trio.url, Settings(durability=Durability.WAIT_REPLICAS, replicas=replicas))
        async with Load.on(store) as load:
            left = trio.primary()
            match how:
                case "killed":
                    left.kill()
                case "frozen":
                    left.freeze()
                case "by hand":
                    trio.fail_over()
            await asyncio.to_thread(wait_for, lambda: trio.primary() is not left, 30)
            await load.confirm(400)
        accounts = await load.accounts()
        await store.close()
        return accounts

    accounts = asyncio.run(scenario())
    say(capsys, f"Sentinels, primary {how}, {replicas} replicas", accounts)
    assert accounts["twice"] == 0
    assert accounts["lost"] == 0 or accounts["lost_within_s"] < window
