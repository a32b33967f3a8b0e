"""Behind a proxy the peer is whom the proxy names, and only a proxy is believed."""

import ipaddress
import struct

import pytest

from bounced.listener.limits import TOO_MANY_OF_YOURS
from bounced.settings import Network
from tests.listener.dialogue import listening

PROXIES = {"proxies": (Network.parse("127.0.0.0/8"),)}
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def version_2(source: str, command: int = 0x21, more: bytes = b"") -> bytes:
    address = ipaddress.ip_address(source)
    block = address.packed * 2 + struct.pack("!HH", 4711, 25) + more
    form = 0x11 if address.version == 4 else 0x21
    return SIGNATURE + struct.pack("!BBH", command, form, len(block)) + block


@pytest.mark.parametrize(
    ("header", "peer"),
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.25 4711 25\r\n", "192.0.2.1:4711"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::25 4711 25\r\n", "[2001:db8::1]:4711"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1:"),
        (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "127.0.0.1:"),
        (version_2("192.0.2.1"), "192.0.2.1:4711"),
        (version_2("2001:db8::1"), "[2001:db8::1]:4711"),
        (version_2("192.0.2.1", more=b"\x04\0\x02\0\0"), "192.0.2.1:4711"),
        (version_2("192.0.2.1", command=0x20), "127.0.0.1:"),
        (SIGNATURE + b"\x20\x00\x00\x00", "127.0.0.1:"),
        (SIGNATURE + b"\x21\x00\x00\x00", "127.0.0.1:"),
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_the_peer_is_whom_the_header_names(header, peer, step):
    with listening(terms=PROXIES) as server, server.connect(greet=False) as client:
        for start in range(0, len(header), step):
            client.send(header[start : start + step])
        assert client.reply().startswith("220 ")
        client.ask("EHLO x")
        client.start_data()
        client.ask("x\r\n.")
        assert server.arrivals[0].peer.startswith(peer)


@pytest.mark.parametrize(
    "header",
    [
        b"EHLO peer.example\r\n",
        b"PROXY TCP4 192.0.2.1\r\n" + b" " * 20,
        b"PROXY TCP4 2001:db8::1 192.0.2.25 4711 25\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.25 99999 25\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.25 x 25\r\n",
        b"PROXY TCP4 host.example 192.0.2.25 1 25\r\n",
        b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n",
        b"PROXY UNKNOWN " + b"x" * 200_000,
        b"PROXY \xff\xff\xff\xff\xff\xff\r\n",
        SIGNATURE + b"\x31\x11\x00\x0c" + b"\0" * 12,
        SIGNATURE + b"\x21\x11\x00\x04" + b"\0" * 4,
        SIGNATURE + b"\x21\x11\xff\xff" + b"\0" * 100,
        SIGNATURE + b"\x21\x31\x00\xd8" + b"\0" * 216,
    ],
)
def test_a_proxy_without_a_right_header_is_hung_up_on(header):
    with listening(terms=PROXIES) as server, server.connect(greet=False) as client:
        try:
            client.send(header)
            assert client.reply() == ""
        except ConnectionError:
            pass


def test_a_header_from_anybody_else_is_a_command_that_is_not_known():
    with listening() as server, server.connect(greet=False) as client:
        assert client.reply().startswith("220 ")
        assert client.ask("PROXY TCP4 192.0.2.1 192.0.2.25 4711 25").startswith("500 ")


def test_limits_count_the_peer_and_not_the_proxy():
    with (
        listening(terms=PROXIES, connections_per_address=1) as server,
        server.connect(greet=False) as one,
        server.connect(greet=False) as two,
    ):
        one.send(b"PROXY TCP4 192.0.2.1 192.0.2.25 1 25\r\n")
        assert one.reply().startswith("220 ")
        two.send(b"PROXY TCP4 192.0.2.1 192.0.2.25 2 25\r\n")
        assert two.reply() == TOO_MANY_OF_YOURS
