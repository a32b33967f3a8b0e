"""The table of contents: what happens to a returned mail, stage by stage, from its bytes to verdicts.

    message       which parts of the mail mean something
    feedback      is it an abuse complaint
    report        else a report in delivery-status fields
    notification  else in a service's JSON
    notice        else in words written for a person
    autoreply     else an answer of a program
    heuristics    else what flufl.bounce makes of it
    recipients    whom it is about
    classify      what went wrong, in one of fifteen categories
    policy        how much that counts

Only this file knows the stages, and no stage knows another. Nothing here reads a clock, waits or logs.
"""

import hashlib
import re
from dataclasses import dataclass

from msgspec.structs import replace

from bounced.core import (
    autoreply,
    feedback,
    heuristics,
    mailbox,
    message,
    notice,
    notification,
    recipients,
    report,
    status,
    verp,
)
from bounced.core.classify import classify
from bounced.core.marks import Marks
from bounced.core.mime import Headers
from bounced.core.model import (
    Action,
    Category,
    Classification,
    Kind,
    Reading,
    RecipientReport,
    Report,
    Severity,
    Verdict,
)
from bounced.core.policy import Policy
from bounced.core.returned import ReturnedMail
from bounced.core.returnpath import Proof
from bounced.core.ruleset import Ruleset

_EXPLANATION = 2_000
_WRONG_ADDRESS = (Category.INVALID_MAILBOX, Category.INVALID_DOMAIN)
# What a report that names nobody says of the recipient whom it means.
_SAID = {Kind.BOUNCE: Action.FAILED, Kind.DELAYED: Action.DELAYED}
# The envelope recipient in a trace field, RFC 5321 section 4.4.
_FOR = re.compile(r"\bfor <([^<>\s@]+@[^<>\s@]+)>")
_LIST_FIELDS = ("list-id", "list-post", "mailing-list")


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The data that reading and judging go by, compiled."""

    rules: Ruleset
    marks: Marks


def read(
    raw: bytes,
    knowledge: Knowledge,
    policy: Policy,
    *,
    max_recipients: int = 100,
    proof: Proof | None = None,
    claimed: str | None = None,
) -> Reading:
    """Read one returned mail and judge its recipients: at most `max_recipients`, or the one that is proven.

    `claimed` is the address that the envelope says it is about (`verp`): that of a report which names nobody. Without
    it the envelope recipient is asked that stands in the header.
    """
    mail = message.read(raw, knowledge.marks)
    found = _report(mail)
    if not found.recipients and _may_wrap(found, mail) and mail.inner is not None:
        # Forwarded by a person, a list or a gateway: the report is the message inside. A mail that names
        # somebody as failed is a report itself, and what it returns is never believed.
        inner = message.of_part(mail.inner, knowledge.marks)
        wrapped = _report(inner)
        if wrapped.recipients:
            mail, found = inner, wrapped
    if proof is None and found.kind in _SAID and found.names_nobody:
        named = claimed or (verp.recipient(mail.envelope_recipient) if mail.has_null_path else None)
        if named:
            found = replace(found, recipients=(_unnamed(found, mail, named),))
    found = _identified(found, mail)
    chosen, left_out = recipients.choose(found, max_recipients)
    if proof is not None:
        if found.kind in _SAID and not found.recipients:  # it names nobody, but we know whom
            found = replace(found, recipients=(_unnamed(found, mail),))
        chosen, left_out = (recipients.proven(found, proof),) if found.recipients else (), 0
    judged = [_judged(recipient.report, found, mail, knowledge.rules) for recipient in chosen]
    found = replace(found, recipients=tuple(entry for entry, _ in judged))
    verdicts = tuple(
        _verdict(recipient.address, entry, classification, policy, mail)
        for recipient, (entry, classification) in zip(chosen, judged, strict=True)
    )
    return Reading(found, verdicts, proof.identity if proof else _identity(found, mail, raw), left_out)


def _report(mail: ReturnedMail) -> Report:
    """What the mail reports, by the most trustworthy form that it has."""
    found = feedback.read(mail) or report.read(mail) or notification.read(mail) or notice.read(mail)
    if _is_vague(found):
        found = report.nameless(mail) or found
    if found is None:
        found = feedback.by_subject(mail) or autoreply.read(mail)
    if _is_vague(found):
        found = heuristics.read(mail) or found
    return found or Report(Kind.OTHER)


def _is_vague(found: Report | None) -> bool:
    """Whether words alone report, and name nobody, or nothing does at all."""
    return found is None or (found.source == notice.SOURCE and found.names_nobody)


def _may_wrap(found: Report, mail: ReturnedMail) -> bool:
    return (
        found.kind in (Kind.OTHER, Kind.BOUNCE) and not mail.status and not mail.is_reply and not mail.is_bulk
    )


def _identified(found: Report, mail: ReturnedMail) -> Report:
    """The report with the identifiers that the mail around it carries."""
    returned = mail.returned
    addressees = mail.addressees
    if returned and not addressees:
        addressees = tuple(_FOR.findall(returned.get("received")))
    recipients = found.recipients
    if (
        found.kind in _SAID
        and found.names_nobody
        and returned
        and _had_one_recipient(mail, returned, addressees)
    ):
        recipients = (_unnamed(found, mail, addressees[0]),)
    return replace(
        found,
        recipients=recipients,
        original_message_id=found.original_message_id
        or _message_id(returned.get("message-id") if returned else ""),
        addressees=addressees,
    )


def _had_one_recipient(mail: ReturnedMail, returned: Headers, addressees: tuple[str, ...]) -> bool:
    """Whether the returned header shows one recipient, so that a report that names nobody means it.

    A header is no envelope: mail to a list, with copies, or to its own author went to others too.
    """
    authors = f"{returned.get('from')} {returned.get('sender')} {mail.headers.get('to')}"
    return (
        len(addressees) == 1
        and "cc" not in returned
        and addressees[0].lower() not in map(str.lower, mailbox.find_all(authors))
        and not any(name in returned for name in _LIST_FIELDS)
    )


def _unnamed(found: Report, mail: ReturnedMail, address: str | None = None) -> RecipientReport:
    """What became of somebody whom the report does not name, with all that it says."""
    if found.recipients:
        return replace(found.recipients[0], final_recipient=address)
    explanation = " ".join(mail.notice[:_EXPLANATION].split())
    return RecipientReport(final_recipient=address, action=_SAID[found.kind], explanation=explanation)


def _message_id(value: str) -> str | None:
    """msg-id of RFC 5322 section 3.6.4; None for one that names no message, such as "<>"."""
    return value.split(maxsplit=1)[0][:250] if value.strip(" <>\"'") else None


def _identity(found: Report, mail: ReturnedMail, raw: bytes) -> str:
    """The returned message's identity: by it a report is counted once, however often it comes."""
    known = found.original_message_id or found.envelope_id or _message_id(mail.headers.get("message-id"))
    return known or hashlib.sha256(raw).hexdigest()


def _judged(
    entry: RecipientReport, found: Report, mail: ReturnedMail, rules: Ruleset
) -> tuple[RecipientReport, Classification]:
    """The entry and its category: by its fields alone where they settle it, else by the notice too."""
    if entry.action not in (Action.FAILED, Action.DELAYED):
        return entry, Classification(Category.OTHER, "")
    judged = classify(recipients.evidence(entry, found), rules)
    if found.source == report.SOURCE and not (judged.settled and recipients.says_all(entry.diagnostic or "")):
        entry = recipients.explained(entry, mail.notice, alone=len(found.recipients) == 1)
        if entry.explanation:
            judged = classify(recipients.evidence(entry, found), rules)
    if judged.category in _WRONG_ADDRESS:
        # An address that does not exist may be the sender's, and words alone cannot tell whose it is: it may be
        # named, or refused before the recipient was, which Postfix says in the notice alone.
        named = entry
        asks_notice = found.source == report.SOURCE and not entry.explanation
        if asks_notice and mail.mentions("MAIL", "EHLO", "HELO"):
            named = recipients.explained(entry, mail.notice, alone=len(found.recipients) == 1)
        named = recipients.naming_senders(named, mail.senders)
        if named != entry:
            judged = classify(recipients.evidence(named, found), rules)
    return entry, judged


def _verdict(
    address: str, entry: RecipientReport, judged: Classification, policy: Policy, mail: ReturnedMail
) -> Verdict:
    text = entry.diagnostic or ""
    specific = entry.status if status.is_specific(entry.status) else status.find(text)
    return Verdict(
        recipient=address,
        final_recipient=entry.final_recipient,
        action=entry.action,
        status=specific or entry.status,
        smtp_reply=status.reply_code(text),
        diagnostic=entry.diagnostic,
        remote_mta=entry.remote_mta,
        category=judged.category,
        severity=policy.severity_of(judged.category) if entry.action is Action.FAILED else Severity.NONE,
        rule=judged.rule,
        runners_up=judged.runners_up,
        at=entry.last_attempt or mail.date,
    )
