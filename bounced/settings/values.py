"""The kinds of value that a setting may have, each with the spelling that an operator writes.

Every `parse` takes what TOML or the environment gave and raises ValueError when it is none of its kind.
"""

import ipaddress
import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from bounced.core.model import Severity
from bounced.settings.places import Place

UNITS = {"": 1, "B": 1, "KB": 1000, "KIB": 1024, "MB": 1000**2, "MIB": 1024**2, "GB": 1000**3, "GIB": 1024**3}


class Size(int):
    """A number of octets."""

    @classmethod
    def parse(cls, value: object) -> "Size":
        """Read 5242880, "5 MiB" or "5MB"."""
        found = re.fullmatch(r"(\d+) *([KMG]?I?B|)", str(value).strip().upper())
        if found is None or isinstance(value, bool):
            raise ValueError
        return cls(int(found[1]) * UNITS[found[2]])

    def __str__(self) -> str:
        for unit, name in ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
            if self and self % unit == 0:
                return f"{self // unit} {name}"
        return f"{int(self)}"


class Endpoint(NamedTuple):
    """Where to listen."""

    host: str  # or the path of a socket, and the port 0
    port: int

    @classmethod
    def parse(cls, value: object) -> "Endpoint":
        """Read "127.0.0.1:2525", "[::1]:25", "host.example:25" or "unix:/run/bounced/lmtp"."""
        if (path := str(value).strip().removeprefix("unix:")).startswith("/"):
            return cls(path, 0)
        found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:\[\]]+)):(\d{1,5})", str(value).strip())
        if found is None or int(found[3]) > 65535:
            raise ValueError
        return cls(found[1] or found[2], int(found[3]))

    @property
    def is_unix(self) -> bool:
        """Whether it is a socket in the file system."""
        return self.host.startswith("/")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect to it."""
        if self.is_unix:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        if self.is_unix:
            return f"unix:{self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Network:
    """A range of IP addresses."""

    range: ipaddress.IPv4Network | ipaddress.IPv6Network

    @classmethod
    def parse(cls, value: object) -> "Network":
        """Read "192.0.2.0/24", "2001:db8::/32" or one address."""
        return cls(ipaddress.ip_network(str(value).strip(), strict=False))

    def holds(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        """Whether the address lies in it."""
        return address in self.range

    def __str__(self) -> str:
        return str(self.range)


class Domain(str):
    """A domain name, lower case, as A-labels."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> "Domain":
        """Read a domain name."""
        name = str(value).strip().rstrip(".").lower()
        if not re.fullmatch(r"(?!-)[a-z0-9-]{1,63}(?:\.(?!-)[a-z0-9-]{1,63})*", name):
            raise ValueError
        return cls(name)


class Mode(StrEnum):
    """How much proof a return path asks for."""

    OFF = "off"
    OBSERVE = "observe"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True)
class DomainMode:
    """The mode of one return-path domain."""

    domain: Domain
    mode: Mode

    @classmethod
    def parse(cls, value: object) -> "DomainMode":
        """Read "bounces.example.com=enforce"."""
        domain, _, mode = str(value).partition("=")
        return cls(Domain.parse(domain), Mode(mode.strip()))

    def __str__(self) -> str:
        return f"{self.domain}={self.mode}"


class StoreUrl(str):
    """Where the store is."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> "StoreUrl":
        """Read a URL of the schemes that the store knows, or "embedded"."""
        if value != "embedded":
            Place.parse(str(value))
        return cls(value)


class Counting:
    """How a category counts: a Severity that a bounce can have."""

    @staticmethod
    def parse(value: object) -> Severity:
        """Read "hard", "soft" or "record"."""
        severity = Severity(str(value))
        if severity is Severity.NONE:
            raise ValueError
        return severity


def secret(file: Path) -> Path:
    """Return where a file with a secret is: a relative path is the name of a systemd credential, if there are any."""
    return Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), file)


def mask(text: str) -> str:
    """Hide what URLs in `text` hold of users and passwords."""
    return re.sub(r"(://)\S*(?=@)|((?:password|username)=)[^&\s]*", r"\1\2***", text)
