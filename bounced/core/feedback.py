"""Stage: abuse complaints, RFC 5965 and the formats before it. They change nothing; who complained is told."""

from bounced.core import fields, mailbox
from bounced.core.model import Kind, RecipientReport, Report
from bounced.core.returned import ReturnedMail

SOURCE = "feedback-report"


def read(mail: ReturnedMail) -> Report | None:
    """The complaint in the fields of `mail`, with the recipients that it names; None when there are none."""
    complaint = mail.feedback
    if complaint is None:
        return (
            Report(Kind.FEEDBACK, source=SOURCE)
            if "x-arf" in mail.headers or "x-xarf" in mail.headers
            else None
        )
    found = [(name, value) for name, value, _ in fields.each(complaint[: fields.MAX_TEXT])]
    named = " ".join(value for name, value in found if name in ("original-rcpt-to", "removal-recipient"))
    single = dict(found)
    return Report(
        Kind.FEEDBACK,
        tuple(RecipientReport(final_recipient=address) for address in dict.fromkeys(mailbox.find_all(named))),
        reporting_mta=single.get("reporting-mta", "").rpartition(";")[2].strip() or None,
        envelope_id=single.get("original-envelope-id") or None,
        source=SOURCE,
    )


def by_subject(mail: ReturnedMail) -> Report | None:
    """A complaint or an opt-out that says so in its subject only; ask this of mail that is nothing else."""
    is_complaint = "feedback" in mail.marks.says(mail.subject)
    return Report(Kind.FEEDBACK, source=SOURCE) if is_complaint else None
