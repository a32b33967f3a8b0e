"""Find mailboxes in what servers write: addr-specs in running text, and RFC 6533's encoded forms.

`address.canonical` says what an address is called in the store; here it is only found and taken out of its
wrapping (brackets, source routes, comments, punctuation). Linear in the length of the text, never raises.
"""

import re
from collections.abc import Iterable

from bounced.core.once import once

SHORT = 1_000  # characters of a text that is searched as often as somebody asks

# addr-spec, RFC 5322 section 3.4.1, as reports write it: any local part without blanks and brackets, RFC 6531
# letters included. Lenient: a dot at either end of a local part or two in a row, which Japanese carriers sold.
# Possessive, so that nothing is tried twice; and MAX_OCTETS of `address` is the bound of a quoted one.
_DOT_STRING = r"""[^\s<>()\[\]:;,"@\\]"""
_QUOTED = r'"(?:[^"\\\r\n]|\\[^\r\n])'
_LABELS = r"""[^\s<>()\[\]:;,"@\\/`'|!?=&*#%$^+~{}]"""
_DOMAIN = rf"@(?P<domain>\[[0-9A-Za-z.:]{{3,45}}\]|{_LABELS}{{1,255}}+(?!{_LABELS}))"
# In running text a part of an address is somebody else's address: nothing that may belong to it stands at its
# ends. A quotation mark before it opens; one after it closes, and is no end of a quoted local part. A
# parenthesis in a word that does not close is a piece of a local part that nobody can have. What begins with a slash
# is a mailbox where it is X.400's, "/S=Doe/...", else the name of a file.
_ADDRESS = re.compile(
    rf"""(?<![^\s<>()\[\]:;,"])(?<![^\s<>()\[\]:;,=]")"""
    rf"""(?:(?<![A-Za-z0-9]\()|(?=[^\s()]{{1,600}}+\)))(?!/[^\s=@]{{0,320}}+@)"""
    rf"""(?P<local>{_QUOTED}{{1,320}}+"|{_DOT_STRING}{{1,320}}+){_DOMAIN}(?!"?@)"""
)
# The value of a field: one address, bare or after a name in angle brackets, with comments around it.
_WHOLE = re.compile(
    r"(?:\([^()]*+\)\s*+)*+(?:[^<>@]*+<|)\s*+(?:mailto:)?+(?:@[^<>:\s]*+:)?+"
    rf"""(?P<local>{_QUOTED}*+"|{_DOT_STRING}++){_DOMAIN}\s*+>?+\s*+(?:\([^()]*+\)\s*+)*+""",
    re.IGNORECASE,
)
_PAIRS = {
    "'": ("'",),
    "`": ("`", "'"),
    "|": ("|",),
}  # what encloses an address, though a local part may begin with it
# A word and a comma, right before an address.
_WORD_AND_COMMA = re.compile(r"(?:^|[\s<>()\[\]:;\"])[^\s<>()\[\]:;,\"@]{1,64},$")
# What an address goes on with, at either end, that is not all of it.
_BEFORE = re.compile(r"[\w.+=~-]")
_BEHIND = re.compile(r"[\w-]|\.\w")
_SOURCE_ROUTE = re.compile(r"<(?:@[^\s@:,<>]{1,255},?){1,16}:")
# RFC 6533 section 3: utf-8-addr-xtext and -unitext hexpoint, e.g. \x{00E9}
_HEXPOINT = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")


def whole(text: str) -> str | None:
    """The mailbox that `text` is, bare: any local part of RFC 5322; None when it is something else or more."""
    match = _WHOLE.fullmatch(text.strip())
    return f"{match['local']}@{match['domain'].rstrip('.')}" if match else None


def find_all(text: str) -> list[str]:
    """Every mailbox in `text`, bare, in order, as written."""
    if "@" not in text:
        return []
    if "<@" in text:
        text = _SOURCE_ROUTE.sub("<", text)
    return [_bare(match) for match in _ADDRESS.finditer(text, _beginning(text)) if not _is_part(match)]


def find(text: str) -> str | None:
    """The first mailbox in `text`, one in angle brackets before any other; None when there is none."""
    if "@" not in text:
        return None
    if "<@" in text:
        text = _SOURCE_ROUTE.sub("<", text)
    bracket = text.find("<")
    match = _ADDRESS.search(text, bracket + 1) if bracket >= 0 else None
    match = match or _ADDRESS.search(text, _beginning(text))
    if match and _is_part(match):
        return next(iter(find_all(text)), None)
    return _bare(match) if match else None


def position(address: str, text: str) -> int:
    """Where `address` stands in `text`, in either case and not as a part of another; -1: nowhere."""
    if text.isascii():  # as to lower others may change their length
        address, text = address.lower(), text.lower()
    at = text.find(address) if address else -1
    while at >= 0:
        end = at + len(address)
        is_part = _BEFORE.match(text, at - 1) if at else None
        if not (is_part or _BEHIND.match(text, end)):
            break
        at = text.find(address, end)
    return at


class Mailboxes:
    """The mailboxes in the fields of a header, told apart when somebody asks for one that may be among them."""

    def __init__(self, fields: Iterable[str]) -> None:
        self._text = " ".join(fields)
        self._folded = self._text.casefold()

    def __contains__(self, address: str) -> bool:
        """Whether `address` is one of them, in either case."""
        may_be = len(self._folded) > SHORT or address.casefold() in self._folded
        return may_be and address.lower() in self._each

    @once
    def _each(self) -> set[str]:
        return {address.lower() for address in find_all(self._text)}


def decode_utf8_address(text: str) -> str:
    r"""RFC 6533 section 3: resolve \x{HEX} of utf-8-addr-xtext and utf-8-addr-unitext; plain UTF-8 stays."""
    return _HEXPOINT.sub(_point, text)


def _beginning(text: str) -> int:
    """Where the first mailbox begins at the earliest: no blank is in it, unless its local part is quoted."""
    return 0 if '"@' in text else text.rfind(" ", 0, text.find("@")) + 1


def _is_part(match: re.Match[str]) -> bool:
    """Whether a word and a comma stand right before it: "smith,john@...", which nobody may have, is not "john@...".

    Enumerations without blanks have an address before the comma.
    """
    start = match.start()
    if start == 0 or match.string[start - 1] != ",":
        return False
    return _WORD_AND_COMMA.search(match.string[max(0, start - 66) : start]) is not None


def _bare(match: re.Match[str]) -> str:
    local, domain = match.groups()
    if local[0] in _PAIRS and match.string[match.end() : match.end() + 1] in _PAIRS[local[0]]:
        local = local[1:]
    return f"{local}@{domain.rstrip('.')}"


def _point(match: re.Match[str]) -> str:
    point = int(match[1], 16)
    return chr(point) if point < 0x110000 and not 0xD800 <= point < 0xE000 else "\ufffd"
