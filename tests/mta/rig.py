"""Sends every message of `fates.py` through one mail server and waits until all its reports have come back.

Every message goes out once for each return path, so that one run shows both what the reports looked like
and what the daemon made of them.
"""

import queue
import smtplib
import time
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from .destination import Destination
from .fates import MESSAGES, Fate
from .server import MailServer, Surroundings

PATIENCE = 45  # seconds for all the reports of one server


class ReturnPath(Protocol):
    """Where reports go: a listener on a port of 127.0.0.1."""

    domain: str
    port: int
    reported: "queue.Queue[str]"  # recipients: each once for every report about it


def run(kind: type[MailServer], return_paths: Sequence[ReturnPath]) -> str:
    """Have a server report all fates to every return path, and return what the server logged.

    Gives up after PATIENCE seconds without a word: what is missing is for the test of its fate to say.
    """
    routes = {path.domain: ("127.0.0.1", path.port) for path in return_paths}
    with Destination() as destination, kind(Surroundings(destination.address, routes)) as server:
        for path in return_paths:
            for message in MESSAGES:
                _submit(server, message, path.domain)
        missing = {path.domain: _reports(server) for path in return_paths}
        warnings = _reports(server, stays_delayed=True)
        deadline = time.monotonic() + PATIENCE
        while any(missing.values()) and time.monotonic() < deadline:
            for path in return_paths:
                missing[path.domain] -= _next(path.reported)
            if not any(warnings & still for still in missing.values()):
                destination.relent()
            server.retry()
        return server.log_text()


def _reports(server: MailServer, *, stays_delayed: bool = False) -> Counter[str]:
    """How many reports to expect for each recipient, or for each of those who are only ever delayed."""
    fates = server.fates()
    if stays_delayed:
        fates = tuple(fate for fate in fates if fate.actions == {"delayed"})
    return Counter({fate.address(server.name): len(fate.actions) for fate in fates if fate.actions})


def _next(reported: "queue.Queue[str]") -> Counter[str]:
    """What has been reported by now, after up to half a second for the first to come."""
    seen: Counter[str] = Counter()
    try:
        seen[reported.get(timeout=0.5)] += 1
        while True:
            seen[reported.get_nowait()] += 1
    except queue.Empty:
        return seen


def _submit(server: MailServer, message: Sequence[Fate], domain: str) -> None:
    """One message, whose recipients meet these fates; its reports go to the return path at `domain`."""
    name = message[0].message or message[0].name
    recipients = [fate.address(server.name) for fate in message]
    text = (
        f"From: News <news@{domain}>\r\nTo: {', '.join(recipients)}\r\nSubject: {name}\r\n"
        f"Message-ID: <{name}.{server.name}@{domain}>\r\nDate: Mon, 01 Jun 2026 10:00:00 +0000\r\n\r\n"
        "Hello\r\n"
    )
    with smtplib.SMTP("127.0.0.1", server.port, timeout=30) as client:
        client.ehlo("client.example")
        notify = [f"NOTIFY={message[0].notify}"] if message[0].notify and client.has_extn("dsn") else []
        client.sendmail(f"returns@{domain}", recipients, text, rcpt_options=notify)
