"""Which server holds which key: one, the one that Sentinels name, or the nodes of a cluster by slot.

redis-py's own clients for the latter two are not used. Its ClusterPipeline may send again, after a lost
connection, what has no reply, executed or not, and cannot put WAIT on the connection that wrote; under all three of
ours lies the same node.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import AuthenticationError

from bounced.settings.places import Address, Kind
from bounced.store.connecting import Connecting
from bounced.store.faults import StoreUnavailable, cause_of
from bounced.store.node import FAILURES, Node

ASK_SECONDS = 0.5  # for one Sentinel: two of three may be gone


class Topology(Protocol):
    """Where the keys are."""

    # Whether to look again though all is well: the server would not say that it is the wrong one.
    may_be_wrong: bool

    @property
    def only(self) -> Node | None:
        """The server that holds all keys; None: not known, or there are several."""

    def nodes(self) -> Collection[Node]:
        """Return the servers that hold keys, as far as known."""

    def node_of(self, key: str, /) -> Node | None:
        """Return the server that holds a key; None: not known, find it."""

    def node_at(self, address: Address, /) -> Node:
        """Return the server that another one has pointed to."""

    def moved(self, slot: int, address: Address, /) -> None:
        """Note that a slot is there now."""

    async def find(self) -> None:
        """Find out where the keys are. Raises one of FAILURES."""

    async def close(self) -> None:
        """Close all connections."""


def topology(connecting: Connecting, on_loss: Callable[[], None]) -> Topology:
    """Return the topology of a place."""

    def make(address: Address) -> Node:
        return Node(address, connecting.client(address), connecting.settings, on_loss)

    kinds: dict[Kind, type[Single | Cluster]] = {
        Kind.SINGLE: Single,
        Kind.SENTINEL: Sentinels,
        Kind.CLUSTER: Cluster,
    }
    return kinds[connecting.place.kind](connecting, make)


class Single:
    """All keys are on one server."""

    may_be_wrong = False

    def __init__(self, connecting: Connecting, make: Callable[[Address], Node]) -> None:
        self._place = connecting.place
        self._make = make
        self._node: Node | None = make(self._place.addresses[0])

    @property
    def only(self) -> Node | None:
        """The one."""
        return self._node

    def nodes(self) -> Collection[Node]:
        """Return the one."""
        return () if self._node is None else (self._node,)

    def node_of(self, _: str) -> Node | None:
        """Return the one."""
        return self._node

    def node_at(self, _: Address) -> Node:
        """Refuse to follow: redis.url names a node of a cluster."""
        where = self._place.shown
        raise StoreUnavailable(f"{where} is a node of a cluster: let redis.url begin with redis+cluster://")

    def moved(self, _: int, address: Address) -> None:
        """Refuse to follow."""
        self.node_at(address)

    async def find(self) -> None:
        """Do nothing: it is where it is."""

    async def close(self) -> None:
        """Close all connections."""
        for node in self.nodes():
            await node.close()


class Sentinels(Single):
    """All keys are on the server that the Sentinels call the primary.

    They may have made another one the primary while the old one still takes writes, all of which it forgets as
    soon as it is told: so they are asked once a second while there is work.
    """

    may_be_wrong = True

    def __init__(self, connecting: Connecting, make: Callable[[Address], Node]) -> None:
        self._connecting = connecting
        self._place = connecting.place
        self._make = make
        self._node = None
        self._sentinels = list(connecting.place.addresses)

    async def find(self) -> None:
        """Ask one Sentinel after the other, beginning with the one that knew last time."""
        causes = []
        for sentinel in tuple(self._sentinels):
            try:
                address = await self._ask(sentinel)
            except FAILURES as error:
                causes.append(f"{sentinel}: {cause_of(error)}")
                continue
            self._sentinels.remove(sentinel)
            self._sentinels.insert(0, sentinel)
            if self._node is None or self._node.address != address:
                left, self._node = self._node, self._make(address)
                if left is not None:
                    await left.close()
            return
        raise StoreUnavailable(f"no Sentinel names a primary: {'; '.join(causes)}")

    async def _ask(self, sentinel: Address) -> Address:
        try:
            return await self._primary(self._connecting.sentinel(sentinel, known=False))
        except AuthenticationError:
            return await self._primary(self._connecting.sentinel(sentinel, known=True))

    async def _primary(self, client: Redis) -> Address:
        async with asyncio.timeout(ASK_SECONDS), client:
            # In two words: redis-py has no opinion on the reply then.
            found = await client.execute_command(  # type: ignore[no-untyped-call]
                "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._place.service
            )
        if not found:
            raise StoreUnavailable(f"it does not know {self._place.service}")
        host, port = found
        return Address(host.decode(), int(port))


class Cluster:
    """Keys are spread over nodes by their slot."""

    may_be_wrong = False
    only = None

    def __init__(self, connecting: Connecting, make: Callable[[Address], Node]) -> None:
        self._seeds = connecting.place.addresses
        self._make = make
        self._known: dict[Address, Node] = {}
        self._slots: dict[int, Node] = {}
        self._to_ask = list(self._seeds)

    def nodes(self) -> Collection[Node]:
        """Return the primaries."""
        return set(self._slots.values())

    def node_of(self, key: str) -> Node | None:
        """Return the primary of the key's slot."""
        return self._slots.get(key_slot(key.encode()))

    def node_at(self, address: Address) -> Node:
        """Return the node at an address."""
        if address not in self._known:
            self._known[address] = self._make(address)
        return self._known[address]

    def moved(self, slot: int, address: Address) -> None:
        """Note that a slot is there now; the others are asked for soon."""
        self._slots[slot] = self.node_at(address)

    async def find(self) -> None:
        """Ask one node after the other, each time beginning with another: one may be cut off and not know."""
        causes = []
        self._to_ask = [*self._to_ask[1:], self._to_ask[0]]
        for address in self._to_ask:
            try:
                ranges = await self.node_at(address).ask("CLUSTER", "SLOTS")
            except FAILURES as error:
                causes.append(f"{address}: {cause_of(error)}")
                continue
            if ranges:
                await self._take(ranges, address)
                return
            causes.append(f"{address}: it knows of no slots")
        raise StoreUnavailable(f"no node of the cluster answers: {'; '.join(causes)}")

    async def _take(self, ranges: list[Any], told_by: Address) -> None:
        slots: dict[int, Node] = {}
        for first, last, primary, *_ in ranges:
            host, port = primary[:2]
            # No host, or "?": the one that was asked, which does not know its own name.
            name = told_by.host if host in {None, b"", b"?"} else host.decode()
            slots |= dict.fromkeys(range(first, last + 1), self.node_at(Address(name, port)))
        self._slots = slots
        in_use = {node.address for node in slots.values()} | set(self._seeds)
        self._to_ask = [*(a for a in self._to_ask if a in in_use), *(in_use - set(self._to_ask))]
        for address in self._known.keys() - in_use:
            await self._known.pop(address).close()

    async def close(self) -> None:
        """Close all connections."""
        for node in self._known.values():
            await node.close()
