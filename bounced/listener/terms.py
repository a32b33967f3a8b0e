"""What the operator may change while sessions last: SIGHUP puts another Terms in place of the one before."""

from dataclasses import dataclass, field

from bounced.listener.returnpath import ReturnPaths
from bounced.listener.tls import Certificate
from bounced.settings import Limits, Network


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms mail is taken."""

    return_paths: ReturnPaths = field(default_factory=ReturnPaths)
    limits: Limits = field(default_factory=Limits)
    certificate: Certificate | None = None  # None: STARTTLS is not offered
    requires_tls: bool = False
    proxies: tuple[Network, ...] = ()  # whose connections begin with a PROXY header
