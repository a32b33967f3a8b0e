"""A DNS server (RFC 1035) for the tests: the mail servers ask it for everything, and nobody else.

<any>.example            MX to mx.<name>, whose address is where the destination listens
broken.<any>.example     the same, but at the address where every connection is dropped
refused.<any>.example    the same, but at the address where nothing listens
nullmx.<any>.example     "MX 0 ." (RFC 7505): the domain accepts no mail
tempfail.<any>.example   SERVFAIL
anything else            NXDOMAIN
"""

import socket
import struct
import threading
from ipaddress import IPv4Address

A, MX = 1, 15
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3


class Nameserver:
    """Answers on port 53 of `address`; `broken` and `refused` are where those domains lead."""

    def __init__(self, address: str, broken: str, refused: str) -> None:
        self._address, self._broken, self._refused = address, broken, refused
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((address, 53))
        except OSError:
            self._socket.close()
            raise
        self._thread = threading.Thread(target=self._serve)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._socket.sendto(b"", (self._address, 53))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(512)
            if not query:
                return
            self._socket.sendto(self.answer(query), client)

    def answer(self, query: bytes) -> bytes:
        """The response to one query of one question."""
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode("ascii", "replace").lower())
            at += 1 + length
        (kind,) = struct.unpack_from("!H", query, at + 1)
        question = query[12 : at + 5]
        rcode, record = self._lookup(labels, kind)
        # QR, RD and RA; one question, no authority. 0xC00C points at the question's name.
        head = query[:2] + struct.pack("!HHHHH", 0x8180 | rcode, 1, 1 if record else 0, 0, 0)
        answer = struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(record)) + record if record else b""
        return head + question + answer

    def _lookup(self, labels: list[str], kind: int) -> tuple[int, bytes]:
        if labels[-1:] != ["example"]:
            return NXDOMAIN, b""
        host = labels[1:] if labels[0] == "mx" else labels
        if host[0] == "tempfail":
            return SERVFAIL, b""
        if kind == MX and labels[0] != "mx":
            return NOERROR, b"\0\0\0" if host[0] == "nullmx" else b"\0\x0a\x02mx\xc0\x0c"
        if kind == A and labels[0] == "mx":
            where = {"broken": self._broken, "refused": self._refused}.get(host[0], self._address)
            return NOERROR, IPv4Address(where).packed
        return NOERROR, b""
