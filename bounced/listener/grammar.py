"""The grammar of command lines and their arguments: RFC 5321 section 4.1, with RFC 6531 section 3.3 for UTF-8.

Every pattern is linear: no two neighbours in it can match the same character.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

# RFC 5321 section 4.5.3.1.4, and what BODY, SIZE and SMTPUTF8 add to it (RFC 6152, 1870 and 6531).
COMMAND_LENGTH = 512 + 17 + 26 + 10
CONTROL = re.compile(rb"[\x00-\x1f\x7f]")

# atext of RFC 5322 section 3.2.3 and UTF8-non-ascii of RFC 6531.
ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\u0080-\U0010ffff-]"
# Dot-string = Atom *("." Atom). Lenient: dots may stand anywhere; some carriers gave out such mailboxes.
DOT_STRING = rf"{ATEXT}+"
# Quoted-string = DQUOTE *(qtextSMTP / quoted-pairSMTP) DQUOTE
QUOTED_STRING = r'"(?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*"'
# Domain = sub-domain *("." sub-domain). Lenient: underscores, which real host names have.
DOMAIN = r"[A-Za-z0-9_\u0080-\U0010ffff](?:[A-Za-z0-9_.\u0080-\U0010ffff-]*[A-Za-z0-9_\u0080-\U0010ffff])?"
# address-literal = "[" ( IPv4 / IPv6 / General ) "]"
LITERAL = r"\[[!-Z^-~]+\]"
# Path = "<" [ A-d-l ":" ] Mailbox ">"; section 4.1.1.3: a source route is accepted and ignored.
PATH = rf"<(?:@[^:<> ]+:)?(?P<local_part>{DOT_STRING}|{QUOTED_STRING})@(?P<domain>{DOMAIN}|{LITERAL})>"
# *(SP esmtp-param); section 4.1.1.11
PARAMETERS = r"(?P<parameters>(?: +[A-Za-z0-9][A-Za-z0-9-]*(?:=[^= ]+)?)*) *"

# Lenient: a blank after the colon, which many clients send.
REVERSE_PATH = re.compile(rf"(?i:FROM): ?(?:<>|{PATH}){PARAMETERS}")
# Section 4.1.1.3: "<Postmaster>" alone is an address too.
FORWARD_PATH = re.compile(rf"(?i:TO): ?(?:(?P<postmaster><(?i:postmaster)>)|{PATH}){PARAMETERS}")

# Peers say the same over and over: so many lines and arguments need not be read again.
KNOWN = 256


class Path(Struct, frozen=True):
    """One address of the envelope and the parameters behind it."""

    local_part: str  # "" in the null reverse-path
    domain: str  # as written; "" in the null reverse-path and for a bare postmaster
    parameters: Mapping[str, str]  # by upper-case name; "" for one without a value

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain}" if self.domain else self.local_part


def command(line: bytes) -> tuple[str, str] | str:
    """Read a command line: its name in upper case and its argument, or the reply that refuses it."""
    if len(line) > COMMAND_LENGTH:
        return "500 5.5.2 Line too long"
    return _command(line)


@lru_cache(KNOWN)
def _command(line: bytes) -> tuple[str, str] | str:
    if not line.endswith(b"\r\n") or CONTROL.search(line, 0, len(line) - 2):
        return "501 5.5.2 A command is one line without control characters, ended by CRLF"
    try:
        name, _, argument = line[:-2].decode().partition(" ")
    except UnicodeDecodeError:
        return "501 5.5.2 A command is ASCII or UTF-8"
    return name.upper(), argument.strip(" ")


def refusal(parameters: Mapping[str, str], size_limit: int) -> str:
    """Return the reply that refuses these parameters of MAIL, "" when they are fine. A limit of 0 is none."""
    size = parameters.get("SIZE", "0")
    if not parameters.keys() <= {"SIZE", "BODY", "SMTPUTF8"}:
        return "555 5.5.4 Parameter not supported"
    if not (size.isascii() and size.isdigit() and len(size) <= 20):  # RFC 1870 section 3
        return "501 5.5.4 SIZE is a number of octets"
    if 0 < size_limit < int(size):
        return "552 5.3.4 Message is larger than we take"
    if parameters.get("BODY", "7BIT").upper() not in {"7BIT", "8BITMIME"}:
        return "501 5.5.4 BODY is 7BIT or 8BITMIME"
    return "501 5.5.4 SMTPUTF8 takes no value" if parameters.get("SMTPUTF8") else ""


@lru_cache(KNOWN)
def reverse_path(argument: str) -> Path | None:
    """Read the argument of MAIL, `FROM:<...> [parameters]`; None when it does not follow the grammar."""
    found = REVERSE_PATH.fullmatch(argument)
    return None if found is None else _path(found)


@lru_cache(KNOWN)
def forward_path(argument: str) -> Path | None:
    """Read the argument of RCPT, `TO:<...> [parameters]`; None when it does not follow the grammar."""
    found = FORWARD_PATH.fullmatch(argument)
    if found is None:
        return None
    if found["postmaster"]:
        return Path("postmaster", "", _parameters(found["parameters"]))
    return _path(found)


def _path(found: re.Match[str]) -> Path:
    return Path(found["local_part"] or "", found["domain"] or "", _parameters(found["parameters"]))


def _parameters(text: str) -> dict[str, str]:
    pairs = (parameter.partition("=") for parameter in text.split())
    return {name.upper(): value for name, _, value in pairs}
