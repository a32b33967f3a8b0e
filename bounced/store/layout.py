"""Where things are: the names of keys and fields, which docs/redis.md publishes. No decisions, no I/O."""

import hashlib
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime

from bounced.core.policy import Decision, Record, State

MAX_ADDRESS_OCTETS = 320  # 64 + "@" + 255: RFC 5321 section 4.5.3.1
STATS_KEPT_DAYS = 400
EVENTS_KEPT = 100_000

_SEEN_WIDTH = 13  # in the field "seen": digest, letter, mark


def key_form(address: str) -> str:
    """Return how a canonical address is written in a key.

    Blanks, controls and invisible characters are percent-escaped, octet by octet of UTF-8. What is longer
    than an address may be becomes "~sha256:" and the digest of that.
    """
    form = "".join(
        "".join(f"%{octet:02X}" for octet in char.encode("utf-8", "surrogatepass"))
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"}
        else char
        for char in address
    )
    octets = form.encode()
    if len(octets) > MAX_ADDRESS_OCTETS:
        return f"~sha256:{hashlib.sha256(octets).hexdigest()}"
    return form


class Keys:
    """The keys under one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.events = f"{prefix}:events"

    def record(self, address: str) -> str:
        """Return the key of the hash: the truth."""
        return f"{self._prefix}:addr:{key_form(address)}"

    def hard(self, address: str) -> str:
        """Return the key that exists while the address must be left alone: derived."""
        return f"{self._prefix}:hard:{key_form(address)}"

    def stats(self, now: int) -> str:
        """Return the key of the day's counts, by UTC."""
        return f"{self._prefix}:stats:{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"


def decision_arguments(decision: Decision) -> list[str | int]:
    """Return a decision as ARGV 2 and on of record.lua."""
    effects = decision.effects
    return [
        decision.now,
        decision.soft_limit,
        effects[State.ACTIVE].value,
        effects[State.BRINK].value,
        effects[State.HARD].value,
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
        first_at=number("first_at"),
        last_at=number("last_at"),
        soft_total=number("soft_total") or 0,
        hard_total=number("hard_total") or 0,
        seen=tuple(seen[i : i + _SEEN_WIDTH - 1] for i in range(0, len(seen), _SEEN_WIDTH)),
        expires_at=expires_at if expires_at > 0 else None,
    )
