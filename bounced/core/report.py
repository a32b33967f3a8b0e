"""Stage: the fields of a message/delivery-status part become `RecipientReport`s (RFC 3464, RFC 6533).

Parse raw, then type: `split_groups` keeps every field as it stands, `read` gives meaning to those it knows.
One bad field costs that field and is named in `problems`; nothing is refused. Servers write this part in
many ways, so: any line ends, groups without a blank line between them or with one too many inside, fields in
any order, continuation lines that lost their indentation, addresses without a type, comments anywhere.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz

from bounced.core import mailbox, status
from bounced.core.model import Action, RecipientReport

MAX_TEXT = 524_288  # characters that are read: some 2,000 recipients; those beyond are counted
MAX_FIELD = 4_096  # characters of one value

Group = dict[str, str]

# Fields that stand once in each per-recipient group, RFC 3464 section 2.3: a second one opens a new group.
_OPENERS = ("original-recipient", "final-recipient", "action")
_PER_RECIPIENT = frozenset(
    (
        *_OPENERS,
        "status",
        "remote-mta",
        "diagnostic-code",
        "last-attempt-date",
        "final-log-id",
        "will-retry-until",
    )
)
# Where the address is, in order, when the fields of RFC 3464 do not have it.
_ACTUAL_RECIPIENT = ("x-actual-recipient", "x-final-recipient", "final-recipient", "original-recipient")
_ACTIONS = (
    ("fail", Action.FAILED),
    ("error", Action.FAILED),
    ("undeliver", Action.FAILED),
    ("bounce", Action.FAILED),
    ("expired", Action.FAILED),
    ("delay", Action.DELAYED),
    ("defer", Action.DELAYED),
    ("deliver", Action.DELIVERED),
    ("relay", Action.RELAYED),
    ("expan", Action.EXPANDED),
)
# field-name ":" field-body. Lenient: blanks before the colon.
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]*:[ \t]*(.*)")
# mta-name-type ";" mta-name, section 2.1.2; the type is often missing, and "dns" misspelled.
_TYPED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9-]*)\s*;\s*(.*)", re.DOTALL)
_RECIPIENT = re.compile(r"^Final-Recipient[ \t]*:", re.MULTILINE | re.IGNORECASE)
_COMMENT = re.compile(r"\([^()]*\)")


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """One delivery-status part: what it says of the message, and of each recipient."""

    recipients: tuple[RecipientReport, ...]
    reporting_mta: str | None
    envelope_id: str | None
    arrival: int | None
    problems: tuple[str, ...]
    unread: int  # recipients in what lies beyond `MAX_TEXT`


def read(text: str) -> DeliveryStatus:
    """Read the body of a message/delivery-status or message/global-delivery-status part."""
    problems: list[str] = []
    message: Group = {}
    recipients: list[RecipientReport] = []
    end = text.rfind("\n\n", 0, MAX_TEXT) if len(text) > MAX_TEXT else -1
    if end < 0:
        end = MAX_TEXT
    for group in split_groups(text[:end]):
        if _PER_RECIPIENT.isdisjoint(group):
            message = {**group, **message}
        else:
            recipients.append(_recipient(group, problems))
            # A group that lost the blank line before it carries the per-message fields too.
            message = {**group, **message}
    return DeliveryStatus(
        recipients=tuple(recipients),
        reporting_mta=_mta(message.get("reporting-mta")) or _mta(message.get("x-reporting-mta")),
        envelope_id=message.get("original-envelope-id") or None,
        arrival=_date(message, "arrival-date", problems),
        problems=tuple(problems),
        unread=sum(1 for _ in _RECIPIENT.finditer(text, end)),
    )


def split_groups(text: str) -> Iterator[Group]:
    """The groups of fields in `text`, in order: names in lower case, values unfolded, nothing judged."""
    group: Group = {}
    for name, value, after_blank in fields(text):
        if group and _opens_group(group, name, after_blank=after_blank):
            yield group
            group = {}
        if len(value) > len(group.get(name, "")):
            group[name] = value[:MAX_FIELD]
        else:
            group.setdefault(name, value)
    if group:
        yield group


def _opens_group(group: Group, name: str, *, after_blank: bool) -> bool:
    if name in _OPENERS and name in group:
        return True
    if not after_blank:
        return False
    if _PER_RECIPIENT.isdisjoint(group):
        return name in _PER_RECIPIENT or name.startswith("x-")
    # A blank line inside a group: fields go on that this group does not have yet, and no address opens a new one.
    has_address = "final-recipient" in group or "original-recipient" in group
    return name in group or (has_address and name in (*_OPENERS, "reporting-mta"))


def fields(text: str) -> Iterator[tuple[str, str, bool]]:
    """Every field: its name in lower case, its value unfolded, whether a blank line stands before it."""
    name, lines, after_blank, blank = "", [""], False, False
    for line in text.split("\n"):
        if not line.strip():
            blank = True
            continue
        match = None if line[0] in " \t" else _FIELD.match(line)
        if match:
            if name:
                yield name, " ".join(lines), after_blank
            name, lines, after_blank = match[1].lower(), [match[2].strip()], blank
        elif name and not blank:
            # Folded, or a line of the diagnostic that lost its indentation.
            lines.append(line.strip())
        blank = False
    if name:
        yield name, " ".join(lines), after_blank


def _recipient(group: Group, problems: list[str]) -> RecipientReport:
    original = _address(group, "original-recipient", problems)
    final = _address(group, "final-recipient", problems)
    if final is None or "@" not in final:
        actual = (mailbox.find(group.get(name, "")) for name in _ACTUAL_RECIPIENT)
        final = next((address for address in actual if address), final)
    diagnostic_type, diagnostic = _typed(group.get("diagnostic-code", ""))
    code = status.normalise(group.get("status", "")) or status.find(group.get("status", ""))
    if code is None and group.get("status"):
        problems.append(f"Status: no status code in {group['status'][:40]!r}")
    return RecipientReport(
        original_recipient=original,
        final_recipient=final,
        action=_action(group.get("action", ""), code),
        status=code,
        remote_mta=_mta(group.get("remote-mta")),
        diagnostic_type=diagnostic_type.lower() or None,
        diagnostic=diagnostic or None,
        last_attempt=_date(group, "last-attempt-date", problems),
        extensions={name: value for name, value in group.items() if name.startswith("x-")} or None,
    )


def _address(group: Group, name: str, problems: list[str]) -> str | None:
    """RFC 3464 section 2.1.1: address-type ";" address. Mailboxes come out bare, other types as they stand."""
    value = group.get(name)
    if value is None:
        return None
    address_type, address = _typed(value)
    if address_type.lower() == "utf-8":
        address = mailbox.decode_utf8_address(address)
    found = mailbox.find(address)
    if found is None:
        problems.append(f"{name}: no address in {value[:80]!r}")
        return address.strip(" <>") or None
    return found


def _action(value: str, code: str | None) -> Action | None:
    word = value.strip().lower()
    for start, action in _ACTIONS:
        if word.startswith(start):
            return action
    # The status class says the same, RFC 3463 section 2; a 4 without an action was given up on or not.
    return {"5": Action.FAILED, "2": Action.DELIVERED}.get(code[0]) if code else None


def _mta(value: str | None) -> str | None:
    """The host of section 2.1.2's mta-name-type ";" mta-name, without comments, brackets and final dot."""
    if not value:
        return None
    _, name = _typed(value)
    words = _COMMENT.sub(" ", name).replace("<", " ").replace(">", " ").split()
    return words[0].strip("[].,;").lower() or None if words else None


def _typed(value: str) -> tuple[str, str]:
    match = _TYPED.match(value)
    return (match[1], match[2].strip()) if match else ("", value.strip())


def _date(group: Group, name: str, problems: list[str]) -> int | None:
    value = group.get(name)
    if not value:
        return None
    try:
        parsed = parsedate_tz(value[:100])
        if parsed is not None:
            return int(mktime_tz(parsed))
    except (ValueError, OverflowError, TypeError, IndexError):
        pass
    problems.append(f"{name}: not a date: {value[:40]!r}")
    return None
