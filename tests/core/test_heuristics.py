"""flufl.bounce as the last resort: what it finds, in whose mail, and that its faults stay its own."""

from importlib.resources import files

from bounced.core import heuristics, marks, message
from bounced.core.model import Action, Kind, Report

MARKS = marks.load(files("bounced.core").joinpath("notices.toml").read_text("utf-8"))
PERMANENT = """\
From: MAILER-DAEMON@relay.example.net
To: news@sender.example
Subject: failure notice

Hi. This is the qmail-send program at relay.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<jane@example.org>:
Sorry, no mailbox here by that name. (#5.1.1)
"""
TEMPORARY = """\
From: MAILER-DAEMON@relay.example.net
To: news@sender.example
Subject: Warning

Your message has not yet been delivered to

  <jane@example.org>

No action is required on your part.
"""


def read(text: str) -> Report | None:
    return heuristics.read(message.read(text.encode(), MARKS))


def test_a_digest_that_quotes_a_report():
    digest = PERMANENT.replace("failure notice", "Postmasters Digest, Vol 4, Issue 1")
    assert read(digest.replace("MAILER-DAEMON", "postmasters-request")) is None


def test_a_permanent_failure():
    report = read(PERMANENT)
    assert report is not None
    assert report.kind is Kind.BOUNCE
    assert report.source == "flufl"
    (recipient,) = report.recipients
    assert (recipient.final_recipient, recipient.action) == ("jane@example.org", Action.FAILED)
    assert "no mailbox here" in recipient.explanation


def test_nothing_is_found_in_a_letter():
    assert read(PERMANENT.replace("MAILER-DAEMON@relay.example.net", "joe@example.com")) is None
    assert read("From: MAILER-DAEMON@relay.example.net\n\nHello") is None


def test_a_temporary_failure():
    report = read(TEMPORARY)
    assert report is not None
    assert report.kind is Kind.DELAYED
    assert [(r.final_recipient, r.action) for r in report.recipients] == [
        ("jane@example.org", Action.DELAYED)
    ]


def test_a_detector_that_fails_finds_nothing(monkeypatch):
    # No mail is known to us that makes today's detectors raise; those of earlier releases did.
    def failing(_message):
        raise IndexError

    monkeypatch.setattr(heuristics, "all_failures", failing)
    assert read(PERMANENT) is None
