"""Record what happened, atomically and once; answer what is known."""

from collections.abc import Sequence
from pathlib import Path

from bounced.core.policy import Change, Outcome, Policy, Record


class Store:
    """Every method raises StoreUnavailable when the store did not confirm within five seconds.

    Addresses are canonical (core.address).
    """

    url: str  # where it is, without user and password: to print and log

    @classmethod
    async def open(cls, url: str, prefix: str, policy: Policy, state_dir: Path) -> "Store":
        """Open redis://, rediss://, unix:// or "embedded" (a server of our own, its data in `state_dir`).

        Does not wait for a server at a URL: ping does. Raises StoreUnavailable when the embedded one does
        not start, and ValueError when the URL is none of these.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Finish what is queued and leave; the last to leave an embedded server stops it."""
        raise NotImplementedError

    async def watch(self) -> None:
        """Keep an embedded server alive, for ever; return at once when there is none. Run it as a task."""
        raise NotImplementedError

    async def ping(self) -> None:
        """Return when the store answers."""
        raise NotImplementedError

    async def record(self, changes: Sequence[Change]) -> list[Outcome]:
        """Apply all changes of one report; an outcome for each, in order.

        Repeating the call after a failure is safe: what was applied comes back as a duplicate.
        """
        raise NotImplementedError

    async def lookup(self, address: str) -> Record | None:
        """Return what is known of an address; None: nothing."""
        raise NotImplementedError

    async def check(self, addresses: Sequence[str]) -> list[int | None]:
        """Return for each address until when it must be left alone; None: it may be sent to."""
        raise NotImplementedError

    async def delivered(self, addresses: Sequence[str]) -> list[Outcome]:
        """Note that a message got through to each: the row of soft bounces is broken."""
        raise NotImplementedError

    async def release(self, address: str) -> Outcome:
        """Lift the suppression."""
        raise NotImplementedError

    async def suppress(self, address: str, until: int | None = None, reason: str = "manual") -> Outcome:
        """Leave the address alone until the Unix time given, else for the policy's hard_expiry."""
        raise NotImplementedError
