"""Reports of the kinds that mail servers send, made to measure: own wording, RFC 3464 form."""

from collections.abc import Iterable
from typing import NamedTuple


class Fate(NamedTuple):
    """What became of one recipient."""

    recipient: str
    status: str = "5.1.1"
    diagnostic: str = "smtp; 550 5.1.1 User unknown"
    action: str = "failed"


SOFT = ("4.2.2", "smtp; 452 4.2.2 Mailbox is over quota")


def postfix_style(fates: Iterable[Fate], message_id: str, *, padding: int = 0) -> bytes:
    """A multipart/report as Postfix lays it out, about the message `message_id`."""
    fates = tuple(fates)
    told = "\n".join(f"<{fate.recipient}>: {fate.diagnostic.partition('; ')[2]}" for fate in fates)
    groups = "\n\n".join(
        f"Final-Recipient: rfc822; {fate.recipient}\nOriginal-Recipient: rfc822;{fate.recipient}\n"
        f"Action: {fate.action}\nStatus: {fate.status}\nRemote-MTA: dns; mx.example.org\n"
        f"Diagnostic-Code: {fate.diagnostic}"
        for fate in fates
    )
    return _crlf(f"""\
From: MAILER-DAEMON@relay.example.net (Mail Delivery System)
To: bounces@bounces.example.com
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="part/relay.example.net"
Message-Id: <report-{message_id}@relay.example.net>

--part/relay.example.net
Content-Type: text/plain; charset=us-ascii

Your message could not be delivered as you wished:

{told}

--part/relay.example.net
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.example.net
Arrival-Date: Sun, 22 Nov 2026 03:00:00 +0000 (UTC)

{groups}

--part/relay.example.net
Content-Type: text/rfc822-headers

From: News <news@example.com>
To: {fates[0].recipient}
Subject: Our letter
Message-ID: <{message_id}@app.example.com>
X-Padding: {"x" * padding}

--part/relay.example.net--
""")


def exim_style(fate: Fate, message_id: str) -> bytes:
    """A report as Exim 4 lays it out: the whole message comes back, the fields without Original-Recipient."""
    return _crlf(f"""\
X-Failed-Recipients: {fate.recipient}
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@exim.example.net>
To: bounces@bounces.example.com
Content-Type: multipart/report; report-type=delivery-status; boundary=exim-1
MIME-Version: 1.0
Subject: Mail delivery failed: returning message to sender
Message-Id: <report-{message_id}@exim.example.net>

--exim-1
Content-type: text/plain; charset=us-ascii

A message that you sent could not be delivered to one recipient:

  {fate.recipient}
    {fate.diagnostic.partition("; ")[2]}

--exim-1
Content-type: message/delivery-status

Reporting-MTA: dns; exim.example.net

Action: {fate.action}
Final-Recipient: rfc822;{fate.recipient}
Status: {fate.status}
Remote-MTA: dns; mx.example.org
Diagnostic-Code: {fate.diagnostic}

--exim-1
Content-type: message/rfc822

From: news@example.com
To: {fate.recipient}
Message-ID: <{message_id}@app.example.com>

The letter.

--exim-1--
""")


def soft(recipient: str, message_id: str) -> bytes:
    """A report of a full mailbox."""
    return postfix_style([Fate(recipient, *SOFT)], message_id)


def hard(recipient: str, message_id: str) -> bytes:
    """A report of an unknown user."""
    return postfix_style([Fate(recipient)], message_id)


def delivered(recipient: str, message_id: str) -> bytes:
    """A success report, RFC 3461 section 4.1."""
    return postfix_style([Fate(recipient, "2.0.0", "smtp; 250 2.0.0 Ok", "delivered")], message_id)


def delayed(recipient: str, message_id: str) -> bytes:
    """A warning that the message is still being tried."""
    return postfix_style(
        [Fate(recipient, "4.4.1", "smtp; 421 4.4.1 Connection timed out", "delayed")], message_id
    )


def _crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()
