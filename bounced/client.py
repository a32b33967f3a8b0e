"""For programs that send mail: may I send to this address? A message got through. Sign a return path.

    from bounced.client import Client

    bounced = Client("redis://127.0.0.1:6379/0")
    if bounced.check("jane@example.org") is None:
        ...                                             # send
    for address in bounced.filter(addresses):           # a hundred thousand a second and more
        ...
    bounced.delivered(["jane@example.org"])

It needs nothing but the store's URL, and `redis.prefix` and `redis.key_form` where the daemon's settings have
them. What it asks and writes is the contract of docs/redis.md: MGET of `bounced:hard:*`, HDEL
on `bounced:addr:*`. When the store does not answer in time, every method raises redis.RedisError; whether to send
then is the caller's choice. Addresses may be written in any case and with any domain name;
what stands around one ("Jane <jane@example.org>") makes it none: ValueError, and `filter` leaves it out.
"""

import secrets
import string
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, Self

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from bounced.addresses import given
from bounced.core import returnpath
from bounced.core.naming import KeyForm, hidden_name, name_of

BATCH = 1000  # addresses in one request: beyond this it gets no faster
TIMEOUT = 5.0  # seconds
VALID = timedelta(days=30)  # how long a return path holds: longer than any server tries
FOR_EVER = 253402300799  # 9999-12-31: for a key that holds no time, set by another hand

EPOCH = date(1970, 1, 1)
_MID = string.ascii_lowercase + string.digits


class _Question:
    """The keys to ask for, and what the answers mean."""

    def __init__(self, prefix: str, form: KeyForm) -> None:
        self._prefix = prefix
        self._form = form

    def keys(self, address: str) -> tuple[str, str]:
        """Of a canonical address: its own, and that of its signed return path."""
        return (
            f"{self._prefix}:hard:{name_of(address, self._form)}",
            f"{self._prefix}:hard:{hidden_name(address)}",
        )

    def about(self, written: str) -> tuple[str, str]:
        return self.keys(_canonical(written))

    def records(self, written: str) -> tuple[str, str]:
        address = _canonical(written)
        return (
            f"{self._prefix}:addr:{name_of(address, self._form)}",
            f"{self._prefix}:addr:{hidden_name(address)}",
        )

    def batches(self, addresses: Iterable[str]) -> Iterator[tuple[list[str], list[str]]]:
        """Addresses as they were written, and two keys for each; what is no address is left out."""
        each = iter(addresses)
        while batch := list(islice(each, BATCH)):
            known = [(written, address) for written in batch if (address := given(written)) is not None]
            keys = [key for _, address in known for key in self.keys(address)]
            yield [written for written, _ in known], keys


class Client:
    """Asks the store; safe to share between threads. Use it with `with`, or `close` it."""

    def __init__(self, url: str, *, prefix: str = "bounced", key_form: str = "plain") -> None:
        """`url` is one that redis.url may be, but for "embedded". Raises ValueError."""
        self._question = _Question(prefix, KeyForm(key_form))
        self._redis = _connect(url, redis, redis.cluster, Retry(NoBackoff(), 1))

    def check(self, address: str) -> int | None:
        """Until when (Unix time) to leave the address alone; None: send. Raises ValueError for no address."""
        return _until(self._get(self._question.about(address)))

    def filter(self, addresses: Iterable[str]) -> Iterator[str]:
        """Those of the addresses that may be sent to, as they were written, in order, as they come.

        What is no address is left out.
        """
        for written, keys in self._question.batches(addresses):
            yield from _sendable(written, self._get(keys))

    def delivered(self, addresses: Iterable[str]) -> None:
        """Note that a message got through to each: the row of soft bounces is broken.

        Raises ValueError for what is no address; those before it may have been noted.
        """
        each = iter(addresses)
        while batch := list(islice(each, BATCH)):
            with self._redis.pipeline(transaction=False) as pipeline:
                for key in (key for address in batch for key in self._question.records(address)):
                    pipeline.hdel(key, "soft")
                pipeline.execute()

    def close(self) -> None:
        """Close all connections."""
        for each in (self._redis, *_sentinels(self._redis)):
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _get(self, keys: Sequence[str]) -> list[bytes | None]:
        if not keys:
            return []
        ask = getattr(self._redis, "mget_nonatomic", self._redis.mget)  # a cluster's keys lie apart
        return list(ask(keys))


class AsyncClient:
    """The same for asyncio. Use it with `async with`, or `aclose` it."""

    def __init__(self, url: str, *, prefix: str = "bounced", key_form: str = "plain") -> None:
        """`url` is one that redis.url may be, but for "embedded". Raises ValueError."""
        self._question = _Question(prefix, KeyForm(key_form))
        retry = AsyncRetry(NoBackoff(), 1)
        self._redis = _connect(url, redis.asyncio, redis.asyncio.cluster, retry)

    async def check(self, address: str) -> int | None:
        """Until when (Unix time) to leave the address alone; None: send. Raises ValueError for no address."""
        return _until(await self._get(self._question.about(address)))

    async def filter(self, addresses: Iterable[str]) -> AsyncIterator[str]:
        """Those of the addresses that may be sent to, as they were written, in order, as they come.

        What is no address is left out.
        """
        for written, keys in self._question.batches(addresses):
            for address in _sendable(written, await self._get(keys)):
                yield address

    async def delivered(self, addresses: Iterable[str]) -> None:
        """Note that a message got through to each: the row of soft bounces is broken.

        Raises ValueError for what is no address; those before it may have been noted.
        """
        each = iter(addresses)
        while batch := list(islice(each, BATCH)):
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key in (key for address in batch for key in self._question.records(address)):
                    pipeline.hdel(key, "soft")
                await pipeline.execute()

    async def aclose(self) -> None:
        """Close all connections."""
        for each in (self._redis, *_sentinels(self._redis)):
            await each.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    async def _get(self, keys: Sequence[str]) -> list[bytes | None]:
        if not keys:
            return []
        ask = getattr(self._redis, "mget_nonatomic", self._redis.mget)
        return list(await ask(keys))


def sign(
    address: str, domain: str, *, kid: str, key: bytes, mid: str | None = None, expires: date | None = None
) -> str:
    """The signed return path of a message to `address`: to be its envelope sender. docs/return-path.md.

    `mid` names the message: twelve of a-z and 0-9, the same on every retry; None: a random one, so keep what
    is returned. `expires` is the last day on which it holds; None: thirty days from now. Raises ValueError.
    """
    return returnpath.sign(
        _canonical(address),
        domain,
        kid=kid,
        key=key,
        mid=mid or "".join(secrets.choice(_MID) for _ in range(12)),
        expires=day_of(expires or datetime.now(UTC).date() + VALID),
    )


def day_of(day: date) -> int:
    """The number of a day since 1970, as a return path holds it."""
    return (day - EPOCH).days


def _connect(url: str, servers: Any, cluster: Any, retry: Any) -> Any:  # noqa: ANN401 - two kinds of each
    """A client of `servers` (redis, redis.asyncio) that connects when first used."""
    options: dict[str, Any] = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, "protocol": 2}
    # Retried once: the server may have closed an idle connection.
    if "+" not in url.partition("://")[0]:
        return servers.Redis.from_url(url, retry=retry, **options)
    from bounced.settings.places import Kind, Place  # noqa: PLC0415 - for these only, as it takes its time

    place = Place.parse(url)
    options |= {"ssl": place.tls, **(place.options or {} if place.tls else {})}
    known = options | {"username": place.username, "password": place.password}
    if place.kind is Kind.CLUSTER:
        return cluster.RedisCluster(
            startup_nodes=[cluster.ClusterNode(*address) for address in place.addresses], **known
        )
    # User and password are the servers'; Sentinels here are asked without.
    sentinels = servers.Sentinel(
        [tuple(address) for address in place.addresses], sentinel_kwargs=options, **known
    )
    return sentinels.master_for(place.service, db=place.db, retry=retry)


def _sentinels(client: Any) -> list[Any]:  # noqa: ANN401 - two kinds of each
    """The connections to Sentinels that a client has beside its own."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return list(manager.sentinels) if manager else []


def _canonical(written: str) -> str:
    address = given(written)
    if address is None:
        raise ValueError(f"{written!r} is not an address")
    return address


def _until(values: Sequence[bytes | None]) -> int | None:
    times = [int(value) if value.isdigit() else FOR_EVER for value in values if value is not None]
    return max(times, default=None)


def _sendable(written: Sequence[str], values: Sequence[bytes | None]) -> Iterator[str]:
    pairs = zip(values[::2], values[1::2], strict=True)
    return (
        address
        for address, (own, hidden) in zip(written, pairs, strict=True)
        if own is None and hidden is None
    )
