"""What an entry of bounced:events holds, written and read: docs/redis.md publishes it.

Every entry has all fields in this order: the server then keeps only their values.
"""

from collections.abc import Mapping

from bounced.core.history import Event
from bounced.core.policy import Change, Decision, Outcome, Result

DIAGNOSTIC = 200  # characters of it; the record holds more


def entry(
    name: str,
    change: Change,
    decision: Decision,
    outcome: Outcome,
    before: tuple[str, str, str],
    *,
    identity: str,
) -> dict[str, str | int]:
    """Return the fields that tell of a change to the address of this name.

    `before`: soft, hard_until and reason as the record held them; not known when a change is told again.
    """
    soft, hard_until, reason = ("", "", "") if outcome.result is Result.DUPLICATE else before
    rests = hard_until != "" and int(hard_until) > decision.now
    return {
        "address": name,
        "what": change.what.value,
        "state": outcome.after.value,
        "soft": outcome.soft,
        "hard_until": outcome.hard_until or "",
        "category": decision.category,
        "status": decision.status,
        "at": decision.at,
        "message": decision.digest,
        "rule": decision.rule,
        "diagnostic": decision.diagnostic[:DIAGNOSTIC],
        "remote_mta": decision.remote_mta,
        "reporting_mta": decision.reporting_mta,
        "identity": identity,
        "reason": decision.reason,
        "soft_before": soft,
        "hard_until_before": hard_until if rests else "",
        "reason_before": reason if rests else "",
        "undoes": "",
    }


def undo_entry(event: Event) -> dict[str, str | int]:
    """Return the fields of an event that tells of an undo."""
    return {
        "address": event.address,
        "what": event.what,
        "state": event.state,
        "soft": event.soft,
        "hard_until": event.hard_until or "",
        "category": "",
        "status": "",
        "at": event.at,
        "message": "",
        "rule": "",
        "diagnostic": "",
        "remote_mta": "",
        "reporting_mta": "",
        "identity": "",
        "reason": event.reason,
        "soft_before": "" if event.soft_before is None else event.soft_before,
        "hard_until_before": event.hard_until_before or "",
        "reason_before": event.reason_before,
        "undoes": " ".join(event.undoes),
    }


def read_entry(identifier: bytes, fields: Mapping[bytes, bytes]) -> Event:
    """Return the typed view of an entry. What is missing, as in those of earlier versions, is not known."""

    def text(name: str) -> str:
        return fields.get(name.encode(), b"").decode("utf-8", "backslashreplace")

    def number(name: str) -> int | None:
        value = fields.get(name.encode(), b"")
        return int(value) if value.isdigit() else None

    entry_id = identifier.decode()
    recorded = int(entry_id.partition("-")[0]) // 1000
    at = number("at")
    return Event(
        id=entry_id,
        recorded=recorded,
        address=text("address"),
        what=text("what"),
        state=text("state"),
        soft=number("soft") or 0,
        hard_until=number("hard_until"),
        category=text("category"),
        status=text("status"),
        at=recorded if at is None else at,
        message=text("message"),
        rule=text("rule"),
        diagnostic=text("diagnostic"),
        remote_mta=text("remote_mta"),
        reporting_mta=text("reporting_mta"),
        identity=text("identity"),
        reason=text("reason"),
        soft_before=number("soft_before"),
        hard_until_before=number("hard_until_before"),
        reason_before=text("reason_before"),
        undoes=tuple(text("undoes").split()),
    )
