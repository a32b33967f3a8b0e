"""What the tests of the reader share: its data, and delivery-status reports made to measure."""

from pathlib import Path
from typing import Any

from bounced import knowledge
from bounced.core import pipeline
from bounced.core.model import Reading
from bounced.core.policy import Policy

KNOWN = knowledge.load()
POLICY = Policy()
MESSAGES = {
    path.stem: path.read_bytes() for path in sorted((Path(__file__).parent / "messages").glob("*.eml"))
}

RETURNED = "From: news@example.com\nTo: jane@example.org\nMessage-ID: <letter@app.example.com>\n"
GROUP = "Final-Recipient: rfc822; jane@example.org\nAction: failed\nStatus: 5.1.1\n"


def read(raw: str | bytes, **options: Any) -> Reading:
    return pipeline.read(raw.encode() if isinstance(raw, str) else raw, KNOWN, POLICY, **options)


def dsn(
    fields: str,
    *,
    returned: str = RETURNED,
    notice: str = "It could not be delivered.\n",
    headers: str = "",
    part: str = "Content-Type: message/delivery-status\n",
    returned_type: str = "message/rfc822",
) -> str:
    """A multipart/report about what `fields`, the body of its second part, say."""
    return (
        "From: MAILER-DAEMON@relay.example.net\nTo: bounces@bounces.example.com\nSubject: Undelivered mail\n"
        f"{headers}MIME-Version: 1.0\nMessage-ID: <report@relay.example.net>\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="=_b"\n\n'
        f"--=_b\nContent-Type: text/plain\n\n{notice}\n--=_b\n{part}\n{fields}\n"
        f"--=_b\nContent-Type: {returned_type}\n\n{returned}\nThe letter.\n--=_b--\n"
    )


def status_report(group: str, message: str = "Reporting-MTA: dns; relay.example.net\n") -> str:
    return dsn(f"{message}\n{group}")


def names(reading: Reading) -> list[str]:
    return [verdict.recipient for verdict in reading.verdicts]
