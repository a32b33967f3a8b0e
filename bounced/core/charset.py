"""Guess the character set of text that does not say, or says wrong: bytes in, a codec's name or None out.

Only scripts that cannot be mistaken are known: text in Cyrillic or in an East Asian script has hardly anything but
its own letters among the octets above 127, in runs, while those of Latin-1 stand alone between ASCII letters. What
fits no guess is not guessed. Linear in the length of the sample, never raises.
"""

import re

SAMPLE = 4_096  # octets that are looked at
LEAST = 8  # octets above 127: fewer say nothing
MOST = 0.9  # the share of them that must fit

_ASCII = bytes(range(128))
# Cyrillic: all letters, and words of small ones after a first. KOI8 and Windows have small and capital the other way
# round, so that each read as the other has words like "pOCTA".
_CYRILLIC = (
    (
        "koi8_r",
        re.compile(rb"[\xa3\xb3\xc0-\xff]"),
        re.compile(rb"(?<![\x80-\xff])[\xb3\xc0-\xff]?[\xa3\xc0-\xdf]{2,}(?![\x80-\xff])"),
    ),
    (
        "cp1251",
        re.compile(rb"[\xa8\xaa\xaf\xb2\xb3\xb8\xba\xbf\xc0-\xff]"),
        re.compile(
            rb"(?<![\x80-\xff])[\xa8\xaa\xaf\xb2\xc0-\xff]?[\xb3\xb8\xba\xbf\xe0-\xff]{2,}(?![\x80-\xff])"
        ),
    ),
)
# Pairs of octets, the ones that every text in the language has: kana, hangul, the first level of hanzi.
_PAIRS = (
    ("cp932", re.compile(rb"[\x82\x83][\x40-\x7e\x80-\xfc]"), 0.3),
    ("euc_jp", re.compile(rb"[\xa4\xa5][\xa1-\xfe]"), 0.3),
    ("cp949", re.compile(rb"[\xb0-\xc8][\xa1-\xfe]"), MOST - 0.1),
    ("gb18030", re.compile(rb"[\xb0-\xd7][\xa1-\xfe]|[\xa1\xa3][\xa1-\xfe]"), MOST),
    ("big5hkscs", re.compile(rb"[\xa1\xa4-\xc6][\x40-\x7e\xa1-\xfe]"), MOST),
)


def guess(data: bytes) -> str | None:
    """The codec that `data` was written with, when there is no doubt; else None."""
    sample = data[:SAMPLE]
    high = _high(sample)
    if high < LEAST:
        return None
    for codec, letter, word in _CYRILLIC:
        words = sum(map(len, word.findall(sample)))
        if len(letter.findall(sample)) >= MOST * high and words >= MOST / 2 * high:
            return codec
    for codec, pair, share in _PAIRS:
        found = pair.findall(sample)
        if _high(b"".join(found)) >= share * high and _decodes(sample, codec):
            return codec
    return None


def _high(octets: bytes) -> int:
    return len(octets.translate(None, _ASCII))


def _decodes(sample: bytes, codec: str) -> bool:
    return sample.decode(codec, "replace").count("\ufffd") <= 1  # the last character may be cut
