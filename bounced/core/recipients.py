"""Stage: whom a report is about, one entry a recipient, with the evidence that each is judged by.

The address is the one that the original sender wrote to: Original-Recipient, else Final-Recipient (RFC 3464
sections 2.3.1 and 2.3.2), else what the report names as failed. When mail was forwarded that is the address
before forwarding. A recipient that a report names twice is one recipient.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bounced.core import status
from bounced.core.address import canonical
from bounced.core.model import Action, Evidence, RecipientReport, Report

# Of several fates of one address the one to believe: it got through to somebody behind it, or it failed.
_PRECEDENCE = (Action.DELIVERED, Action.RELAYED, Action.FAILED, Action.DELAYED, Action.EXPANDED, None)


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient and what the report says of it."""

    address: str  # canonical
    report: RecipientReport


def choose(report: Report, limit: int) -> tuple[tuple[Recipient, ...], int]:
    """The recipients of `report` in its order, at most `limit`, and how many were left out."""
    chosen: dict[str, RecipientReport] = {}
    left_out = set[str]()
    # A local part alone, as servers without a domain of their own write it: the returned mail knows the rest.
    by_local = {
        address.rpartition("@")[0]: address
        for address in map(canonical, reversed(report.addressees))
        if address is not None
    }
    for entry in report.recipients:
        address = _address(entry, by_local)
        if address is None:
            continue
        standing = chosen.get(address)
        if standing is not None:
            chosen[address] = _stronger(standing, entry)
        elif len(chosen) < limit:
            chosen[address] = entry
        else:
            left_out.add(address)
    believed = tuple(Recipient(address, entry) for address, entry in chosen.items())
    return believed, len(left_out) + report.unread


def evidence(recipient: RecipientReport, report: Report) -> Evidence:
    """What the recipient's category is judged by."""
    text = recipient.diagnostic or ""
    return Evidence(
        text=text,
        explanation=recipient.explanation,
        status=recipient.status,
        reply_code=status.reply_code(text) if text else None,
        remote_mta=recipient.remote_mta,
        reporting_mta=report.reporting_mta,
        command=recipient.command or status.command(text) or status.command(recipient.explanation),
        extensions=recipient.extensions,
    )


def _address(entry: RecipientReport, by_local: Mapping[str, str]) -> str | None:
    written = [name for name in (entry.original_recipient, entry.final_recipient) if name]
    known = (by_local.get(name.lower()) for name in written)
    return next(filter(None, (*map(canonical, written), *known)), None)


def _stronger(one: RecipientReport, other: RecipientReport) -> RecipientReport:
    """Of two entries for one address, or two fates of it, the one to go by; texts are kept when it has none."""
    first, second = sorted((one, other), key=lambda entry: _PRECEDENCE.index(entry.action))
    if first.action is second.action:
        first, second = sorted((one, other), key=lambda entry: not status.is_specific(entry.status))
        return replace(
            first,
            diagnostic=first.diagnostic or second.diagnostic,
            explanation=first.explanation or second.explanation,
            remote_mta=first.remote_mta or second.remote_mta,
        )
    return first
