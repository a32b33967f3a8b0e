"""A name server for this machine's resolver, which another /etc/resolv.conf makes ask it."""

import socket
import threading
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.zone


@contextmanager
def serving(address: str, text: str):
    """Answer on port 53 of a loopback address from the text of a zone, which is that of `example.com`."""
    zone = dns.zone.from_text(
        f"@ 60 IN SOA ns root 1 1 1 1 1\n@ 60 IN NS ns\n{text}", "example.com.", relativize=False
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        thread = threading.Thread(target=_serve, args=(server, zone))
        thread.start()
        yield
        server.sendto(b"", (address, 53))
        thread.join()


def _serve(server, zone):
    while True:
        words, client = server.recvfrom(4096)
        if not words:
            return
        query = dns.message.from_wire(words)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        [question] = query.question
        reply.set_rcode(dns.rcode.NOERROR if zone.get_node(question.name) else dns.rcode.NXDOMAIN)
        kinds = (question.rdtype, dns.rdatatype.CNAME)
        reply.answer += [found for kind in kinds if (found := zone.get_rrset(question.name, kind))]
        for alias in [one for one in reply.answer if one.rdtype == dns.rdatatype.CNAME]:
            found = zone.get_rrset(alias[0].target, question.rdtype)
            reply.answer += [found] if found else []
        server.sendto(reply.to_wire(), client)
