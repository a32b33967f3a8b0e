"""What DNS must say of the return path: who takes its mail (RFC 5321 section 5.1), and who may use it (RFC 7208)."""

import socket
from collections.abc import Iterator

import dns.exception
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.MX import MX

from bounced.commands.doctoring import Finding, error, ok, warning
from bounced.settings import Settings

SECONDS = 5.0  # for one question
ABOUT = "dns"


def findings(settings: Settings) -> Iterator[Finding]:
    """Ask for each return-path domain, by the resolver of this machine."""
    if not settings.return_path_domains:
        advice = 'set it: return_path_domains = ["bounces.example.com"]'
        yield warning(ABOUT, "return_path_domains is empty: mail for every domain is taken", advice)
        return
    try:
        resolver = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration as broken:
        yield error(ABOUT, f"this machine cannot resolve names: {broken}", "write /etc/resolv.conf")
        return
    resolver.lifetime = SECONDS
    for domain in settings.return_path_domains:
        yield from _mail_exchangers(domain, resolver)


def _mail_exchangers(domain: str, resolver: dns.resolver.Resolver) -> Iterator[Finding]:
    here = socket.getfqdn()
    wanted = f"add to its zone: {domain}. IN MX 10 {here if '.' in here else '<name of this machine>'}."
    try:
        answer = resolver.resolve(domain, "MX")
    except dns.resolver.NXDOMAIN:
        yield error(ABOUT, f"{domain} does not exist: no bounce finds its way here", wanted)
        return
    except dns.resolver.NoAnswer:
        yield error(ABOUT, f"{domain} has no MX record: few bounces find their way here", wanted)
    except dns.exception.DNSException as problem:
        yield _unanswered(f"the MX record of {domain}", problem)
        return
    else:
        exchangers = [record for record in answer if isinstance(record, MX)]
        for name in sorted(record.exchange.to_text(omit_final_dot=True) for record in exchangers):
            if name in {"", ".", "@"}:
                yield error(ABOUT, f"{domain} says by its MX record that it takes no mail (RFC 7505)", wanted)
            else:
                yield from _host(domain, name, resolver)
    yield from _senders(domain, resolver)


def _host(domain: str, name: str, resolver: dns.resolver.Resolver) -> Iterator[Finding]:
    addresses: list[str] = []
    for kind in ("A", "AAAA"):
        try:
            answer = resolver.resolve(name, kind)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            continue
        except dns.exception.DNSException as problem:
            yield _unanswered(f"the addresses of {name}", problem)
            return
        if answer.canonical_name != answer.qname:
            alias = f"{name}, the MX of {domain}, is a CNAME, which some servers do not follow (RFC 2181 section 10.3)"
            yield warning(
                ABOUT, alias, f"give {name} address records of its own, or name its target in the MX"
            )
        addresses += [record.to_text() for record in answer]
    where = f"{domain} is taken by {name}, {', '.join(addresses)}"
    if not addresses:
        advice = f"add to its zone: {name}. IN A <address of this machine>"
        yield error(ABOUT, f"{name}, the MX of {domain}, has no address: no bounce comes", advice)
    elif any(map(_is_here, addresses)):
        yield ok(ABOUT, where)
    else:
        advice = (
            "well if that forwards port 25 to here, or is another machine of yours; else correct the record"
        )
        yield warning(ABOUT, f"{where}: none of this machine's addresses", advice)


def _is_here(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _senders(domain: str, resolver: dns.resolver.Resolver) -> Iterator[Finding]:
    try:
        texts = [record.to_text() for record in resolver.resolve(domain, "TXT")]
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        texts = []
    except dns.exception.DNSException as problem:
        yield _unanswered(f"the TXT records of {domain}", problem)
        return
    if any(text.lower().startswith('"v=spf1') for text in texts):
        yield ok(ABOUT, f"{domain} says by SPF who sends with it")
    else:
        advice = f'add to its zone: {domain}. IN TXT "v=spf1 <your senders> -all"'
        yield warning(ABOUT, f"{domain} has no SPF record: mail sent with it may be refused", advice)


def _unanswered(what: str, problem: dns.exception.DNSException) -> Finding:
    return warning(ABOUT, f"nobody answers for {what}: {problem}", "ask again later; dig says more")
