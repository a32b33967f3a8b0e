"""The table of contents: what happens to a returned mail, stage by stage, from its bytes to verdicts.

    message      which parts of the mail mean something
    report       delivery-status fields                       | notification  a service's JSON
    notice       else the words written for a person          | heuristics    else flufl.bounce
    recipients   whom it is about
    classify     what went wrong, in one of fifteen categories
    policy       how much that counts

Only this file knows the stages, and no stage knows another. Nothing here reads a clock, waits or logs.
"""

import hashlib
from dataclasses import dataclass, replace
from email.utils import mktime_tz, parsedate_tz

from bounced.core import heuristics, mailbox, message, notice, notification, recipients, report, status
from bounced.core.classify import classify
from bounced.core.marks import Marks
from bounced.core.message import ReturnedMail
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
from bounced.core.recipients import Recipient
from bounced.core.ruleset import Ruleset

_AUTOREPLY_FIELDS = (
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-auto-response-suppress",
    "x-apple-action",
)
_COMPLAINT_FIELDS = ("x-arf", "x-xarf")  # the elder formats of abuse complaints
_EXPLANATION = 2_000


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The data that reading and judging go by, compiled."""

    rules: Ruleset
    marks: Marks


def read(raw: bytes, knowledge: Knowledge, policy: Policy, *, max_recipients: int = 100) -> Reading:
    """Read one returned mail and judge each of its recipients, at most `max_recipients`."""
    mail = message.read(raw, knowledge.marks)
    found = _report(mail, knowledge.marks)
    may_wrap = found.kind in (Kind.OTHER, Kind.BOUNCE) and not notice.is_reply(mail.headers.get("subject"))
    if not found.recipients and may_wrap and mail.inner is not None:
        # Forwarded by a person, a list or a gateway: the report is the message inside. A mail that names
        # somebody as failed is a report itself, and what it returns is never believed.
        inner = message.of_part(mail.inner, knowledge.marks)
        wrapped = _report(inner, knowledge.marks)
        if wrapped.recipients:
            mail, found = inner, wrapped
    found = _identified(found, mail)
    chosen, left_out = recipients.choose(found, max_recipients)
    if found.source == "delivery-status":
        chosen = _explained(chosen, mail.notice)
        found = replace(found, recipients=tuple(recipient.report for recipient in chosen))
    verdicts = tuple(_verdict(recipient, found, knowledge.rules, policy) for recipient in chosen)
    return Reading(found, verdicts, _identity(found, raw), left_out)


def _report(mail: ReturnedMail, marks: Marks) -> Report:
    """What the mail reports, by the most trustworthy form that it has."""
    if mail.feedback is not None or any(name in mail.headers for name in _COMPLAINT_FIELDS):
        return _feedback(mail.feedback or "")
    found = (
        _structured(mail.status or mail.fields_in_text, mail, marks)
        or notification.read(mail)
        or notice.read(mail, marks)
    )
    if found is not None and found.recipients:
        return found
    if found is None and (kind := _kind_of_other_mail(mail, marks)):
        return Report(kind)
    return heuristics.read(mail) or found or Report(Kind.OTHER)


def _structured(text: str | None, mail: ReturnedMail, marks: Marks) -> Report | None:
    """RFC 3464; None when the fields in `text` name no recipient."""
    if not text:
        return None
    fields = report.read(text)
    entries = fields.recipients
    named = mailbox.find_all(mail.headers.get("x-failed-recipients"))
    if len(entries) == len(named) == 1 and not _is_mailbox(entries[0]):
        # Exim names a file or a pipe as the final recipient of local mail, and the address in its header.
        entries = (replace(entries[0], original_recipient=named[0]),)
    if not any(entry.final_recipient or entry.original_recipient for entry in entries):
        return None
    undecided = any(entry.action is None for entry in entries)
    doubt = Action.DELAYED if undecided and "delayed" in marks.says(mail.notice) else Action.FAILED
    decided = tuple(entry if entry.action else replace(entry, action=doubt) for entry in entries)
    actions = {entry.action for entry in decided}
    kind = Kind.DELIVERED
    if Action.FAILED in actions:
        kind = Kind.BOUNCE
    elif Action.DELAYED in actions:
        kind = Kind.DELAYED
    return Report(
        kind=kind,
        recipients=decided,
        reporting_mta=fields.reporting_mta,
        envelope_id=fields.envelope_id,
        arrival=fields.arrival,
        source="delivery-status",
        problems=fields.problems,
        unread=fields.unread,
    )


def _is_mailbox(entry: RecipientReport) -> bool:
    return any(address and "@" in address for address in (entry.original_recipient, entry.final_recipient))


def _explained(chosen: tuple[Recipient, ...], text: str) -> tuple[Recipient, ...]:
    """Each recipient with what the notice says of it; all of it, where there is but one and it is not named."""
    explained = []
    for recipient in chosen:
        entry = recipient.report
        named = filter(None, (entry.final_recipient, entry.original_recipient))
        explanation = next(filter(None, (notice.explanation_of(address, text) for address in named)), "")
        if len(chosen) == 1 and not explanation:
            explanation = " ".join(text[: 2 * _EXPLANATION].split())[:_EXPLANATION]
        explained.append(Recipient(recipient.address, replace(entry, explanation=explanation)))
    return tuple(explained)


def _feedback(text: str) -> Report:
    """RFC 5965: who complained, where the report says so."""
    fields = [(name, value) for name, value, _ in report.fields(text[: report.MAX_TEXT])]
    named = " ".join(value for name, value in fields if name in ("original-rcpt-to", "removal-recipient"))
    addresses = dict.fromkeys(mailbox.find_all(named))
    single = dict(fields)
    return Report(
        Kind.FEEDBACK,
        tuple(RecipientReport(final_recipient=address) for address in addresses),
        reporting_mta=(single.get("reporting-mta", "").rpartition(";")[2].strip() or None),
        envelope_id=single.get("original-envelope-id") or None,
        source="feedback-report",
    )


def _kind_of_other_mail(mail: ReturnedMail, marks: Marks) -> Kind | None:
    """A complaint by its subject; an autoreply by RFC 3834 section 5, and by what mail programs wrote before it."""
    headers = mail.headers
    heading = marks.says(headers.get("subject"))
    if "feedback" in heading:
        return Kind.FEEDBACK
    is_automatic = (
        headers.get("auto-submitted").lower().startswith(("auto-replied", "auto-generated", "auto-notified"))
        or any(name in headers for name in _AUTOREPLY_FIELDS)
        or headers.get("precedence").lower() == "auto_reply"
        or "autoreply" in heading | marks.says(mail.notice)
    )
    return Kind.AUTOREPLY if is_automatic else None


def _identified(found: Report, mail: ReturnedMail) -> Report:
    """The report with the identifiers that the mail around it carries."""
    returned = mail.returned
    addressees = tuple(mailbox.find_all(f"{returned.get('to')} {returned.get('cc')}")) if returned else ()
    recipients = found.recipients
    if found.kind is Kind.BOUNCE and not recipients and len(addressees) == 1:
        # The report names nobody, and the returned mail had one recipient: nobody else can be meant.
        explanation = " ".join(mail.notice[:_EXPLANATION].split())
        recipients = (
            RecipientReport(final_recipient=addressees[0], action=Action.FAILED, explanation=explanation),
        )
    return replace(
        found,
        recipients=recipients,
        original_message_id=found.original_message_id
        or _message_id(returned.get("message-id") if returned else ""),
        own_message_id=_message_id(mail.headers.get("message-id")),
        addressees=addressees,
        arrival=found.arrival or _date(mail.headers.get("date")),
    )


def _message_id(value: str) -> str | None:
    return value.split(maxsplit=1)[0][:250] if value.strip() else None


def _date(value: str) -> int | None:
    try:
        parsed = parsedate_tz(value[:100])
        return int(mktime_tz(parsed)) if parsed else None
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _identity(found: Report, raw: bytes) -> str:
    """The returned message's identity: by it a report is counted once, however often it comes."""
    known = found.original_message_id or found.envelope_id or found.own_message_id
    return known or hashlib.sha256(raw).hexdigest()


def _verdict(recipient: Recipient, found: Report, rules: Ruleset, policy: Policy) -> Verdict:
    entry = recipient.report
    evidence = recipients.evidence(entry, found)
    judged = Classification(Category.OTHER, "")
    if entry.action in (Action.FAILED, Action.DELAYED):
        judged = classify(evidence, rules)
    specific = status.find(entry.diagnostic or "")
    return Verdict(
        recipient=recipient.address,
        final_recipient=entry.final_recipient,
        action=entry.action,
        status=entry.status if status.is_specific(entry.status) else specific or entry.status,
        smtp_reply=evidence.reply_code,
        diagnostic=entry.diagnostic,
        remote_mta=entry.remote_mta,
        category=judged.category,
        severity=policy.severity_of(judged.category) if entry.action is Action.FAILED else Severity.NONE,
        rule=judged.rule,
        runners_up=judged.runners_up,
    )
