"""The document for senders says what the code does."""

import re
from pathlib import Path

import pytest

from bounced.core.address import canonical
from bounced.core.naming import name_of

DOCUMENT = (Path(__file__).parents[2] / "docs" / "redis.md").read_text("utf-8")
VECTORS = re.findall(r"^\| `(\S.*@\S*)` \| `(\S*)` \|$", DOCUMENT, re.MULTILINE)


def test_the_document_has_vectors():
    assert len(VECTORS) == 8


@pytest.mark.parametrize(("written", "key"), VECTORS)
def test_an_address_is_written_as_documented(written, key):
    address = canonical(written)
    assert address is not None
    assert name_of(address) == key


def test_a_long_address_is_written_as_documented():
    assert f"`{name_of('x' * 400 + '@example.org')}`" in DOCUMENT
