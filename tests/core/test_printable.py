"""What strangers write cannot move a terminal."""

import pytest

from bounced.core.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("jürgen@exämple.org", "jürgen@exämple.org"),
        ("a\r\nb", r"a\r\nb"),
        ("\x1b[31m\x07\x9b", r"\x1b[31m\x07\x9b"),
        ("\u2028\u202e\ufeff", r"\u2028\u202e\ufeff"),
        ("\udc80", r"\udc80"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown
