"""Enhanced status codes and replies are found where servers write them, and nowhere else."""

import pytest

from bounced.core import status


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("5.1.1", "5.1.1"),
        (" #5.2.2", "5.2.2"),
        ("5.1.1 (permanent failure)", "5.1.1"),
        ("5.7.606", "5.7.606"),
        ("005.1.1", None),
        ("5.01.010", "5.1.10"),
        ("3.1.1", None),
        ("5.1", None),
        ("5.1.1.1", None),
        ("5.1.1234", None),
        ("", None),
    ],
)
def test_a_status_field_is_its_code(field, code):
    assert status.normalise(field) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("550 5.1.1 user unknown", "5.1.1"),
        ("sorry, no mailbox here by that name. (#5.1.1)", "5.1.1"),
        ("550-5.7.26 unauthenticated", "5.7.26"),
        ("550 5.0.0 said: 550 5.2.1 disabled", "5.2.1"),
        ("550 5.0.0 no more than that", "5.0.0"),
        ("451 4.7.23 try again", "4.7.23"),
        ("host mx[92.5.1.10] refused", None),
        ("5.1.1.1 is no code", None),
        ("Exim 4.97.1 and v5.1.2", None),
        ("id 15.1.1", None),
        ("nothing here", None),
    ],
)
def test_the_code_in_a_text_is_found(text, code):
    assert status.find(text) == code


@pytest.mark.parametrize(
    ("code", "says_something"), [("5.1.1", True), ("5.0.0", False), ("4.0.5", False), (None, False)]
)
def test_a_code_that_only_has_a_class_says_nothing(code, says_something):
    assert status.is_specific(code) is says_something


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("550 5.1.1 user unknown", ("550", "5.1.1", "user unknown")),
        ("550-5.1.1 no\n550 5.1.1 such user", ("550", "5.1.1", "no such user")),
        ("550-5.1.1 no 550-5.1.1 such 550 5.1.1 user", ("550", "5.1.1", "no such user")),
        ("host mx.example.org said: 552 full", ("552", None, "host mx.example.org said: 552 full")),
        ("smtp;421 busy", ("421", None, "smtp;421 busy")),
        ("552 5.2.2", ("552", "5.2.2", "")),
        ("571 banned", ("571", None, "banned")),
        ("limit of 500 messages", (None, None, "limit of 500 messages")),
        ("it failed, 554 5.7.1 refused", ("554", "5.7.1", "it failed, refused")),
        ("no reply at all", (None, None, "no reply at all")),
    ],
)
def test_a_reply_is_taken_apart(text, reply):
    assert (status.reply_code(text), status.find(text), " ".join(status.words(text).split())) == reply


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("550 no (in reply to RCPT TO command)", "RCPT"),
        ("554 no (in reply to end of DATA command)", "DATA"),
        (">>> MAIL From:<news@example.com>\n<<< 250 ok\n>>> RCPT To:<jane@example.org>\n<<< 550 no", "RCPT"),
        ("while talking to mail.example.org: 550 no", None),
        ("SMTP error from remote mail server after MAIL FROM:<a@b.example>", "MAIL"),
        (">>> STARTTLS", "STARTTLS"),
        ("550 no such user", None),
    ],
)
def test_the_refused_command_is_found(text, command):
    assert status.command(text) == command
