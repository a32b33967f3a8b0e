"""Where a store is: the URLs that redis.url may hold, taken apart. Opens nothing.

    redis://[user:password@]host[:6379][/db]            one server
    unix://[user:password@]/path/of/socket[?db=0]       one server, on this machine
    redis+sentinel://[user:password@]host[:26379],…/name[/db]
                                                        the primary that these Sentinels know by this name
    redis+cluster://[user:password@]host[:6379],…       a cluster, found through any of these nodes

With rediss in place of redis, TLS is spoken, to Sentinels too. User and password are for the servers; Sentinels
get them only when they ask for a password.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

# The names that redis-py has for them.
_OPTIONS = frozenset(
    {"db", "username", "password", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"}
)


class Kind(StrEnum):
    """How the server that takes the writes is found."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


_SCHEMES = {
    "redis": Kind.SINGLE,
    "unix": Kind.SINGLE,
    "redis+sentinel": Kind.SENTINEL,
    "redis+cluster": Kind.CLUSTER,
}
SCHEMES = ", ".join(f"{scheme}://" for scheme in ("redis", "rediss", *(s for s in _SCHEMES if s != "redis")))


class Address(NamedTuple):
    """Where one server listens."""

    host: str  # a path when the port is 0
    port: int

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Place:
    """A URL, taken apart."""

    kind: Kind
    addresses: tuple[Address, ...]  # of the server, of Sentinels, of nodes of the cluster
    shown: str  # the URL without user, password and options
    service: str = ""  # the Sentinels' name for the primary
    db: int = 0
    tls: bool = False
    username: str | None = None
    password: str | None = None
    options: Mapping[str, str] | None = None  # for TLS

    @classmethod
    def parse(cls, url: str) -> "Place":
        """Take a URL apart. Raises ValueError, which tells no password, saying what is wrong."""
        try:
            parts = urlsplit(url)
        except ValueError:
            raise ValueError("it is no URL") from None
        scheme = parts.scheme.replace("rediss", "redis")
        if scheme not in _SCHEMES:
            raise ValueError(f"it begins with none of {SCHEMES}")
        kind, tls = _SCHEMES[scheme], parts.scheme.startswith("rediss")
        userinfo, _, hosts = parts.netloc.rpartition("@")
        username, _, password = userinfo.partition(":")
        options = dict(parse_qsl(parts.query))
        if unknown := options.keys() - _OPTIONS:
            raise ValueError(f"{min(unknown)} is none of the options {', '.join(sorted(_OPTIONS))}")
        path = unquote(parts.path)
        service, db = "", path.strip("/")
        if scheme == "unix":
            addresses, db = [Address(path, 0)], ""
        else:
            addresses = [_address(host, kind) for host in hosts.split(",")]
        if kind is Kind.SENTINEL:
            service, _, db = db.partition("/")
        return cls(
            kind,
            tuple(addresses),
            shown=f"{parts.scheme}://{hosts}{parts.path}",
            service=_checked(service, kind),
            db=_number(options.pop("db", db) or "0", kind),
            tls=tls,
            username=options.pop("username", unquote(username)) or None,
            password=options.pop("password", unquote(password)) or None,
            options=options,
        )


def _address(written: str, kind: Kind) -> Address:
    try:
        parts = urlsplit(f"//{written}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("a port is none") from None
    if not host:
        raise ValueError("it names no host")
    return Address(host, port or (26379 if kind is Kind.SENTINEL else 6379))


def _checked(service: str, kind: Kind) -> str:
    if kind is Kind.SENTINEL and not service:
        raise ValueError("it lacks the name by which the Sentinels know the primary: …/name")
    return service


def _number(db: str, kind: Kind) -> int:
    if not (db.isascii() and db.isdigit()):
        raise ValueError("the database is no number")
    if kind is Kind.CLUSTER and int(db):
        raise ValueError("a cluster has only database 0")
    return int(db)
