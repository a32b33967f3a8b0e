"""One spelling for each address, simple enough for a sender to do the same in any language.

Lower-casing the local part merges addresses that RFC 5321 section 2.4 allows to differ: no provider of any
size tells them apart, and reports return them in any case.
"""

import re

import idna

# RFC 5321 section 4.5.3.1 allows 64 + 1 + 255 octets. Some servers take longer ones; beyond this it is noise.
MAX_OCTETS = 1000

# Atom of RFC 5322 section 3.2.3, with the characters beyond ASCII that RFC 6531 section 3.3 adds.
_ATOM = r"[^\x00-\x20()<>\[\]:;@\\,.\"\x7f-\xa0]+"
_QUOTED_DOT_STRING = re.compile(rf'"({_ATOM}(?:\.{_ATOM})*)"')


def canonical(address: str) -> str | None:
    """Return the address as keys and comparisons use it; None when it is no address.

    Trimmed, lower-cased, the domain as A-labels (UTS 46, non-transitional) without a trailing dot, a local
    part without quotes that it does not need (RFC 5321 section 4.1.2). Dots and tags of the local part
    stay: what they mean is the provider's affair. Doing it twice changes nothing.
    """
    local, at, domain = address.strip().rpartition("@")
    if not at or len(address.encode("utf-8", "surrogatepass")) > MAX_OCTETS:
        return None
    domain = _a_labels(domain.lower()).rstrip(".")
    local = local.lower()
    if local.startswith('"') and (unquoted := _QUOTED_DOT_STRING.fullmatch(local)):
        local = unquoted[1]
    if not local or not domain or not domain.isprintable() or " " in domain:
        return None
    return f"{local}@{domain}"


def is_within(host: str, domain: str) -> bool:
    """Say whether a host is this domain or lies in it; both in one case, without a trailing dot."""
    return host == domain or host.endswith(f".{domain}")


def _a_labels(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return domain  # whatever it is, it is always the same
