"""Where things are: the names of keys and fields, which docs/redis.md publishes. No decisions, no I/O."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache

from msgspec.structs import replace

from bounced.core.naming import KeyForm, hidden_name, name_of, without_addresses
from bounced.core.policy import Change, Decision, Record, State

STATS_KEPT_DAYS = 400
EVENTS_KEPT = 100_000

SEEN_WIDTH = 13  # in the field "seen": digest, letter, mark


class Keys:
    """The keys under one prefix, with the addresses in one form."""

    def __init__(self, prefix: str, form: KeyForm = KeyForm.PLAIN, *, events_kept: int = EVENTS_KEPT) -> None:
        """`events_kept`: at least so many events are kept, and not many more."""
        self.events_kept = events_kept
        self._prefix = prefix
        self._form = form
        self.events = f"{prefix}:events"

    def name(self, address: str) -> str:
        """Return what stands for the address in keys and events."""
        return name_of(address, self._form)

    def record(self, address: str) -> str:
        """Return the key of the hash: the truth."""
        return f"{self._prefix}:addr:{self.name(address)}"

    def hard(self, address: str) -> str:
        """Return the key that exists while the address must be left alone: derived."""
        return f"{self._prefix}:hard:{self.name(address)}"

    def record_named(self, name: str) -> str:
        """Return the key of the hash of an address whose name in keys this is."""
        return f"{self._prefix}:addr:{name}"

    def hard_named(self, name: str) -> str:
        """Return the derived key of an address whose name in keys this is."""
        return f"{self._prefix}:hard:{name}"

    def hidden(self, address: str) -> str:
        """Return the key that does so when a forwarder hid the address from the report."""
        return f"{self._prefix}:hard:{hidden_name(address)}"

    def keepable(self, change: Change) -> Change:
        """Return the change as it may be kept: where keys hold no addresses, its diagnostic holds none."""
        if self._form is KeyForm.PLAIN or change.diagnostic is None:
            return change
        return replace(change, diagnostic=without_addresses(change.diagnostic))

    def tellable(self, identity: str) -> str:
        """Return a message's identity as events may tell it: it may hold an address."""
        return identity if self._form is KeyForm.PLAIN else ""

    def stats(self, now: int) -> str:
        """Return the key of the day's counts, by UTC."""
        return self.stats_of(_day(now))

    def stats_of(self, day: date) -> str:
        """Return the key of a day's counts."""
        return f"{self._prefix}:stats:{day.isoformat()}"


@lru_cache(16)
def _day(now: int) -> date:
    return datetime.fromtimestamp(now, UTC).date()


def decision_arguments(decision: Decision) -> list[str | int]:
    """Return a decision as ARGV 2 and on of record.lua."""
    effects = decision.effects
    return [
        decision.now,
        decision.soft_limit,
        effects[State.ACTIVE],
        effects[State.BRINK],
        effects[State.HARD],
        decision.digest,
        decision.letter,
        decision.at,
        decision.until,
        decision.keep_until,
        decision.reason,
        decision.category,
        decision.status,
        decision.diagnostic,
        decision.remote_mta,
        decision.rule,
    ]


def read_record(fields: Mapping[bytes, bytes], expires_at: int) -> Record:
    """Return the typed view of a hash; `expires_at` as EXPIRETIME gives it.

    Fields that others added are left out; a number that is none counts as missing.
    """

    def text(name: str) -> str | None:
        value = fields.get(name.encode())
        return None if value is None else value.decode("utf-8", "backslashreplace")

    def number(name: str) -> int | None:
        value = fields.get(name.encode(), b"")
        return int(value) if value.isdigit() else None

    seen = text("seen") or ""
    return Record(
        soft=number("soft") or 0,
        hard_until=number("hard_until"),
        reason=text("reason"),
        category=text("category"),
        status=text("status"),
        diagnostic=text("diagnostic"),
        remote_mta=text("remote_mta"),
        rule=text("rule"),
        first_at=number("first_at"),
        last_at=number("last_at"),
        soft_total=number("soft_total") or 0,
        hard_total=number("hard_total") or 0,
        seen=tuple(seen[i : i + SEEN_WIDTH - 1] for i in range(0, len(seen), SEEN_WIDTH)),
        expires_at=expires_at if expires_at > 0 else None,
    )
