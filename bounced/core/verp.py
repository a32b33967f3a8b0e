"""Whom a message went to, out of an unsigned variable envelope return path: bounces+jane=example.org@our.example.

It is a claim, no proof: whoever reports can write it, as well as a Final-Recipient. So it is asked only when a
report names nobody, and only forms are read that mean one address: the recipient behind the first "+" (Postfix,
VERP_DELIMITERS "+="), or behind "-return-" and a number (ezmlm), with a single "=" for its "@". A "-" may be part of
the recipient, or end a number of the sender's, as in bounces+4711-jane=example.org, which is read as neither; and SRS
writes other people's addresses into its own.
"""

import re

from bounced.core.address import canonical

_VERP = re.compile(
    r"(?!srs[01]|prvs)[^+=@]{1,64}?(?:\+(?![^=@]{0,64}\d[^=@-]{0,64}-)|-return-\d{1,12}-)(?P<local>[^=@]{1,64})=(?P<domain>[^=@+]{3,255})@[^@]+",
    re.IGNORECASE,
)


def recipient(envelope_recipient: str) -> str | None:
    """The canonical address that the envelope recipient of a report says it is about; None for none."""
    match = _VERP.fullmatch(envelope_recipient)
    return canonical(f"{match['local']}@{match['domain']}") if match and "." in match["domain"] else None
