"""An unsigned return path names the recipient of a failure that names nobody, and of nothing else."""

import pytest

from bounced.core import verp
from tests.core.reading import GROUP, MESSAGES, dsn, names, read

TO_JANE = "bounces+jane=example.org@bounces.example.com"
TO_OTHER = "bounces+other=example.net@bounces.example.com"
NOBODY = (
    "From: MAILER-DAEMON@mx.example.org\nSubject: failure notice\n\n"
    "Your message could not be delivered: the mailbox is full.\n"
)


@pytest.mark.parametrize(
    ("envelope_recipient", "recipient"),
    [
        ("bounces+jane=example.org@bounces.example.com", "jane@example.org"),
        ("Bounces+Jane.Doe=Example.ORG@bounces.example.com", "jane.doe@example.org"),
        ("bounces+jane+tag=example.org@bounces.example.com", "jane+tag@example.org"),
        ("news-return-42-jane=example.org@bounces.example.com", "jane@example.org"),
        # These mean several addresses, or none.
        ("bounces-anna-maria=example.org@bounces.example.com", None),
        ("bounces+4711-jane=example.org@bounces.example.com", None),
        ("bounces+0b1c-anna-maria=example.org@bounces.example.com", None),
        ("bounces+news-4711-jane=example.org@bounces.example.com", None),
        ("bounces+anna-maria=example.org@bounces.example.com", "anna-maria@example.org"),
        ("bounces+jane2=example.org@bounces.example.com", "jane2@example.org"),
        ("bounces+a=b=example.org@bounces.example.com", None),
        ("bounces+jane=example@bounces.example.com", None),
        ("SRS0+abcd=XY=example.org=jane@bounces.example.com", None),
        ("srs0+jane=example.org@bounces.example.com", None),
        ("prvs=1234567890=jane@bounces.example.com", None),
        ("bounces+token@bounces.example.com", None),
        ("bounces@bounces.example.com", None),
        ("+jane=example.org@bounces.example.com", None),
        ("", None),
        ("a+" + "b" * 70_000 + "=example.org@bounces.example.com", None),
    ],
)
def test_whom_an_envelope_recipient_means(envelope_recipient, recipient):
    assert verp.recipient(envelope_recipient) == recipient


def test_a_failure_that_names_nobody_is_about_the_one_of_its_return_path():
    (verdict,) = read(NOBODY, reported_to=TO_JANE).verdicts
    assert (verdict.recipient, verdict.category, verdict.severity) == (
        "jane@example.org",
        "full-mailbox",
        "soft",
    )


@pytest.mark.parametrize(
    ("trace", "recipients"),
    [
        (
            "Return-Path: <>\nDelivered-To: bounces+jane=example.org@bounces.example.com\n",
            ["jane@example.org"],
        ),
        (
            "Return-Path: <>\nX-Original-To: <bounces+jane=example.org@bounces.example.com>\n",
            ["jane@example.org"],
        ),
        ("Return-Path: <>\nDelivered-To: bounces@bounces.example.com\n", []),
        ("Return-Path: <x@y.example>\nDelivered-To: bounces+jane=example.org@bounces.example.com\n", []),
    ],
)
def test_it_stands_in_the_header_of_mail_that_was_delivered(trace, recipients):
    assert names(read(trace + NOBODY)) == recipients


def test_it_goes_before_a_guess_from_the_returned_header():
    returned = (
        "\n--- Below this line is a copy of the message.\n\nFrom: news@example.com\nTo: list@example.net\n"
    )
    mail = NOBODY + returned
    assert names(read(mail, reported_to=TO_JANE)) == ["jane@example.org"]


def test_whom_a_report_names_it_is_about():
    assert names(read(dsn(GROUP), reported_to=TO_OTHER)) == ["jane@example.org"]


@pytest.mark.parametrize("name", ["vacation", "complaint", "delayed", "delivered"])
def test_what_is_no_failure_is_not_made_one(name):
    assert read(MESSAGES[name], reported_to=TO_OTHER) == read(MESSAGES[name])


def test_a_letter_is_not_made_a_failure():
    letter = "From: Ann <ann@example.org>\nSubject: Hello\n\nHow are you?\n"
    assert names(read(letter, reported_to=TO_OTHER)) == []
