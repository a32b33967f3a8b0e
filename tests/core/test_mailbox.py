"""Mailboxes in what servers write."""

import pytest

from bounced.core import mailbox


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("jane@example.org", ["jane@example.org"]),
        (
            "Jane <jane@example.org>, 'joe@example.org'; (x@y.example)",
            ["jane@example.org", "joe@example.org", "x@y.example"],
        ),
        ("to jane@example.org.", ["jane@example.org"]),
        ("<@a.example,@b.example:jane@example.org>", ["jane@example.org"]),
        ('"jane.doe"@example.org', ['"jane.doe"@example.org']),
        ("jane@[192.0.2.1]", ["jane@[192.0.2.1]"]),
        ("jürgen@bücher.example", ["jürgen@bücher.example"]),
        ("a.b..c.@docomo.example", ["a.b..c.@docomo.example"]),
        ("bounces+jane=example.org@example.com", ["bounces+jane=example.org@example.com"]),
        ("nobody at all", []),
        ("@ @@ a@ @b", []),
    ],
)
def test_find_all(text, found):
    assert mailbox.find_all(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("about a@example.org <jane@example.org>", "jane@example.org"),
        ("jane@example.org <nobody>", "jane@example.org"),
        ("<@gate.example:jane@example.org>", "jane@example.org"),
        ("jane", None),
        ("jane@", None),
    ],
)
def test_find(text, found):
    assert mailbox.find(text) == found


@pytest.mark.parametrize(
    ("encoded", "text"),
    [("j\\x{FC}rgen", "jürgen"), ("\\x{110000}", "\ufffd"), ("\\x{D800}", "\ufffd"), ("\\x{zz}", "\\x{zz}")],
)
def test_rfc_6533_encodings(encoded, text):
    assert mailbox.decode_utf8_address(encoded) == text
