"""How an address is named in a key of Redis: docs/redis.md publishes it, senders rely on it.

An address has an "@", a name that stands for one has none, so neither is ever taken for the other:

    jane@example.org                the address itself (plain)
    77cb0f1d6c1a...                 SHA-256 of the address, hexadecimal (sha256)
    ~sha256:a640eddd6bf3...         SHA-256 of one that is too long for a key (plain)
    ~p5ztkw7qglolxds2h5i7           whom a signed return path names, where no report told the address
"""

import hashlib
import re
import unicodedata
from enum import StrEnum

from bounced.core.returnpath import rid_of

MAX_NAME_OCTETS = 320  # 64 + "@" + 255: RFC 5321 section 4.5.3.1

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
_LOCAL_PART = re.compile(r"(?:\"[^\"]*\"|[^\s<>()\[\]\"',;:@]+)(?=@)")
_NAME = re.compile(r"[0-9a-f]{64}|~sha256:[0-9a-f]{64}|~[a-z2-7]{20}")


class KeyForm(StrEnum):
    """What stands in a key for an address."""

    PLAIN = "plain"
    SHA256 = "sha256"  # for those who must not keep addresses


def name_of(address: str, form: KeyForm = KeyForm.PLAIN) -> str:
    """The name of a canonical address; what is such a name already stays as it is.

    Plain: blanks, controls and invisible characters are percent-escaped, octet by octet of UTF-8, and what is
    then longer than an address may be becomes "~sha256:" and the digest of it.
    """
    if "@" not in address:
        return address
    if form is KeyForm.SHA256:
        return hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()
    if address.isascii() and address.isprintable() and " " not in address:
        name = address  # as nearly all are: senders name a hundred thousand a second
    else:
        name = "".join(
            "".join(f"%{octet:02X}" for octet in char.encode("utf-8", "surrogatepass"))
            if unicodedata.category(char) in _UNSEEN
            else char
            for char in address
        )
    if len(name) * 4 > MAX_NAME_OCTETS and len(name.encode()) > MAX_NAME_OCTETS:
        return f"~sha256:{hashlib.sha256(name.encode()).hexdigest()}"
    return name


def hidden_name(address: str) -> str:
    """The name under which a canonical address is kept when a forwarder hid it: the return path's `rid`."""
    return f"~{rid_of(address)}"


def is_name(text: str) -> bool:
    """Whether this is a name that stands for an address, as an export of the keys writes it."""
    return _NAME.fullmatch(text) is not None


def without_addresses(text: str) -> str:
    """The text with "*" for the local part of each address in it: for those who must not keep addresses."""
    return _LOCAL_PART.sub("*", text)
