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
        ("user(jane@example.org) unknown", ["jane@example.org"]),
        ("<ja(ne@example.org>: no such address", []),
        ("nobody at all", []),
        ("@ @@ a@ @b", []),
    ],
)
def test_find_all(text, found):
    assert mailbox.find_all(text) == found


LONG = "a" * 400

UNUSUAL = [
    "ja`ne@example.org",
    "ja|ne@example.org",
    r'"jane\"doe"@example.org',
    '"jane@home"@example.org',
    '"a b@evil.example"@example.org',
    "o'neil@example.org",
]
# A piece of each of them looks like the address of somebody else.
CUT = [
    'jane+"x"@example.org',
    '"jane".doe@example.org',
    f"{LONG}@example.org",
    f"jane@{'a.' * 140}org",
    f'"{LONG} b@evil.example"@example.org',
    "jane@home@example.org",
    "jane\\@home@example.org",
    "group\\jane@example.org",
]


@pytest.mark.parametrize("address", UNUSUAL)
@pytest.mark.parametrize("text", ["{}", "to {} it failed", "<{}>: failed", "({})"])
def test_an_unusual_local_part_is_taken_whole(address, text):
    assert mailbox.find_all(text.format(address)) == [address]
    assert mailbox.find(text.format(address)) == address


@pytest.mark.parametrize("address", CUT)
@pytest.mark.parametrize("text", ["{}", "to {} it failed", "<{}>: failed", "({})"])
def test_of_an_address_cut_in_the_middle_there_is_none(address, text):
    assert mailbox.find_all(text.format(address)) == []
    assert mailbox.find(text.format(address)) is None


@pytest.mark.parametrize("text", ["'{}'", "`{}`", "`{}'", "|{}|", '"{}"', 'email="{}",', 'see "{}".', "<{}"])
def test_what_encloses_an_address(text):
    assert mailbox.find(text.format("jane@example.org")) == "jane@example.org"


@pytest.mark.parametrize("address", [*UNUSUAL, f"{LONG}@example.org"])
@pytest.mark.parametrize(
    "text",
    [
        "{}",
        " <{}> ",
        "Jane Doe <{}>",
        "<@a.example,@b.example:{}>",
        "mailto:{}",
        "<mailto:{}>",
        "(Jane) {} (x)",
    ],
)
def test_whole(address, text):
    assert mailbox.whole(text.format(address)) == address


@pytest.mark.parametrize(
    "text", ["", "jane", f"jane@{'a.' * 140}org", "Jane Doe jane@example.org", "a@b, c@d"]
)
def test_what_is_not_one_mailbox(text):
    assert mailbox.whole(text) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("about a@example.org <jane@example.org>", "jane@example.org"),
        ("jane@example.org <nobody>", "jane@example.org"),
        ("<@gate.example:jane@example.org>", "jane@example.org"),
        ("doe,jane@example.org", None),  # a local part that nobody may have, and none of its own
        ("doe,jane@example.org, joe@example.org", "joe@example.org"),
        ("joe@example.org,jane@example.org", "joe@example.org"),
        ("jane", None),
        ("jane@", None),
    ],
)
def test_find(text, found):
    assert mailbox.find(text) == found


def test_an_enumeration_without_blanks():
    addresses = ["joe@example.org", "jane@example.org", "ann@example.org"]
    assert mailbox.find_all(",".join(addresses)) == addresses


@pytest.mark.parametrize(
    ("encoded", "text"),
    [("j\\x{FC}rgen", "jürgen"), ("\\x{110000}", "\ufffd"), ("\\x{D800}", "\ufffd"), ("\\x{zz}", "\\x{zz}")],
)
def test_rfc_6533_encodings(encoded, text):
    assert mailbox.decode_utf8_address(encoded) == text
