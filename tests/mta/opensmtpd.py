"""Debian's OpenSMTPD."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bounced.core.model import Severity

from .fates import EXPIRED, FATES
from .server import HOSTNAME, LIFETIME, WARNING
from .unpacked import UnpackedServer

CONFIG = """\
queue ttl {lifetime}s
bounce warn-interval {warning}s
listen on 127.0.0.1 port {port} hostname {hostname}
action mail relay helo {hostname}
{actions}
{matches}
match from any for any action mail
"""


class OpenSMTPD(UnpackedServer):
    name = "opensmtpd"
    relay = "smtp"  # what it speaks to the return paths
    # Its last report on what has expired says "Action: delayed" like its first, so nothing is counted.
    differs: ClassVar = {
        name: {"severity": Severity.NONE, "actions": frozenset({"delayed"})}
        for name in ("nullmx", *(fate.name for fate in FATES if fate.actions == EXPIRED))
    }
    users: ClassVar = {"opensmtpd": 902, "opensmtpq": 903}
    directories: ClassVar = {"var/lib/opensmtpd/empty": "root", "var/spool": "root"}

    def configure(self) -> None:
        super().configure()
        routes = list(self.surroundings.routes.items())
        actions = [
            f'action "to {domain}" relay host "{self.relay}://{host}:{port}" helo {HOSTNAME}'
            for domain, (host, port) in routes
        ]
        matches = [f'match from any for domain "{domain}" action "to {domain}"' for domain, _ in routes]
        config = CONFIG.format(
            hostname=HOSTNAME, port=self.port, lifetime=LIFETIME, warning=WARNING,
            actions="\n".join(actions), matches="\n".join(matches),
        )  # fmt: skip
        self.write("etc/smtpd.conf", config)

        smtpctl = self.root / "usr/sbin/smtpctl"
        os.chown(smtpctl, 0, self.users["opensmtpq"])
        smtpctl.chmod(0o2755)

    def commands(self) -> Sequence[Sequence[str | Path]]:
        return [("/usr/sbin/smtpd", "-d")]

    def retry(self) -> None:
        self.run("/usr/sbin/smtpctl", "schedule", "all")
