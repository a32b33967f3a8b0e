"""The mail servers that are tested, by name."""

from .courier import Courier
from .exim import Exim
from .opensmtpd import OpenSMTPD
from .postfix import Postfix
from .sendmail import Sendmail
from .server import MailServer

SERVERS: dict[str, type[MailServer]] = {
    server.name: server for server in (Postfix, Exim, OpenSMTPD, Sendmail, Courier)
}
MORE = frozenset({"sendmail", "courier"})  # tested by `make mta-more`, the others with every change
