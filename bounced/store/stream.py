"""What an entry of bounced:events holds, written and read: docs/redis.md publishes it.

Every entry has all fields in this order: the server then keeps only their values.
"""

from collections.abc import Mapping

from bounced.core.history import Event
from bounced.core.policy import Change, Decision, Outcome, Result

DIAGNOSTIC = 200  # characters of it; the record holds more


def event_of(
    name: str,
    change: Change,
    decision: Decision,
    outcome: Outcome,
    before: tuple[int, bytes, str],
    *,
    identity: str,
) -> Event:
    """Return what is to be told of a change to the address of this name.

    `before`: soft, hard_until and reason as the record held them; not known when a change is told again.
    """
    soft, hard_until, reason = before
    known = outcome.result is not Result.DUPLICATE
    rested = known and hard_until != b"" and int(hard_until) > decision.now
    return Event(
        address=name,
        what=change.what,
        state=outcome.after,
        soft=outcome.soft,
        hard_until=outcome.hard_until,
        at=decision.at,
        soft_before=soft if known else None,
        hard_until_before=int(hard_until) if rested else None,
        reason_before=reason if rested else "",
        reason=decision.reason,
        category=decision.category,
        status=decision.status,
        rule=decision.rule,
        diagnostic=decision.diagnostic[:DIAGNOSTIC],
        remote_mta=decision.remote_mta,
        reporting_mta=decision.reporting_mta,
        message=decision.digest,
        identity=identity,
    )


def entry(event: Event) -> list[str | int]:
    """Return names and values in turn, as XADD takes them."""
    known = "" if event.soft_before is None else event.soft_before
    rests = "" if event.hard_until is None else event.hard_until
    rested = "" if event.hard_until_before is None else event.hard_until_before
    # fmt: off
    return [
        "address", event.address,
        "what", event.what,
        "state", event.state,
        "soft", event.soft,
        "hard_until", rests,
        "category", event.category,
        "status", event.status,
        "at", event.at,
        "message", event.message,
        "rule", event.rule,
        "diagnostic", event.diagnostic,
        "remote_mta", event.remote_mta,
        "reporting_mta", event.reporting_mta,
        "identity", event.identity,
        "reason", event.reason,
        "soft_before", known,
        "hard_until_before", rested,
        "reason_before", event.reason_before,
        "undoes", " ".join(event.undoes),
    ]
    # fmt: on


def read_entry(identifier: bytes, fields: Mapping[bytes, bytes]) -> Event:
    """Return the event that an entry tells of. What is missing, as in those of earlier versions, is not known."""

    def text(name: str) -> str:
        return fields.get(name.encode(), b"").decode("utf-8", "backslashreplace")

    def number(name: str) -> int | None:
        value = fields.get(name.encode(), b"")
        return int(value) if value.isdigit() else None

    entry_id = identifier.decode()
    recorded = int(entry_id.partition("-")[0]) // 1000
    at = number("at")
    return Event(
        address=text("address"),
        what=text("what"),
        state=text("state"),
        soft=number("soft") or 0,
        hard_until=number("hard_until"),
        at=recorded if at is None else at,
        soft_before=number("soft_before"),
        hard_until_before=number("hard_until_before"),
        reason_before=text("reason_before"),
        reason=text("reason"),
        category=text("category"),
        status=text("status"),
        rule=text("rule"),
        diagnostic=text("diagnostic"),
        remote_mta=text("remote_mta"),
        reporting_mta=text("reporting_mta"),
        message=text("message"),
        identity=text("identity"),
        undoes=tuple(text("undoes").split()),
        id=entry_id,
        recorded=recorded,
    )
