"""Stage: the last resort, flufl.bounce, for reports that nothing else could read.

It tells addresses and whether the failure is permanent, no cause: weak evidence, and marked as such. It gets a
message of our own making, with the header fields that its detectors look at and the capped notice, never the
returned mail: it would believe a report nested there. Its detectors raise on mail that they do not expect
and some are quadratic in the length of a line; hence the bounds and the broad except.
"""

from email.message import Message

from flufl.bounce import all_failures

from bounced.core.model import Action, Kind, RecipientReport, Report
from bounced.core.returned import ReturnedMail

SOURCE = "flufl"
MAX_LINES = 200
MAX_LINE = 200
FIELDS = ("from", "to", "subject", "x-mailer", "auto-submitted", "x-failed-recipients")


def read(mail: ReturnedMail) -> Report | None:
    """The recipients that flufl.bounce finds in the notice of a server; None when it finds none."""
    says = mail.marks.says
    if "server" not in says(mail.headers.get("from")) or "unrelated" in says(mail.subject):
        return None  # it would believe any letter that quotes a report, and any digest
    message = Message()
    for name in FIELDS:
        value = _field(mail, name)
        if value:
            message[name] = value
    lines = mail.notice.split("\n", MAX_LINES)[:MAX_LINES]
    text = "\n".join(line[:MAX_LINE] for line in lines)
    message.set_payload(text.encode("ascii", "replace").decode("ascii"))
    try:
        temporary, permanent = all_failures(message)
    except Exception:  # noqa: BLE001 - any detector may raise anything; what it could not read stays unread
        return None
    failed = sorted(_text(address) for address in permanent)
    delayed = sorted(_text(address) for address in temporary - permanent)
    if not failed and not delayed:
        return None
    explanation = " ".join(text.split())[:2_000]
    recipients = [
        RecipientReport(final_recipient=address, action=action, explanation=explanation)
        for action, addresses in ((Action.FAILED, failed), (Action.DELAYED, delayed))
        for address in addresses
    ]
    return Report(Kind.BOUNCE if failed else Kind.DELAYED, tuple(recipients), source=SOURCE)


def _field(mail: ReturnedMail, name: str) -> str:
    return " ".join(mail.headers.get(name).split())[:MAX_LINE]


def _text(address: bytes | str) -> str:
    return address.decode("utf-8", "replace") if isinstance(address, bytes) else address
