"""Every setting: its key, its type, what it expects in words, and its default. Nothing else names a default.

The path of a field is its key: `Settings.smtp.limits.recipients` is "smtp.limits.recipients".
"""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import msgspec
from msgspec import Meta, Struct

from bounced.core.model import Category, Severity
from bounced.core.naming import KeyForm
from bounced.core.policy import Period, Policy
from bounced.settings.places import SCHEMES
from bounced.settings.values import Counting, Domain, DomainMode, Endpoint, Mode, Network, Size, StoreUrl


def _state_dir() -> Path:
    for name, below in (("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "bounced")):
        if directory := os.environ.get(name):
            return Path(directory, below)
    return Path.home() / ".local/state/bounced"


Limit = Annotated[int, Meta(ge=0, description="a whole number, 0 for no limit")]
Octets = Annotated[Size, Meta(description='a size such as "5 MiB", 0 for no limit')]
File = Annotated[Path | None, Meta(description="the path of a file")]
Directory = Annotated[Path | None, Meta(description="the path of a directory")]
Networks = Annotated[
    tuple[Network, ...], Meta(description='a list of networks such as ["192.0.2.0/24", "2001:db8::/32"]')
]


class Limits(Struct, frozen=True, kw_only=True):
    """smtp.limits: what one peer, or all together, may take of us."""

    connections: Limit = 1000
    connections_per_address: Limit = 50
    connection_rate_per_address: Limit = 300  # a minute
    exempt: Networks = (Network.parse("127.0.0.0/8"), Network.parse("::1"))
    message_size: Octets = Size(5 * 1024**2)
    message_memory: Octets = Size(256 * 1024**2)
    recipients: Limit = 100
    messages: Limit = 1000  # a session
    idle_commands: Limit = 100  # in a row
    errors: Limit = 20  # a session
    idle: Limit = 60  # seconds
    session: Limit = 600  # seconds
    minimum_rate: Limit = 500  # octets a second


class SmtpTls(Struct, frozen=True, kw_only=True):
    """smtp.tls: STARTTLS."""

    certificate: File = None
    key: File = None
    required: Annotated[bool, Meta(description="true or false")] = False


class Senders(StrEnum):
    """Which reverse-paths mail without proof may have."""

    ANY = "any"
    NULL = "null"


class Smtp(Struct, frozen=True, kw_only=True):
    """smtp: the listener."""

    listen: Annotated[
        tuple[Endpoint, ...], Meta(min_length=1, description='a list such as ["0.0.0.0:25", "[::]:25"]')
    ] = (Endpoint("127.0.0.1", 2525),)
    lmtp: Annotated[
        tuple[Endpoint, ...], Meta(description='a list such as ["unix:/run/bounced/lmtp", "127.0.0.1:24"]')
    ] = ()
    proxies: Networks = ()
    senders: Annotated[Senders, Meta(description='"any" or "null"')] = Senders.ANY
    limits: Limits = Limits()
    tls: SmtpTls = SmtpTls()


class Quarantine(Struct, frozen=True, kw_only=True):
    """quarantine: mail that a person has to read, for each reason."""

    messages: Limit = 10_000
    size: Octets = Size(1024**3)


class Keep(Struct, frozen=True, kw_only=True):
    """keep: every report that was taken, for bounced replay."""

    days: Annotated[int, Meta(ge=0, description="a whole number of days, 0 for none")] = 0
    size: Octets = Size(1024**3)


class Durability(StrEnum):
    """What the store must have done with a change before it is confirmed."""

    ALWAYS = "always"  # synced it to its disk
    EVERYSEC = "everysec"  # taken it; what then happens to it is the server's configuration
    WAIT_REPLICAS = "wait-replicas"  # sent it to replicas, which have it in memory


class Tls(Struct, frozen=True, kw_only=True):
    """redis.tls: for URLs that begin with rediss."""

    ca_file: File = None
    cert_file: File = None
    key_file: File = None


class Redis(Struct, frozen=True, kw_only=True):
    """redis: the store."""

    url: Annotated[StoreUrl, Meta(description=f'"embedded", or a URL that begins with one of {SCHEMES}')] = (
        StoreUrl("embedded")
    )
    prefix: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9._-]{1,64}$",
            description="1 to 64 letters, digits, dots, hyphens, underscores",
        ),
    ] = "bounced"
    key_form: Annotated[KeyForm, Meta(description='"plain" or "sha256"')] = KeyForm.PLAIN
    password_file: File = None
    durability: Annotated[Durability, Meta(description='"always", "everysec" or "wait-replicas"')] = (
        Durability.EVERYSEC
    )
    replicas: Annotated[int, Meta(ge=1, description="a whole number of at least 1")] = 1
    events_kept: Annotated[int, Meta(ge=1000, description="a whole number of at least 1000")] = 100_000
    tls: Tls = Tls()


class ReturnPath(Struct, frozen=True, kw_only=True):
    """return_path: the signed return path."""

    mode: Annotated[Mode, Meta(description='"off", "observe" or "enforce"')] = Mode.OFF
    modes: Annotated[
        tuple[DomainMode, ...], Meta(description='a list such as ["bounces.example.com=enforce"]')
    ] = ()
    keys_file: Annotated[Path, Meta(description="the path of a file")] = Path("/etc/bounced/return-path.keys")


class PolicySettings(Struct, frozen=True, kw_only=True):
    """policy: when an address is left alone, and for how long."""

    soft_limit: Annotated[int, Meta(ge=1, description="a whole number of at least 1")] = 5
    hard_expiry: Annotated[Period, Meta(description='"6 months" or "180 days"')] = Period(months=6)
    severity: Annotated[dict[Category, Counting], Meta(description='"hard", "soft" or "record"')] = (
        msgspec.field(default_factory=dict)
    )


class LogForm(StrEnum):
    """How a line of the log looks."""

    AUTO = "auto"  # console at a terminal, else json
    JSON = "json"
    CONSOLE = "console"
    ECS = "ecs"  # the Elastic Common Schema


class Addresses(StrEnum):
    """How addresses of people stand in the log."""

    PLAIN = "plain"
    HASHED = "hashed"  # with a key of this installation
    MASKED = "masked"  # j***@example.org


class Log(Struct, frozen=True, kw_only=True):
    """log: what is written to stdout."""

    format: Annotated[LogForm, Meta(description='"auto", "json", "console" or "ecs"')] = LogForm.AUTO
    addresses: Annotated[Addresses, Meta(description='"plain", "hashed" or "masked"')] = Addresses.PLAIN


class Metrics(Struct, frozen=True, kw_only=True):
    """metrics: numbers for Prometheus, and whether we are alive and ready."""

    listen: Annotated[
        tuple[Endpoint, ...], Meta(description='an address such as "127.0.0.1:9325", or "" for none')
    ] = (Endpoint("127.0.0.1", 9325),)


Threshold = Annotated[int, Meta(ge=0, description="a whole number, 0 for never")]


class Alarms(Struct, frozen=True, kw_only=True):
    """alarms: when to raise one."""

    window: Annotated[int, Meta(ge=1, description="a whole number of seconds, at least 1")] = 900
    rise: Annotated[float, Meta(ge=0, description="a number, such as 4")] = 4  # times as many as usual
    sender_recipients: Threshold = 50  # in a window
    outage_recipients: Threshold = 50  # in a window
    unclassified_share: Annotated[
        int, Meta(ge=0, le=100, description="a whole number of percent, 0 for never")
    ] = 20
    unclassified_failures: Threshold = 100  # in a window: fewer make no share
    silence: Threshold = 0  # hours


class Settings(Struct, frozen=True, kw_only=True):
    """Every setting, checked."""

    return_path_domains: Annotated[
        tuple[Domain, ...], Meta(description='a list of domain names such as ["bounces.example.com"]')
    ] = ()
    workers: Annotated[int, Meta(ge=1, le=256, description="a whole number from 1 to 256")] = 1
    state_dir: Annotated[Path, Meta(description="the path of a directory")] = msgspec.field(
        default_factory=_state_dir
    )
    rules_dir: Directory = None
    smtp: Smtp = Smtp()
    quarantine: Quarantine = Quarantine()
    keep: Keep = Keep()
    redis: Redis = Redis()
    return_path: ReturnPath = ReturnPath()
    policy: PolicySettings = PolicySettings()
    log: Log = Log()
    metrics: Metrics = Metrics()
    alarms: Alarms = Alarms()

    def decisions(self) -> Policy:
        """Return the policy as the core takes it."""
        chosen = self.policy
        severity = cast("dict[Category, Severity]", chosen.severity)  # what Counting.parse returns
        return Policy(soft_limit=chosen.soft_limit, hard_expiry=chosen.hard_expiry, severity=severity)
