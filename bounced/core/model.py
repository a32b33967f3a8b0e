"""The words that every stage shares, and nothing else.

The names are those of RFC 5321, 3461 to 3464, 3834, 5965 and 6522; our own (category, severity, kind,
evidence, verdict) are defined here once. Values are immutable and hold text that has been decoded but not
yet escaped: whoever writes one to a log, a key or a terminal escapes it there.
"""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """What a message is."""

    BOUNCE = "bounce"  # delivery failed for at least one recipient
    DELAYED = "delayed"  # still being tried: never counts
    DELIVERED = "delivered"  # a success report, RFC 3461 section 4.1
    FEEDBACK = "feedback"  # an abuse complaint, RFC 5965
    AUTOREPLY = "autoreply"  # vacation, out of office, challenge: RFC 3834
    OTHER = "other"


class Action(StrEnum):
    """What the reporting MTA did, RFC 3464 section 2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


class Category(StrEnum):
    """The fifteen bounce categories of Dynamics 365 Marketing: why delivery failed."""

    INVALID_MAILBOX = "invalid-mailbox"
    INVALID_DOMAIN = "invalid-domain"
    INACTIVE_MAILBOX = "inactive-mailbox"
    FULL_MAILBOX = "full-mailbox"
    DMARC_ISSUES = "dmarc-issues"
    REPUTATION_ISSUES = "reputation-issues"
    GREYLISTING_ISSUES = "greylisting-issues"
    BLOCKLISTING_ISSUES = "blocklisting-issues"
    RELAYING_ISSUES = "relaying-issues"
    ROUTING_ISSUES = "routing-issues"
    RECIPIENT_SERVER_ERROR = "recipient-server-error"
    CONNECTION_ERROR = "connection-error"
    POLICY_RELATED = "policy-related"
    MESSAGE_EXPIRED = "message-expired"
    OTHER = "other"


class Severity(StrEnum):
    """What a failure does to an address."""

    HARD = "hard"  # leave it alone until the suppression ends
    SOFT = "soft"  # one more in a row
    RECORD = "record"  # the operator wants it logged, never counted
    NONE = "none"  # not a failure: delayed, delivered, feedback


class RecipientReport(Struct, frozen=True):
    """What a report says of one recipient, before anything is judged.

    Addresses are as the report wrote them, without address type, angle brackets or source route.
    """

    original_recipient: str | None = None  # RFC 3464 section 2.3.1
    final_recipient: str | None = None  # section 2.3.2
    action: Action | None = None  # section 2.3.3
    status: str | None = None  # section 2.3.4, normalised: "5.1.1"
    remote_mta: str | None = None  # section 2.3.5
    diagnostic: str | None = None  # section 2.3.6, unfolded
    command: str | None = None  # the SMTP command that was refused: "MAIL", "RCPT", "DATA" ...
    last_attempt: int | None = None  # section 2.3.7, Unix seconds
    explanation: str = ""  # what the human-readable part says of this recipient
    extensions: Mapping[str, str] | None = None  # X- fields by lower-case name


class Report(Struct, frozen=True):
    """One returned mail, read but not judged."""

    kind: Kind
    recipients: tuple[RecipientReport, ...] = ()
    reporting_mta: str | None = None  # RFC 3464 section 2.2.2
    envelope_id: str | None = None  # section 2.2.1
    original_message_id: str | None = None  # of the returned mail
    addressees: tuple[str, ...] = ()  # To and Cc of the returned mail
    source: str = ""  # who read it: "delivery-status", "notice", "flufl", ...
    problems: tuple[str, ...] = ()  # fields that could not be read, in words; each cost only itself
    unread: int = 0  # recipients beyond what is read of a very long report

    @property
    def names_nobody(self) -> bool:
        """Whether it says of no recipient who that is."""
        for entry in self.recipients:  # noqa: SIM110 - any() takes thrice the time
            if entry.original_recipient or entry.final_recipient:
                return False
        return True


class Evidence(Struct, frozen=True):
    """What one recipient's category is judged by. Each field is matched on its own, never joined."""

    text: str = ""  # the diagnostic: what the refusing server said
    explanation: str = ""  # what the reporting MTA says to a person
    status: str | None = None  # enhanced status code, "5.1.1"
    reply_code: str | None = None  # SMTP reply code, "550"
    remote_mta: str | None = None  # who refused
    reporting_mta: str | None = None  # who tells us
    command: str | None = None  # the SMTP command that was refused
    extensions: Mapping[str, str] | None = None  # X- fields by lower-case name


class Classification(Struct, frozen=True):
    """A category and the rule that decided it."""

    category: Category
    rule: str  # id of the rule, "" when none matched
    runners_up: tuple[tuple[Category, str], ...] = ()  # what weaker rules would have said
    settled: bool = False  # no other text could say it more strongly


class Verdict(Struct, frozen=True):
    """One recipient, judged: a line of `bounced parse --json`, a log event, a change in the store."""

    recipient: str  # canonical
    final_recipient: str | None
    action: Action | None
    status: str | None
    smtp_reply: str | None
    diagnostic: str | None
    remote_mta: str | None
    category: Category
    severity: Severity
    rule: str
    runners_up: tuple[tuple[Category, str], ...] = ()
    at: int | None = None  # when it happened, as the report says: Unix seconds


class Reading(Struct, frozen=True):
    """All that one returned mail means: the pipeline's answer."""

    report: Report
    verdicts: tuple[Verdict, ...]
    identity: str  # of the message that came back, not of the report: the key to counting once
    left_out: int = 0  # recipients beyond the limit, not believed
