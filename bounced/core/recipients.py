"""Stage: whom a report is about, one entry a recipient, with the evidence that each is judged by.

The address is the one that the original sender wrote to: Original-Recipient, else Final-Recipient (RFC 3464
sections 2.3.1 and 2.3.2), else what the report names as failed. When mail was forwarded that is the address
before forwarding. A recipient that a report names twice is one recipient.
"""

import re
from collections.abc import Iterable, Iterator
from functools import reduce

from msgspec import Struct
from msgspec.structs import replace

from bounced.core import mailbox, status
from bounced.core.address import canonical, is_within
from bounced.core.model import Action, Evidence, RecipientReport, Report
from bounced.core.quoted import MAX_TEXT, explanation_of
from bounced.core.returned import ReturnedMail
from bounced.core.returnpath import Proof

_FIRST_LINE = re.compile(r"([245]\d\d)-(?!.*\b\1 )", re.DOTALL)

# How Exim says, below an address, whose alias or .forward led to it.
_GENERATED = re.compile(
    r"[>)]{0,2}\s{1,20}\(?(?:generated|expanded|forwarded) (?:from|by):? <?([^()<>\s]{1,64}@[^()<>\s]{1,255})"
)

# The host that a server looked up in vain, as Postfix, sendmail and Exim name it; one that answered has an address.
_LOOKED_UP = re.compile(
    r"(?:\bname=|\bname server: |\blook ?up (?:host )?|\bunknown host:? |\bhost )"
    r"([\w-]{1,63}(?:\.[\w-]{1,63}){1,8}\.?)(?![\w.-]|\s?[\[(]| said)",
    re.IGNORECASE,
)

# What stands for the recipient's address in what is said of it: shorter than most, as long texts are cut.
_SOMEBODY = "a@b.test"

# Of several fates of one address the one to believe: it got through to somebody behind it, or it failed.
_PRECEDENCE = (Action.DELIVERED, Action.RELAYED, Action.FAILED, Action.DELAYED, Action.EXPANDED, None)


class Recipient(Struct, frozen=True):
    """One recipient and what the report says of it."""

    address: str  # canonical
    report: RecipientReport


def choose(report: Report, limit: int) -> tuple[tuple[Recipient, ...], int]:
    """The recipients of `report` in its order, at most `limit` (0: all), and how many were left out."""
    chosen: dict[str, RecipientReport] = {}
    left_out = set[str]()
    known: dict[str, str] = {}
    for entry in report.recipients:
        address = next(_mailboxes(entry), None)
        if address is None:
            # A local part alone, as servers without a domain write it: the returned mail knows the rest.
            known = known or _by_local(report.addressees)
            written = filter(None, (entry.original_recipient, entry.final_recipient))
            address = next((known[name.lower()] for name in written if name.lower() in known), None)
        if address is None:
            continue
        standing = chosen.get(address)
        if standing is not None:
            chosen[address] = _stronger(standing, entry)
        elif not limit or len(chosen) < limit:
            chosen[address] = entry
        else:
            left_out.add(address)
    believed = tuple(Recipient(address, entry) for address, entry in chosen.items())
    return believed, len(left_out) + report.unread


def proven(report: Report, proof: Proof) -> Recipient:
    """The one recipient that a signed return path proves: it says who, the report only says why.

    The address is the one, of those in the report and in the returned header, that the proof is about. When a
    forwarder hid it, it is "~" and the proof's name for it.
    """
    about = [entry for entry in report.recipients if any(map(proof.is_about, _mailboxes(entry)))]
    if about:
        address = next(filter(proof.is_about, _mailboxes(about[0])))
        return Recipient(address, reduce(_stronger, about))
    address = next(filter(proof.is_about, filter(None, map(canonical, report.addressees))), f"~{proof.rid}")
    if len(report.recipients) == 1:
        return Recipient(address, report.recipients[0])
    # Several recipients, and none that we know: that it failed can be told when all did, but not why.
    failed = all(entry.action is Action.FAILED for entry in report.recipients)
    return Recipient(address, RecipientReport(action=Action.FAILED if failed else None))


def before_forwarding(entry: RecipientReport, notice: str) -> RecipientReport:
    """The entry with the address that the notice says its mail was forwarded from, where the fields do not."""
    final = entry.final_recipient or ""
    at = mailbox.position(final, notice)
    behind = _GENERATED.match(notice, at + len(final)) if at >= 0 else None
    return replace(entry, original_recipient=behind[1]) if behind else entry


def explained(entry: RecipientReport, notice: str, *, alone: bool) -> RecipientReport:
    """The entry with what the notice says of it; all of it, where it is alone and neither named nor diagnosed."""
    named = filter(None, (entry.final_recipient, entry.original_recipient))
    said = next(filter(None, (explanation_of(address, notice) for address in named)), "")
    if alone and not (said and says_all(entry.diagnostic or "")):
        said = " ".join(notice[: 2 * MAX_TEXT].split())[:MAX_TEXT]
    return replace(entry, explanation=said)


def says_all(diagnostic: str) -> bool:
    """Whether a diagnostic has words, and is not the first of several lines (RFC 5321 section 4.2.1) alone.

    That is all that sendmail hands on; Cisco's holds the name of the server, "554-mx.example.org".
    """
    return any(map(str.isalpha, diagnostic)) and _FIRST_LINE.match(diagnostic) is None


def evidence(recipient: RecipientReport, report: Report) -> Evidence:
    """What the recipient's category is judged by."""
    return Evidence(
        text=said_of(recipient),
        explanation=_of_somebody(recipient.explanation, recipient),
        status=recipient.status,
        remote_mta=recipient.remote_mta,
        reporting_mta=report.reporting_mta,
        command=recipient.command,
        extensions=recipient.extensions,
    )


def said_of(recipient: RecipientReport) -> str:
    """The diagnostic as it would be of somebody else: no name decides, and the same words are known again."""
    return _of_somebody(recipient.diagnostic or "", recipient)


def _of_somebody(text: str, recipient: RecipientReport) -> str:
    own = {recipient.final_recipient, recipient.original_recipient}
    for address in sorted(filter(None, own), key=len, reverse=True):  # one may end in the other
        if "@" in address:
            text = text.replace(address, _SOMEBODY)
    return text


def naming_senders(recipient: RecipientReport, mail: ReturnedMail) -> RecipientReport:
    """The entry with a diagnostic that says so where it names one of the mail's senders: an address, or a domain.

    One that names the recipient is about the recipient, whoever else is in it.
    """
    said = recipient.diagnostic or ""
    lower = said.lower()
    own = {*_mailboxes(recipient)}
    if any(mailbox.position(address, said) >= 0 for address in own):
        return recipient
    domains = {address.rpartition("@")[2] for address in own}
    for address in filter(None, map(canonical, mail.senders)):
        local, _, domain = address.rpartition("@")
        if domain not in lower:
            continue
        named = re.escape(address)
        if domain not in domains:
            # RFC 2142: every domain has these two, and some servers ask for them before they take its mail.
            named = rf"(?:(?:{re.escape(local)}|postmaster|abuse)@)?{re.escape(domain)}"
        said = re.sub(rf"(?<![\w.+=~@/-])(?:{named})(?![\w-]|\.\w)", _as_sender, said, flags=re.IGNORECASE)
    return replace(recipient, diagnostic=said)


def naming_others(recipient: RecipientReport) -> RecipientReport:
    """The entry with a diagnostic that says so where the host that was not found is none of the recipient's domain.

    It is a relay, or the host that an MX names: its own fault, and nothing is said of the recipient's domain.
    """
    said = recipient.diagnostic or ""
    domains = [address.rpartition("@")[2] for address in _mailboxes(recipient)]
    hosts = {match[1].lower().rstrip(".") for match in _LOOKED_UP.finditer(said)}
    if not hosts or any(
        is_within(host, domain) or is_within(domain, host) for host in hosts for domain in domains
    ):
        return recipient
    return replace(recipient, diagnostic=_LOOKED_UP.sub(_as_another, said))


def _as_another(found: re.Match[str]) -> str:
    return found[0].replace(found[1], "another host")


def _as_sender(name: re.Match[str]) -> str:
    return "sender address" if "@" in name[0] else "sender domain"


def _mailboxes(entry: RecipientReport) -> Iterator[str]:
    """The entry's addresses, the original one first, in canonical form."""
    for written in (entry.original_recipient, entry.final_recipient):
        if written and (address := canonical(written)) is not None:
            yield address


def _by_local(addressees: Iterable[str]) -> dict[str, str]:
    """The addressees, canonical, by local part; of several the first."""
    return {
        address.rpartition("@")[0]: address
        for address in map(canonical, reversed([*addressees]))
        if address is not None
    }


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
