"""The socketmap server, octet by octet; tests/mta has the real Postfix ask it."""

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bounced.socketmap import MAX_REQUEST, NOT_FOUND, TRY_LATER, SocketMap
from bounced.store import StoreUnavailable

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def checked(addresses) -> list[int | None]:
    return [1_900_000_000 if address.startswith("jane@") else None for address in addresses]


async def down(_addresses) -> list[int | None]:
    raise StoreUnavailable("no connection")


def talk(scenario: Callable[[SocketMap, int], Awaitable[Any]], check=checked, **options: str) -> Any:
    async def run() -> Any:
        responder = SocketMap(check, **options)
        port = await responder.listen("127.0.0.1", 0)
        try:
            return await scenario(responder, port)
        finally:
            await responder.stop()

    return asyncio.run(run())


async def reply(reader: asyncio.StreamReader) -> str:
    length = int((await reader.readuntil(b":"))[:-1])
    content = await reader.readexactly(length)
    assert await reader.readexactly(1) == b","
    return content.decode()


def netstring(text: str) -> bytes:
    return b"%d:%s," % (len(text.encode()), text.encode())


def ask(*requests: bytes, **options: Any) -> list[str]:
    async def scenario(_responder, port) -> list[str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.writelines(requests)
        replies = [await reply(reader) for _ in requests]
        writer.close()
        return replies

    replies: list[str] = talk(scenario, **options)
    return replies


@pytest.mark.parametrize(
    "key", ["jane@example.org", "Jane@EXAMPLE.org", "jane@example.org.", "jane@bücher.example"]
)
def test_a_suppressed_recipient_is_refused(key):
    [said] = ask(netstring(f"suppress {key}"))
    assert said == ("OK 550 5.1.1 mail to this address has bounced; nothing is sent to it before 2030-03-17")


@pytest.mark.parametrize("key", ["joe@example.org", "example.org", "", "jane", "\x00", "jane@exa mple"])
def test_all_others_are_not_found(key):
    assert ask(netstring(f"suppress {key}")) == [NOT_FOUND]


def test_one_connection_asks_as_often_as_it_likes():
    requests = [netstring(f"suppress {name}@example.org") for name in ("jane", "joe", "jane")]
    assert [said[:3] for said in ask(*requests)] == ["OK ", "NOT", "OK "]


@pytest.mark.parametrize("when_down", [TRY_LATER, NOT_FOUND])
def test_without_a_store_the_answer_is_the_operators(when_down):
    assert ask(netstring("suppress jane@example.org"), check=down, when_down=when_down) == [when_down]


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"%d:" % (MAX_REQUEST + 1), b"0" * 100_000, b"3:abcd", b"-1:,", b":,"],
)
def test_what_is_no_netstring_ends_the_connection_and_nothing_else(garbage):
    async def scenario(_responder, port) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(garbage)
        with contextlib.suppress(ConnectionResetError):  # hung up before all of it was read
            assert await reader.read() == b""
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(netstring("suppress joe@example.org"))
        assert await reply(reader) == NOT_FOUND
        writer.close()

    talk(scenario)


def test_a_stop_answers_who_has_asked_and_hangs_up_on_who_waits():
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def slow(addresses) -> list[int | None]:
        asked.set()
        await may_answer.wait()
        return [None for _ in addresses]

    async def scenario(responder, port) -> None:
        idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(netstring("suppress joe@example.org"))
        await asked.wait()
        stopping = asyncio.create_task(responder.stop())
        assert await idle.read() == b""
        may_answer.set()
        assert await reply(reader) == NOT_FOUND
        assert await reader.read() == b""
        await stopping
        for each in (idle_writer, writer):
            each.close()

    talk(scenario, check=slow)


class Served:
    """`bounced serve-map` on a free port."""

    def __init__(self, url: str, *options: str) -> None:
        words = ["serve-map", "--listen", "127.0.0.1:0", "--set", f"redis.url={url}", *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bounced", *words], stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        found = re.search(r"socketmap:inet:127\.0\.0\.1:(\d+)", line)
        assert found, line
        self.port = int(found[1])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(20)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status


@pytest.mark.parametrize(("when_down", "reply_begins"), [("defer", "TEMP "), ("accept", "NOTFOUND ")])
def test_the_command_serves_without_a_store_until_it_is_told_to_stop(when_down, reply_begins):
    served = Served("redis://127.0.0.1:1/0", "--when-down", when_down)

    async def scenario() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(netstring("suppress jane@example.org"))
        said = await reply(reader)
        writer.close()
        return said

    try:
        assert asyncio.run(scenario()).startswith(reply_begins)
    finally:
        started = time.monotonic()
        assert served.stop() == 0
        assert time.monotonic() - started < 10
