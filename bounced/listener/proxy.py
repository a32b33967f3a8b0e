"""The PROXY protocol, versions 1 and 2: what a proxy in front of us says of the peer behind it.

haproxy's proxy-protocol.txt, sections 2.1 and 2.2. Read only from connections of proxies that the operator
named: anybody else could claim any address with it.
"""

import ipaddress
import struct

from bounced.listener.limits import Address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LONGEST_V1 = 107
# Two addresses and what a proxy adds behind them; one that sends more is none.
LONGEST_V2 = 4096
# Until when it has to come, in seconds.
SECONDS = 5.0

_FORMS = {0x11: ("!4s4sHH", 12), 0x21: ("!16s16sHH", 36)}  # TCP over IPv4, over IPv6

Header = tuple[
    Address | None, int
]  # the peer, None: the proxy itself speaks, as for a health check; its length


class ProxyError(Exception):
    """What came is no such header."""


def read_header(octets: bytes) -> Header | None:
    """Read the header that these octets begin with; None: it is not whole. Raises ProxyError."""
    if len(octets) < len(SIGNATURE):
        return None
    try:
        return _version_2(octets) if octets.startswith(SIGNATURE) else _version_1(octets)
    except ValueError as error:
        raise ProxyError from error


def _version_1(octets: bytes) -> Header | None:
    length = octets.find(b"\n", 0, LONGEST_V1) + 1
    if not length and len(octets) < LONGEST_V1:
        return None
    line = octets[:length]
    if not line.endswith(b"\r\n"):
        raise ProxyError
    match line[:-2].decode("ascii").split(" "):
        case ["PROXY", "UNKNOWN", *_]:
            return None, length
        case ["PROXY", "TCP4" | "TCP6" as family, source, _, port, _]:
            address = Address.of((source, int(port)))
            if ipaddress.ip_address(source).version != int(family[3]) or not 0 <= address.port <= 65535:
                raise ProxyError
            return address, length
    raise ProxyError


def _version_2(octets: bytes) -> Header | None:
    start = len(SIGNATURE) + 4
    if len(octets) < start:
        return None
    command, form, size = struct.unpack_from("!BBH", octets, len(SIGNATURE))
    if command not in (0x20, 0x21) or size > LONGEST_V2:
        raise ProxyError
    length = start + size
    if len(octets) < length:
        return None
    if command == 0x20 or form == 0:  # LOCAL; UNSPEC
        return None, length
    if form not in _FORMS or size < _FORMS[form][1]:
        raise ProxyError
    source, _, port, _ = struct.unpack_from(_FORMS[form][0], octets, start)
    return Address.of((str(ipaddress.ip_address(source)), port)), length
