"""Debian's Postfix as an extra instance: its own configuration, queue, data directory and log."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .server import HOSTNAME, LIFETIME, WARNING, MailServer

MAIN = """\
compatibility_level = 3.6
queue_directory = {here}/spool
data_directory = {here}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
maillog_file = {here}/log
maillog_file_prefixes = {here}
myhostname = {hostname}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps =
alias_database =
transport_maps = inline:{{ {routes} }}
smtp_connect_timeout = 2s
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
delay_warning_time = {warning}s
maximal_queue_lifetime = {lifetime}s
bounce_queue_lifetime = 60s
"""

# The SMTP client runs in the queue directory as its root, so the resolver reads etc/resolv.conf there.
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 1 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
smtp      unix - - y - - smtp
relay     unix - - y - - smtp
error     unix - - n - - error
retry     unix - - n - - error
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix(MailServer):
    name = "postfix"

    @classmethod
    def missing(cls) -> str | None:
        if os.geteuid():
            return "must be root to run Postfix"
        if not shutil.which("postfix", path="/usr/sbin"):
            return "Postfix is not installed: apt-get install postfix, answer 'No configuration'"
        return None

    @property
    def _config(self) -> Path:
        return self.directory / "etc"

    def configure(self) -> None:
        for name in ("etc", "data", "spool", "spool/etc"):
            (self.directory / name).mkdir()
        shutil.chown(self.directory / "data", "postfix")
        around = self.surroundings
        routes = ", ".join(
            f"{{ {domain} = smtp:[{host}]:{port} }}" for domain, (host, port) in around.routes.items()
        )
        main = MAIN.format(
            here=self.directory, hostname=HOSTNAME, routes=routes, warning=WARNING, lifetime=LIFETIME
        )
        (self._config / "main.cf").write_text(main)
        (self._config / "master.cf").write_text(MASTER.format(port=self.port))
        (self.directory / "spool/etc/resolv.conf").write_text(f"nameserver {around.nameserver}\n")
        self.run("/usr/sbin/postfix", "-c", self._config, "check")  # makes what is missing in the queue

    def commands(self) -> Sequence[Sequence[str | Path]]:
        return [("/usr/lib/postfix/sbin/master", "-c", self._config, "-d")]
