"""The servers as the store sees them: commands on keys go in, replies come out, wherever the keys are.

Whatever goes wrong comes out as StoreUnavailable, in place of the reply: on a cluster, one node that is down
fails its own keys only. A command is sent again only when a server has said that it has not run it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from redis.exceptions import AskError, MovedError, RedisError, TryAgainError

from bounced.settings.places import Address, Place
from bounced.settings.schema import Redis as Settings
from bounced.store.checks import problems
from bounced.store.connecting import Connecting
from bounced.store.faults import StoreUnavailable, cause_of, code_of
from bounced.store.node import FAILURES, PROBE_SECONDS, Call, Command, Node
from bounced.store.topology import topology

REDIRECTIONS = 5
TRY_AGAIN_SECONDS = 0.05
READ_CHUNK = 1000  # commands in one pipeline of reads

# The server that says so is not, or no longer, the one to ask.
_ELSEWHERE = frozenset({"READONLY", "MASTERDOWN", "CLUSTERDOWN"})


class Server:
    """One server, a primary under Sentinels, or a cluster; connects when first used."""

    def __init__(self, url: str, settings: Settings = Settings()) -> None:  # noqa: B008 - frozen
        """Raise ValueError when the URL is of no form that we know."""
        self._settings = settings
        self._lost = ""  # while nobody says where the keys are: why
        self._recovery: asyncio.Task[None] | None = None
        self._use(url)

    async def move(self, url: str) -> None:
        """Use the server at another URL from now on."""
        left = self._topology
        self._use(url)
        await left.close()

    def _use(self, url: str) -> None:
        place = Place.parse(url)
        self.url = place.shown
        self._topology = topology(Connecting(place, self._settings), self._look_again)

    async def run(self, commands: Sequence[Command], deadline: float, *, durable: bool = False) -> list[Any]:
        """Send commands; return for each its reply, or StoreUnavailable.

        durable: a reply means that the writes are confirmed as redis.durability says.
        """
        if self._topology.may_be_wrong:
            self._look_again()
        replies: list[Any] = [None] * len(commands)
        pending: dict[int, Node | None] = dict.fromkeys(range(len(commands)))  # the node that is to be asked
        for _ in range(REDIRECTIONS + 1):
            targets = await self._targets(commands, pending, replies, deadline)
            asked = [
                node.run([commands[i] for i in indices], deadline, durable=durable, asking=asking)
                for (node, asking), indices in targets.items()
            ]
            answers = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)
            pending = {}
            for (node, _), indices, answer in zip(targets, targets.values(), answers, strict=True):
                for i, reply in zip(indices, answer, strict=True):
                    replies[i] = reply
                    if isinstance(reply, RedisError):
                        await self._follow(node, reply, i, pending)
            if not pending:
                break
            if any(isinstance(replies[i], TryAgainError) for i in pending):
                await asyncio.sleep(TRY_AGAIN_SECONDS)
        return [
            StoreUnavailable(cause_of(r)) if isinstance(r, Exception) and isinstance(r, FAILURES) else r
            for r in replies
        ]

    async def _targets(
        self,
        commands: Sequence[Command],
        pending: dict[int, Node | None],
        replies: list[Any],
        deadline: float,
    ) -> dict[tuple[Node, bool], list[int]]:
        """Return which node is to be given which commands, and whether it is to be told that it is asked.

        One whose key nobody has gets its reply here.
        """
        if self._topology.only is not None:
            return {(self._topology.only, False): [*pending]} if pending else {}
        targets: dict[tuple[Node, bool], list[int]] = {}
        for i, asked in pending.items():
            try:
                node = asked or await self._node_of(_key_of(commands[i]), deadline)
                targets.setdefault((node, asked is not None), []).append(i)
            except StoreUnavailable as error:
                replies[i] = error
        return targets

    async def expect(self, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Like run, in chunks; raise the first error."""
        replies: list[Any] = []
        for i in range(0, len(commands), READ_CHUNK):
            replies += await self.run(commands[i : i + READ_CHUNK], deadline)
            for reply in replies[i:]:
                if isinstance(reply, StoreUnavailable):
                    raise reply
        return replies

    async def scan(self, pattern: str, deadline: Callable[[], float]) -> AsyncIterator[list[str]]:
        """Yield the keys that match, some at a time; `deadline` gives one for each request."""
        await self.ping(deadline())
        for node in self._topology.nodes():
            cursor = 0
            while True:
                command = ("SCAN", cursor, "MATCH", pattern, "COUNT", READ_CHUNK)
                [reply] = await node.run([command], deadline(), durable=False, asking=False)
                if isinstance(reply, StoreUnavailable):
                    raise reply
                if isinstance(reply, FAILURES):
                    raise StoreUnavailable(cause_of(reply))
                cursor, keys = int(reply[0]), reply[1]
                yield [key.decode("utf-8", "replace") for key in keys]
                if cursor == 0:
                    break

    async def now(self, key: str, deadline: float) -> int:
        """Return the time of the server that holds the key, Unix seconds. Raises StoreUnavailable."""
        node = self._topology.only or await self._node_of(key, deadline)
        return await node.now(deadline)

    async def ping(self, deadline: float) -> None:
        """Return when every server that holds keys answers. Raises StoreUnavailable."""
        await self._node_of("", deadline)
        await asyncio.gather(*(node.now(deadline) for node in self._topology.nodes()))

    async def problems(self, deadline: float) -> list[str]:
        """Return what is wrong with the configuration of the servers, in words. Raises StoreUnavailable."""
        await self.ping(deadline)
        found = await asyncio.gather(*(problems(node, self._settings) for node in self._topology.nodes()))
        return [problem for each in found for problem in each]

    async def close(self) -> None:
        """Close all connections."""
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        await self._topology.close()

    async def _node_of(self, key: str, deadline: float) -> Node:
        node = self._topology.node_of(key)
        if node is None:
            if self._lost:
                raise StoreUnavailable(self._lost)
            await self._find(deadline)
            node = self._topology.node_of(key)
        if node is None:
            raise StoreUnavailable("no node of the cluster serves the slot of this key")
        return node

    async def _follow(self, node: Node, error: RedisError, i: int, pending: dict[int, Node | None]) -> None:
        """Note what an error says of where keys are; make a command pending that is to be sent again."""
        if isinstance(error, TryAgainError):
            pending[i] = None
        elif isinstance(error, AskError):  # MovedError is one
            there = Address(error.host or node.address.host, error.port)
            if isinstance(error, MovedError):
                self._topology.moved(error.slot_id, there)
                self._look_again()
                pending[i] = None
            else:
                pending[i] = self._topology.node_at(there)
        elif code_of(error) in _ELSEWHERE:
            await node.forget_connections()
            self._look_again()

    async def _find(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._topology.find()
        except FAILURES as error:
            self._lost = cause_of(error)
            self._look_again()
            raise StoreUnavailable(self._lost) from error
        self._lost = ""

    def _look_again(self) -> None:
        if self._recovery is None or self._recovery.done():
            self._recovery = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        """Look for the servers once a second until all of them answer."""
        while True:
            try:
                await self._find(_now() + 2 * PROBE_SECONDS)
            except StoreUnavailable:
                pass  # each caller meanwhile is told why
            else:
                await asyncio.gather(*(node.probe() for node in self._topology.nodes()))
            await asyncio.sleep(PROBE_SECONDS)
            if not self._lost and not any(node.down for node in self._topology.nodes()):
                return


def _key_of(command: Command) -> str:
    return command.key if isinstance(command, Call) else str(command[1])


def _now() -> float:
    return asyncio.get_running_loop().time()
