"""The signed return path proves one recipient and one message, and nothing else."""

import subprocess
from typing import Any

import pytest

from bounced.core import returnpath
from bounced.core.address import canonical
from bounced.core.returnpath import NotProven, rid_of, sign, verify

KEY = bytes(range(32))
KEYS = {"aa": KEY}
DOMAIN = "bounce.example.com"
# The published vector: docs/return-path.md.
LOCAL_PART = "b1aauiop5ztkw7qglolxds2h5i7mid000000001gnjw4zcblzdzul3i"
JANE = "jane.doe@example.org"


def signed(**changes):
    arguments: dict[str, Any] = {"kid": "aa", "key": KEY, "mid": "mid000000001", "expires": 20750} | changes
    return sign(JANE, DOMAIN, **arguments)


def test_published_vector():
    assert canonical("Jane.Doe@Example.ORG") == JANE
    assert signed() == f"{LOCAL_PART}@{DOMAIN}"
    assert len(LOCAL_PART) == 55


def test_rid_is_what_standard_tools_compute():
    piped = "openssl dgst -sha256 -binary | base32 | tr A-Z a-z | cut -c1-20"
    run = subprocess.run(piped, shell=True, input=JANE.encode(), capture_output=True, check=True)
    assert run.stdout.decode().strip() == rid_of(JANE)


def test_valid_return_path_proves_recipient_and_message():
    proof = verify(LOCAL_PART, DOMAIN, KEYS, today=20750)
    assert proof.is_about(JANE)
    assert not proof.is_about("john@example.org")
    assert (proof.kid, proof.mid, proof.expires) == ("aa", "mid000000001", 20750)
    assert proof.identity == rid_of(JANE) + "mid000000001"


def test_case_of_a_returned_address_does_not_matter():
    assert verify(LOCAL_PART.upper(), DOMAIN.upper(), KEYS, today=20000).is_about(JANE)


@pytest.mark.parametrize(
    "around", ["prvs=4711abcdef={}", "PRVS=0123456789={}", "{}+jane=example.org", "prvs=4711abcdef={}+x+y"]
)
def test_what_a_gateway_puts_around_it_does_not_matter(around):
    returned = around.format(LOCAL_PART)
    assert returnpath.looks_signed(returned)
    assert verify(returned, DOMAIN, KEYS, today=20000) == verify(LOCAL_PART, DOMAIN, KEYS, today=20000)


@pytest.mark.parametrize("day", [0, 1, 20750, 32767])
def test_every_expiry_day_comes_back(day):
    local_part, _, domain = signed(expires=day).partition("@")
    assert verify(local_part, domain, KEYS, today=0).expires == day


@pytest.mark.parametrize(
    ("local_part", "domain", "keys", "today", "why"),
    [
        ("bounces", DOMAIN, KEYS, 0, "not signed"),
        (LOCAL_PART[:-1], DOMAIN, KEYS, 0, "not signed"),
        (LOCAL_PART + "a", DOMAIN, KEYS, 0, "not signed"),
        (f"prvs=={LOCAL_PART}", DOMAIN, KEYS, 0, "not signed"),
        (f"prvs=4711abcdef={LOCAL_PART[:-1]}+a", DOMAIN, KEYS, 0, "not signed"),
        (f"other=tag={LOCAL_PART}", DOMAIN, KEYS, 0, "not signed"),
        ("b2" + LOCAL_PART[2:], DOMAIN, KEYS, 0, "not signed"),
        (LOCAL_PART, "other.example.com", KEYS, 0, "does not fit"),
        (LOCAL_PART, DOMAIN, {"aa": bytes(32)}, 0, "does not fit"),
        (LOCAL_PART, DOMAIN, {"bb": KEY}, 0, "not known"),
        (LOCAL_PART, DOMAIN, {}, 0, "not known"),
        (LOCAL_PART, DOMAIN, KEYS, 20751, "expired 1 days ago"),
    ],
)
def test_nothing_else_is_proof(local_part, domain, keys, today, why):
    with pytest.raises(NotProven, match=why):
        verify(local_part, domain, keys, today)


def test_any_changed_character_breaks_the_proof():
    for at in range(2, len(LOCAL_PART)):
        changed = "2" if LOCAL_PART[at] != "2" else "3"
        with pytest.raises(NotProven):
            verify(LOCAL_PART[:at] + changed + LOCAL_PART[at + 1 :], DOMAIN, KEYS, today=0)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kid": "AA"}, "key name"),
        ({"mid": "short"}, "message name"),
        ({"key": bytes(31)}, "at least 32"),
        ({"expires": 1 << 15}, "expiry day"),
        ({"expires": -1}, "expiry day"),
    ],
)
def test_sign_says_what_is_wrong(changes, why):
    with pytest.raises(ValueError, match=why):
        signed(**changes)


def test_looks_signed():
    assert returnpath.looks_signed(LOCAL_PART.upper())
    assert not returnpath.looks_signed("bounces+jane=example.org")
