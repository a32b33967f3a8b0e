"""A server that syncs each write is killed again and again under load: what was confirmed is there, once."""

import asyncio
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from bounced.settings.schema import Durability
from bounced.settings.schema import Redis as Settings
from bounced.store import Store
from tests.redis_server import BINARIES, RedisServer
from tests.store.load import ENDLESS, Load


@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("binary", sorted(BINARIES))
def test_a_server_killed_under_load_keeps_what_was_confirmed(binary, kills, tmp_path, capsys):
    server = RedisServer(BINARIES[binary], tmp_path, appendonly="yes", appendfsync="always")
    chance = random.Random(kills)

    async def scenario() -> Any:
        settings = Settings(durability=Durability.ALWAYS)
        store = await Store.open(server.url, "bounced", ENDLESS, Path("unused"), settings=settings)
        async with Load.on(store) as load:
            for _ in range(kills):
                await load.confirm(chance.randrange(1, 60))
                os.kill(server.process.pid, signal.SIGKILL)
                await asyncio.to_thread(server.process.wait, 10)
                await asyncio.to_thread(server.start)
            await load.confirm(50)
        accounts = await load.accounts()
        await store.close()
        return accounts

    accounts = asyncio.run(scenario())
    server.kill()
    with capsys.disabled():
        print(f"\n{binary}, {kills} kills: {accounts}")  # noqa: T201
    assert (accounts["lost"], accounts["twice"]) == (0, 0)
