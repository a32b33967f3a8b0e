"""What becomes of the tests' mail, and what a user of `bounced` must learn of it: the table of the tests.

A fate is named by its recipient's local part. The replies are those of servers in wide use.
"""

from dataclasses import dataclass
from enum import Enum, auto
from itertools import groupby

from bounced.core.model import Category, Severity


class Stage(Enum):
    """Where the destination says no."""

    RCPT = auto()
    DATA = auto()
    RELENTS = auto()  # at RCPT, until the destination is told to relent
    DROP = auto()  # the connection is lost at RCPT
    NEVER = auto()  # accepted, or never reached


@dataclass(frozen=True, slots=True)
class Fate:
    """One recipient. `domain` is completed by the server under test: see `address`."""

    name: str
    category: Category
    severity: Severity
    actions: frozenset[str]  # one report each
    stage: Stage = Stage.NEVER
    reply: str = ""
    domain: str = "{mta}.example"
    message: str = ""  # fates with the same one are recipients of one message
    notify: str = ""  # NOTIFY of RFC 3461
    or_else: Category | None = None  # what its server says instead when its last attempt fell another way

    def is_told_by(self, actions: set[str]) -> bool:
        """Whether these are the reports: mail may expire before its warning is due, on a busy machine."""
        return actions == self.actions or (self.actions == EXPIRED and actions == FAILED)

    def address(self, mta: str) -> str:
        return f"{self.name}@{self.domain.format(mta=mta)}"


FAILED = frozenset({"failed"})
EXPIRED = frozenset({"delayed", "failed"})  # a warning first
SUCCESS = frozenset({"relayed"})
HARD, SOFT, NONE = Severity.HARD, Severity.SOFT, Severity.NONE
UNKNOWN = "550 5.1.1 <{address}>: Recipient address rejected: User unknown in virtual mailbox table"
FULL = "552 5.2.2 <{address}>: The email account that you tried to reach is over quota"
RELAY = "554 5.7.1 <{address}>: Relay access denied"
LISTED = (
    "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; "
    "https://www.spamhaus.org/query/ip/192.0.2.1"
)
GMAIL = (
    "550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n"
    "550-5.1.1 double-checking the recipient's email address for typos or\r\n"
    "550 5.1.1 unnecessary spaces. e9e14a558f8ab-3a0 - gsmtp"
)

FATES = (
    Fate("unknown", Category.INVALID_MAILBOX, HARD, FAILED, Stage.RCPT, UNKNOWN),
    Fate("unknown-in-lines", Category.INVALID_MAILBOX, HARD, FAILED, Stage.RCPT, GMAIL),
    Fate("full", Category.FULL_MAILBOX, SOFT, FAILED, Stage.RCPT, FULL),
    Fate("full-for-now", Category.FULL_MAILBOX, SOFT, EXPIRED, Stage.RCPT, "452 4.2.2 Mailbox full"),
    Fate("relay", Category.RELAYING_ISSUES, SOFT, FAILED, Stage.RCPT, RELAY),
    Fate(
        "greylisted", Category.GREYLISTING_ISSUES, SOFT, EXPIRED, Stage.RCPT,
        "451 4.7.1 <{address}>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/",
    ),
    Fate("listed", Category.BLOCKLISTING_ISSUES, SOFT, FAILED, Stage.RCPT, LISTED),
    Fate(
        "spam", Category.REPUTATION_ISSUES, SOFT, FAILED, Stage.DATA,
        "550 5.7.1 This message was classified as spam and is refused",
    ),
    Fate(
        "policy", Category.POLICY_RELATED, SOFT, FAILED, Stage.DATA,
        "552 5.3.4 Message size exceeds fixed maximum message size",
    ),
    Fate("disconnect", Category.CONNECTION_ERROR, SOFT, EXPIRED, Stage.DROP, domain="broken.{mta}.example"),
    Fate("refused", Category.CONNECTION_ERROR, SOFT, EXPIRED, domain="refused.{mta}.example"),
    Fate("tempfail", Category.CONNECTION_ERROR, SOFT, EXPIRED, domain="tempfail.{mta}.example"),
    Fate("nowhere", Category.INVALID_DOMAIN, HARD, FAILED, domain="{mta}.invalid"),
    Fate("nullmx", Category.INVALID_DOMAIN, HARD, FAILED, domain="nullmx.{mta}.example"),
    Fate(
        "delayed", Category.GREYLISTING_ISSUES, NONE, frozenset({"delayed"}), Stage.RELENTS,
        "451 4.7.1 <{address}>: Greylisted, please try again later",
    ),
    Fate("success", Category.OTHER, NONE, SUCCESS, notify="SUCCESS,FAILURE"),
    Fate("several-unknown", Category.INVALID_MAILBOX, HARD, FAILED, Stage.RCPT, UNKNOWN, message="several"),
    Fate("several-full", Category.FULL_MAILBOX, SOFT, FAILED, Stage.RCPT, FULL, message="several"),
    Fate("several-relay", Category.RELAYING_ISSUES, SOFT, FAILED, Stage.RCPT, RELAY, message="several"),
    Fate("several-good", Category.OTHER, NONE, frozenset(), message="several"),
)  # fmt: skip

BY_LOCAL_PART = {fate.name: fate for fate in FATES}
MESSAGES = tuple(tuple(group) for _, group in groupby(FATES, key=lambda fate: fate.message or fate.name))
