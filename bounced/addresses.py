"""Addresses as people and programs write them to us: one address, and nothing around it."""

import re

from bounced.core.address import canonical

# A dot-string, dots anywhere, or a quoted string; a domain name or an address literal (RFC 5321 section 4.1.2).
_MAILBOX = re.compile(
    r"""(?:[^\s<>()\[\]:;@\\,"\x00-\x20\x7f]+|"(?:[^"\\]|\\.)*")@(?:[^\s<>()\[\]:;@\\,"]+|\[[^\s\[\]]+\])"""
)


def given(written: str) -> str | None:
    """The canonical address; None for what is none, or an address with something around it.

    A report may name whatever it likes. Whoever asks about "Jane <jane@example.org>" means jane@example.org, and
    must not hear that nothing is known of the former.
    """
    address = canonical(written)
    return address if address is not None and _MAILBOX.fullmatch(address) else None
