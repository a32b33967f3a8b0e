"""The mail servers that are tested, by name."""

from .exim import Exim
from .opensmtpd import OpenSMTPD
from .postfix import Postfix
from .sendmail import Sendmail
from .server import MailServer

EVERYWHERE = ("postfix", "exim", "opensmtpd")  # tested with every change; the others by `make mta-more`
SERVERS: dict[str, type[MailServer]] = {
    server.name: server for server in (Postfix, Exim, OpenSMTPD, Sendmail)
}
