"""Debian's Courier."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from .server import HOSTNAME, LIFETIME, WARNING
from .unpacked import UnpackedServer

# One line a file, below /etc/courier. It forgets a host that did not answer for `esmtpdelay`.
SETTINGS = {
    "me": HOSTNAME,
    "defaultdomain": HOSTNAME,
    "locals": HOSTNAME,
    "queuetime": f"{LIFETIME}s",
    "warntime": f"{WARNING}s",
    "retryalpha": "1",
    "retrybeta": "1000",
    "retrygamma": "1",
    "retrymaxdelta": "0",
    "esmtpdelay": "1s",
    "esmtptimeoutconnect": "2s",
    "bofh": "opt BOFHBADMIME=accept",
}
# Without ESMTP_BLOCKBACKSCATTER it reports on what came in over SMTP, too.
COURIERD = """\
PATH=/usr/bin:/bin
SHELL=/bin/sh
DSNTOAUTHADDR=0
DYNAMICDELIVERIES=0
DEFAULTDELIVERY=./Maildir
ESMTP_BLOCKBACKSCATTER=
ESMTP_USE_STARTTLS=0
"""
ESMTPD = """\
PATH=/usr/bin:/bin
SHELL=/bin/sh
BOFHCHECKDNS=0
NOADDMSGID=1
NOADDDATE=1
TARPIT=0
RELAYCLIENT=
"""


class Courier(UnpackedServer):
    name = "courier"
    users: ClassVar = {"courier": 906, "daemon": 1, "mail": 8}
    directories: ClassVar = {
        f"{path}": "courier"
        for path in (
            "var/lib/courier", "var/lib/courier/tmp", "var/lib/courier/msgs", "var/lib/courier/msgq",
            "var/lib/courier/track", "var/lib/courier/sts", "var/lib/courier/filters",
            "var/lib/courier/allfilters", "run/courier", "etc/courier",
        )
    }  # fmt: skip

    def configure(self) -> None:
        super().configure()
        routes = "".join(
            f"{domain}:[{host}],{port}\n" for domain, (host, port) in self.surroundings.routes.items()
        )
        for name, value in SETTINGS.items():
            self.write(f"etc/courier/{name}", f"{value}\n")
        self.write("etc/courier/esmtproutes", routes)
        self.write("etc/courier/courierd", COURIERD)
        self.write("etc/courier/esmtpd", ESMTPD)
        self.write("etc/courier/aliases/system", "postmaster: root\n")
        self.run("/usr/sbin/makealiases")

    def commands(self) -> Sequence[Sequence[str | Path]]:
        daemon = "set -a; . /etc/courier/courierd; exec /usr/lib/courier/courier/courierd"
        listener = (
            "set -a; . /etc/courier/esmtpd; exec /usr/sbin/couriertcpd -address=127.0.0.1 -user=courier"
            " -group=courier -maxprocs=40 -maxperc=40 -maxperip=40 -noidentlookup -nodnslookup"
            f" {self.port} /usr/sbin/courieresmtpd"
        )
        return [("/bin/sh", "-c", daemon), ("/bin/sh", "-c", listener)]

    def logs(self) -> Sequence[Path]:
        return [self.log]
