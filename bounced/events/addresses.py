"""Addresses of people in the log: as they are, masked or hashed, in whatever value they stand.

    plain     jane.doe@example.org
    masked    j***@example.org
    hashed    9f86d081884c7d65@example.org     HMAC-SHA-256 with a key of this installation, 64 bits of it

The domain stays in all of them: a log without it tells nothing of deliverability. A hash without a key could be
undone by trying addresses; with the key, who has it can still find the lines about one address.

In diagnostics and return paths the local part may stand alone, or with its "@" encoded: it is replaced there too.
What cannot be found are names in words ("Jane Doe's mailbox").
"""

import hashlib
import hmac
import os
import re
from collections.abc import Callable
from pathlib import Path

from bounced.settings import Addresses

KEY_OCTETS = 32
KEY_FILE = "log.key"

# An address within text: RFC 5321 section 4.1.2, loosely; the "@" also as URLs and quoted-printable write it.
_ADDRESS = re.compile(
    r"""(?P<local>"(?:[^"\\]|\\.){1,256}"|[^\s<>()\[\]"',;:@|]{1,256}?)(?P<at>@|%40|=40|&\#64;)(?P<domain>[^\s<>()\[\]"',;:@|]+)""",
    re.VERBOSE | re.IGNORECASE,
)
# A local part that stands alone is looked for when it is long enough to be somebody's.
_ALONE = 3
# What a message is known by holds its recipient, or a digest of it that anybody can compute.
_IDENTITY = "message_identity"


class Concealer:
    """Replaces every address in the fields of an event."""

    def __init__(self, form: Addresses, key: bytes) -> None:
        self._key = key
        self._local: Callable[[str, str], str] = self._hashed if form is Addresses.HASHED else _masked

    def address(self, address: str) -> str:
        """Return what stands for one canonical address in the log; a name that stands for one is hashed."""
        local, at, domain = address.rpartition("@")
        if not at:
            return f"~{self._digest(address)}"
        return f"{self._local(local, domain)}@{domain}"

    def conceal(self, fields: dict[str, object]) -> None:
        """Replace all addresses in these fields."""
        known = _alone([fields.get("recipient"), fields.get("final_recipient")])
        for name, value in fields.items():
            if isinstance(value, str):
                if name == _IDENTITY:
                    fields[name] = self._digest(value)
                elif name in {"recipient", "final_recipient"}:
                    fields[name] = self.address(value)
                else:
                    fields[name] = self._within(value, known)
            elif isinstance(value, list):
                fields[name] = [
                    self.address(item) if name == "recipients" else self._within(item, known)
                    for item in value
                    if isinstance(item, str)
                ]

    def _within(self, text: str, known: re.Pattern[str] | None) -> str:
        if "@" in text or "%40" in text or "=40" in text or "&#64;" in text:
            text = _ADDRESS.sub(self._replaced, text)
        return text if known is None else known.sub(lambda found: self._local(found[0].lower(), ""), text)

    def _replaced(self, found: re.Match[str]) -> str:
        local = found["local"].lower()
        return f"{self._local(local, found['domain'].lower())}{found['at']}{found['domain']}"

    def _hashed(self, local: str, domain: str) -> str:
        return self._digest(f"{local}@{domain}" if domain else local)

    def _digest(self, text: str) -> str:
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:16]


def _masked(local: str, _domain: str) -> str:
    return f"{local[:1]}***"


def _alone(addresses: list[object]) -> re.Pattern[str] | None:
    """Return what finds the local parts of these where they stand alone."""
    locals_ = {str(address).rpartition("@")[0] for address in addresses if address}
    words = sorted((local for local in locals_ if len(local) >= _ALONE), key=len, reverse=True)
    if not words:
        return None
    return re.compile(rf"(?<![\w.+-])(?:{'|'.join(map(re.escape, words))})(?![\w+-]|\.\w)", re.IGNORECASE)


def key_of(state_dir: Path) -> bytes:
    """Return the key by which this installation hashes addresses, made when there is none. Raises OSError."""
    path = state_dir / KEY_FILE
    state_dir.mkdir(parents=True, exist_ok=True)
    made = state_dir / f"{KEY_FILE}.{os.getpid()}"
    if not path.exists():
        made.touch(mode=0o600)
        made.write_text(os.urandom(KEY_OCTETS).hex() + "\n", "ascii")
        try:
            os.link(made, path)  # whole or not at all, and the first one stays
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return hashlib.sha256(path.read_bytes().strip()).digest()
