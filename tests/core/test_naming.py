"""A name in a key stands for one address, is what docs/redis.md says, and is never taken for an address."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bounced.core.address import canonical
from bounced.core.naming import KeyForm, hidden_name, is_name, name_of, without_addresses

JANE = "jane@example.org"
LONG = "ü" * 200 + "@example.org"


def test_an_address_is_its_own_plain_name():
    assert name_of(JANE) == JANE


def test_what_cannot_be_seen_is_escaped():
    assert name_of('"jane\u00a0d\toe\u200b"@example.org') == '"jane%C2%A0d%09oe%E2%80%8B"@example.org'


@pytest.mark.parametrize("address", [LONG, "x" * 400 + "@example.org", '"' + " " * 120 + '"@example.org'])
def test_what_is_too_long_is_named_by_its_digest(address):
    assert name_of(address).startswith("~sha256:")
    assert is_name(name_of(address))


def test_the_sha256_form_is_that_of_any_library():
    name = name_of("jäne@example.org", KeyForm.SHA256)
    assert name == hashlib.sha256("jäne@example.org".encode()).hexdigest()
    assert is_name(name)


def test_the_hidden_name_is_the_rid_of_the_return_path():
    assert hidden_name("jane.doe@example.org") == "~p5ztkw7qglolxds2h5i7"
    assert is_name(hidden_name("jane.doe@example.org"))


@pytest.mark.parametrize("form", KeyForm)
@pytest.mark.parametrize("address", [JANE, LONG, '"jane doe"@example.org'])
def test_a_name_stays_as_it_is(form, address):
    name = name_of(address, form)
    assert name_of(name) == name
    assert name_of(hidden_name(address), form) == hidden_name(address)


@given(st.emails() | st.builds("{}@{}".format, st.text(min_size=1), st.text(min_size=1)))
def test_no_address_looks_like_a_name(written):
    address = canonical(written)
    assert address is None or not is_name(address)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("550 5.1.1 <jane@example.org>: user unknown", "550 5.1.1 <*@example.org>: user unknown"),
        ('550 "jane doe"@example.org unknown', "550 *@example.org unknown"),
        ("for jane+news@example.org,joe@example.org", "for *@example.org,*@example.org"),
        ("user unknown", "user unknown"),
    ],
)
def test_no_address_stays_in_a_text(said, kept):
    assert without_addresses(said) == kept
