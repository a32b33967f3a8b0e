"""flufl.bounce as the last resort: what it finds, in whose mail, and that its faults stay its own."""

from importlib.resources import files

from bounced.core import heuristics, marks, message
from bounced.core.model import Action, Kind

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

This message was created automatically by the mail system.
A message that you sent has not yet been delivered to one or more of its recipients
after more than 24 hours on the queue.

The following address(es) are still in the queue:

  jane@example.org
    Delay reason: connection refused

The original message was received at Sun, 3 Mar 2002 10:00:00 +0100
    **********************************************
    **      THIS IS A WARNING MESSAGE ONLY      **
    **  YOU DO NOT NEED TO RESEND YOUR MESSAGE  **
    **********************************************

   ----- The following addresses had transient non-fatal errors -----
<jane@example.org>

   ----- Transcript of session follows -----
"""


def read(text):
    return heuristics.read(message.read(text.encode(), MARKS))


def test_a_permanent_failure():
    report = read(PERMANENT)
    assert report.kind is Kind.BOUNCE
    assert report.source == "flufl"
    (recipient,) = report.recipients
    assert (recipient.final_recipient, recipient.action) == ("jane@example.org", Action.FAILED)
    assert "no mailbox here" in recipient.explanation


def test_nothing_is_found_in_a_letter():
    assert read(PERMANENT.replace("MAILER-DAEMON@relay.example.net", "joe@example.com")) is None
    assert read("From: MAILER-DAEMON@relay.example.net\n\nHello") is None
