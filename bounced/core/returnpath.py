"""The signed return path: proof, inside the address that a bounce comes back to, of whom we wrote to.

    b1 | kid 2 | expiry 3 | rid 20 | mid 12 | mac 16   @ return-path domain

55 octets of [a-z0-9], so that neither case folding nor any server's idea of a local part harms it.

    kid     names the key            expiry  days since 1970, 15 bits, big-endian
    rid     first 20 characters of SHA-256 of the canonical recipient
    mid     names the message, the same on every retry: one a message and recipient
    mac     first 16 characters of HMAC-SHA-256 with the key, over all before it, "@" and the lower-case domain

Numbers and digests are in base32 (RFC 4648 section 6), lower-case, without padding. Whoever holds such an address
has had our mail to that recipient; a report that comes back to it is about nobody else.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

VERSION = "b1"
KEY_OCTETS = 32  # the least that a key may have
DAYS = 1 << 15  # expiry days that there are: until 2059

# What a gateway of the sender's may have put around it, BATV's "prvs=0123456789=" or a "+extension", proves nothing
# and harms nothing: the signature is that of what is between them.
_TOKEN = re.compile(
    r"(?:prvs=[a-z0-9]{1,20}=)?"
    r"(?P<signed>b1(?P<kid>[a-z0-9]{2})(?P<expiry>[a-z2-7]{3})(?P<rid>[a-z2-7]{20})(?P<mid>[a-z0-9]{12}))"
    r"(?P<mac>[a-z2-7]{16})"
    r"(?:\+.*)?"
)
_KID = re.compile(r"[a-z0-9]{2}")
_MID = re.compile(r"[a-z0-9]{12}")

_PAIRS = [a + b for a in "abcdefghijklmnopqrstuvwxyz234567" for b in "abcdefghijklmnopqrstuvwxyz234567"]

Keys = Mapping[str, bytes]  # kid to secret


class NotProven(ValueError):  # noqa: N818 - it says what is the case
    """The address carries no valid proof; the words say why."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a valid return path proves."""

    kid: str
    expires: int  # the last day on which it holds, since 1970
    rid: str  # whom the message went to
    mid: str  # which message

    @property
    def identity(self) -> str:
        """The identity of the message, by which a report on it is counted once."""
        return f"{self.rid}{self.mid}"

    def is_about(self, address: str) -> bool:
        """Whether the message went to this canonical address."""
        return hmac.compare_digest(rid_of(address), self.rid)


def rid_of(address: str) -> str:
    """The name that a canonical address has in a return path: 20 characters, 100 bits."""
    digest = hashlib.sha256(address.encode("utf-8", "surrogatepass")).digest()
    bits = int.from_bytes(digest[:13], "big") >> 4
    # Two characters at a time: senders name a hundred thousand addresses a second, and base64.b32encode is slow.
    return "".join([_PAIRS[bits >> shift & 1023] for shift in range(90, -1, -10)])


def sign(address: str, domain: str, *, kid: str, key: bytes, mid: str, expires: int) -> str:
    """The return path for a message to `address` (canonical), valid through day `expires` since 1970.

    Raises ValueError when `kid`, `key`, `mid` or `expires` has not the form that the address needs.
    """
    if not _KID.fullmatch(kid):
        raise ValueError(f"key name {kid!r}: two characters of a-z and 0-9")
    if not _MID.fullmatch(mid):
        raise ValueError(f"message name {mid!r}: twelve characters of a-z and 0-9")
    if len(key) < KEY_OCTETS:
        raise ValueError(f"key {kid}: at least {KEY_OCTETS} octets")
    if not 0 <= expires < DAYS:
        raise ValueError(f"expiry day {expires}: days since 1970, below {DAYS}")
    signed = f"{VERSION}{kid}{_base32((expires << 1).to_bytes(2, 'big'))[:3]}{rid_of(address)}{mid}"
    return f"{signed}{_mac(key, signed, domain)}@{domain}"


def looks_signed(local_part: str) -> bool:
    """Whether a local part has the form of a signed one, valid or not."""
    return _TOKEN.fullmatch(local_part.lower()) is not None


def verify(local_part: str, domain: str, keys: Keys, today: int) -> Proof:
    """What the return path proves on day `today` since 1970. Raises NotProven.

    Compared in constant time and in lower case, as some servers change the case of what they return.
    """
    match = _TOKEN.fullmatch(local_part.lower())
    if match is None:
        raise NotProven("not signed")
    key = keys.get(match["kid"])
    if key is None:
        raise NotProven(f"signed with key {match['kid']}, which is not known here")
    if not hmac.compare_digest(_mac(key, match["signed"], domain), match["mac"]):
        raise NotProven(f"signed with key {match['kid']}, and the signature does not fit")
    # Three characters are the 15 upper bits of two octets; a fourth fills them up.
    expires = int.from_bytes(base64.b32decode(match["expiry"].upper() + "A===="), "big") >> 1
    if expires < today:
        raise NotProven(f"expired {today - expires} days ago")
    return Proof(match["kid"], expires, match["rid"], match["mid"])


def _mac(key: bytes, signed: str, domain: str) -> str:
    text = f"{signed}@{domain.lower()}".encode()
    return _base32(hmac.digest(key, text, "sha256"))[:16]


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=").lower()
