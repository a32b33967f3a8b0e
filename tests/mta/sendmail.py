"""Debian's sendmail."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from .server import HOSTNAME, LIFETIME, WARNING
from .unpacked import UnpackedServer

# sendmail's configuration language knows no port for a host, so each return path has a mailer of its own.
MAILER = "M{name}, P=[IPC], F=mDFMuXa, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, E=\\r\\n, A=TCP $h {port}"
CONFIG = """\
divert(0)dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `{hostname}')dnl
define(`confTO_CONNECT', `2s')dnl
define(`confTO_QUEUEWARN', `{warning}s')dnl
define(`confTO_QUEUERETURN', `{lifetime}s')dnl
define(`confTO_IDENT', `0')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`promiscuous_relay')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`mailertable', `text -k0 -v1 -o /etc/mail/mailertable')dnl
DAEMON_OPTIONS(`Addr=127.0.0.1, Port={port}')dnl
MAILER(`smtp')dnl
MAILER_DEFINITIONS
{mailers}
"""


class Sendmail(UnpackedServer):
    name = "sendmail"
    users: ClassVar = {"smmta": 904, "smmsp": 905, "mail": 8, "daemon": 1}
    directories: ClassVar = {"etc/mail": "root", "var/spool/mqueue": "root", "var/run": "root"}

    def configure(self) -> None:
        super().configure()
        routes = self.surroundings.routes.items()
        table = "".join(
            f"{domain}\tto{number}:[{host}]\n" for number, (domain, (host, _)) in enumerate(routes)
        )
        mailers = "\n".join(
            MAILER.format(name=f"to{number}", port=port) for number, (_, (_, port)) in enumerate(routes)
        )
        config = CONFIG.format(
            hostname=HOSTNAME, port=self.port, warning=WARNING, lifetime=LIFETIME, mailers=mailers
        )
        self.write("etc/mail/mailertable", table)
        self.write("etc/mail/sendmail.mc", config)
        self.write("etc/mail/local-host-names", "")
        compile_ = "m4 /usr/share/sendmail/cf/m4/cf.m4 /etc/mail/sendmail.mc >/etc/mail/sendmail.cf"
        self.run("/bin/sh", "-c", compile_)

    def commands(self) -> Sequence[Sequence[str | Path]]:
        return [("/usr/libexec/sendmail/sendmail", "-bD", "-q1s", "-X", "/log")]

    def logs(self) -> Sequence[Path]:
        return [self.log, self.root / "log"]
