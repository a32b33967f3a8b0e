"""What one peer, or all together, may take of us: connections, their rate, and memory.

Plain counters, which forget: none grows with the number of peers that have ever been here.
"""

import ipaddress
from collections import Counter
from collections.abc import Hashable
from functools import lru_cache
from typing import Any, Self

from msgspec import Struct

from bounced.settings import Limits, Network

SHUTTING_DOWN = "421 4.3.2 Shutting down, come back later"
TOO_MANY = "421 4.3.2 Too many connections, come back later"
TOO_MANY_OF_YOURS = "421 4.7.0 Too many connections from your network, come back later"
TOO_OFTEN = "421 4.7.0 You connect too often, come back later"

MINUTE = 60.0  # seconds
SHARE = 4  # of the room for messages one network may have a fourth, or what two of the largest take
KNOWN = 1024  # addresses of peers that need not be read again

Host = ipaddress.IPv4Address | ipaddress.IPv6Address


class Address(Struct, frozen=True, gc=False):
    """The other side of a connection."""

    host: Host | None  # None: a process of this machine
    port: int = 0
    name: str = "local"  # the host, as it is told

    @classmethod
    def of(cls, peername: Any) -> Self:  # noqa: ANN401 - what asyncio gives depends on the kind of socket
        """Read what asyncio calls a peer's name; anything but an IP address is of this machine."""
        if not isinstance(peername, tuple):
            return cls(None)
        host, name = _host(peername[0])
        return cls(host, peername[1], name)

    @property
    def network(self) -> int | None:
        """What counts as one peer: an IPv4 address, or the /64 that one customer has of IPv6."""
        if self.host is None:
            return None
        return int(self.host) if self.host.version == 4 else -(int(self.host) >> 64) - 1

    def is_in(self, networks: tuple[Network, ...]) -> bool:
        """Whether it lies in one of these."""
        return self.host is not None and any(network.holds(self.host) for network in networks)

    def __str__(self) -> str:
        return self.name if self.host is None else f"{self.name}:{self.port}"


@lru_cache(KNOWN)
def _host(text: str) -> tuple[Host, str]:
    """Read an address, as what it is and as it is told."""
    host = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped:
        host = host.ipv4_mapped
    return host, str(host) if host.version == 4 else f"[{host}]"


class Gate:
    """Who may be in at one time, and how often somebody may come. Times are in seconds of any one clock."""

    def __init__(self) -> None:
        self._inside: dict[Hashable, int | None] = {}  # visitor: its network; None: not counted by network
        self._by_network: Counter[int] = Counter()
        self._came: Counter[int] = Counter()  # in this minute
        self._minute = 0.0

    def enter(self, visitor: Hashable, address: Address, limits: Limits, now: float) -> str | None:
        """Let a visitor in, or return the reply that turns it away. Whoever is in has to leave."""
        if 0 < limits.connections <= len(self._inside):
            return TOO_MANY
        network = address.network
        if network is None or address.is_in(limits.exempt):
            self._inside[visitor] = None
            return None
        if now - self._minute >= MINUTE:
            self._came.clear()
            self._minute = now
        self._came[network] += 1
        if 0 < limits.connection_rate_per_address < self._came[network]:
            return TOO_OFTEN
        if 0 < limits.connections_per_address <= self._by_network[network]:
            return TOO_MANY_OF_YOURS
        self._by_network[network] += 1
        self._inside[visitor] = network
        return None

    def network_of(self, visitor: Hashable) -> int | None:
        """Return the network that a visitor counts for; None: for none."""
        return self._inside.get(visitor)

    def leave(self, visitor: Hashable) -> None:
        """Make room; a visitor who was turned away, or has left, may say so again."""
        network = self._inside.pop(visitor, None)
        if network is not None:
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]


class Memory:
    """The octets of all messages that are coming in or being worked on."""

    def __init__(self) -> None:
        self.held = 0
        self._by_network: Counter[int] = Counter()

    def has_room(self, network: int | None, limits: Limits) -> bool:
        """Whether a network, None: one that is not counted, may begin another message."""
        return self._fits(1, network, limits)

    def take(self, octets: int, network: int | None, limits: Limits) -> bool:
        """Hold so many more for a network; whether the limit allows it. Give back only what was taken."""
        if not self._fits(octets, network, limits):
            return False
        self.held += octets
        if network is not None:
            self._by_network[network] += octets
        return True

    def give(self, octets: int, network: int | None) -> None:
        """Hold so many less."""
        self.held -= octets
        if network is not None:
            self._by_network[network] -= octets
            if not self._by_network[network]:
                del self._by_network[network]

    def _fits(self, octets: int, network: int | None, limits: Limits) -> bool:
        room = limits.message_memory
        if not room:
            return True
        if self.held + octets > room:
            return False
        # So that a few who send slowly do not leave the others without any.
        share = max(room // SHARE, 2 * limits.message_size) if limits.message_size else room
        return network is None or self._by_network[network] + octets <= share
