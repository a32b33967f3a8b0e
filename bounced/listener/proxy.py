"""The PROXY protocol, versions 1 and 2: what a proxy in front of us says of the peer behind it.

haproxy's proxy-protocol.txt, sections 2.1 and 2.2. Read only from connections of proxies that the operator
named: anybody else could claim any address with it.
"""

import asyncio
import ipaddress
import struct

from bounced.listener.limits import Address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LONGEST_V1 = 107
# Two addresses and what a proxy adds behind them; one that sends more is none.
LONGEST_V2 = 4096
SECONDS = 5.0

_FORMS = {0x11: ("!4s4sHH", 12), 0x21: ("!16s16sHH", 36)}  # TCP over IPv4, over IPv6


class ProxyError(Exception):
    """What came is no such header."""


async def read_header(reader: asyncio.StreamReader) -> Address | None:
    """Return the peer's address; None: the proxy itself speaks, as for a health check.

    Raises ProxyError, also when nothing came in time, and asyncio.IncompleteReadError at the end.
    """
    try:
        async with asyncio.timeout(SECONDS):
            start = await reader.readexactly(len(SIGNATURE))
            return await (_version_2(reader) if start == SIGNATURE else _version_1(start, reader))
    except (TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
        raise ProxyError from error


async def _version_1(start: bytes, reader: asyncio.StreamReader) -> Address | None:
    line = start if start.endswith(b"\r\n") else start + await reader.readuntil(b"\n")
    if len(line) > LONGEST_V1 or not line.endswith(b"\r\n"):
        raise ProxyError
    match line[:-2].decode("ascii").split(" "):
        case ["PROXY", "UNKNOWN", *_]:
            return None
        case ["PROXY", "TCP4" | "TCP6" as family, source, _, port, _]:
            address = Address.of((source, int(port)))
            if ipaddress.ip_address(source).version != int(family[3]) or not 0 <= address.port <= 65535:
                raise ProxyError
            return address
    raise ProxyError


async def _version_2(reader: asyncio.StreamReader) -> Address | None:
    command, form, length = struct.unpack("!BBH", await reader.readexactly(4))
    if command not in (0x20, 0x21) or length > LONGEST_V2:
        raise ProxyError
    block = await reader.readexactly(length)
    if command == 0x20 or form == 0:  # LOCAL; UNSPEC
        return None
    if form not in _FORMS or length < _FORMS[form][1]:
        raise ProxyError
    layout, size = _FORMS[form]
    source, _, port, _ = struct.unpack(layout, block[:size])
    return Address.of((str(ipaddress.ip_address(source)), port))
