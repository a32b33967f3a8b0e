"""Stage: the fields of a message/delivery-status part become `RecipientReport`s (RFC 3464, RFC 6533).

Parse raw, then type: `split_groups` keeps every field as it stands, `read` gives meaning to those it knows.
One bad field costs that field and is named in `problems`; nothing is refused. Servers write this part in
many ways, so: any line ends, groups without a blank line between them or with one too many inside, fields in
any order, continuation lines that lost their indentation, addresses without a type, comments anywhere.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from msgspec.structs import replace

from bounced.core import dates, fields, mailbox, status
from bounced.core.model import Action, Kind, RecipientReport, Report
from bounced.core.returned import ReturnedMail

SOURCE = "delivery-status"
MAX_FIELD = 4_096  # characters of one value

Group = dict[str, str]

# Fields that stand once in each per-recipient group, RFC 3464 section 2.3: a second one opens a new group.
_OPENERS = ("original-recipient", "final-recipient", "action")
_ADDRESSES = frozenset(("original-recipient", "final-recipient"))
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
# Of those, the ones that tell what became of the message.
_FATE = frozenset(("action", "status", "diagnostic-code", "will-retry-until"))
# Where the address is, in order, when the fields of RFC 3464 do not have it.
_ACTUAL_RECIPIENT = ("x-actual-recipient", "x-final-recipient", "final-recipient", "original-recipient")
# What the value begins with, in this order: "delivery failed" is no delivery.
_ACTIONS = (
    (re.compile(r"delay|defer|delivery.{0,20} (?:delay|defer)"), Action.DELAYED),
    (re.compile(r".*fail|error|undeliver|bounce|expired"), Action.FAILED),
    (re.compile(r"deliver"), Action.DELIVERED),
    (re.compile(r"relay"), Action.RELAYED),
    (re.compile(r"expan"), Action.EXPANDED),
)
# mta-name-type ";" mta-name, section 2.1.2; the type is often missing, and "dns" misspelled.
_TYPED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9-]*)\s*;\s*(.*)", re.DOTALL)
_WORD_BEFORE = re.compile(r"[^\s<>()\[\]:;,](?:\s+|[,\[])$")
_RECIPIENT = re.compile(r"^Final-Recipient[ \t]*:", re.MULTILINE | re.IGNORECASE)
_FOLDED_AT = re.compile(r"@ +(?=\S+$)")
_COMMENT = re.compile(r"\([^()]*\)")


def read(mail: ReturnedMail) -> Report | None:
    """The report in the delivery-status fields of `mail`; None when they name no recipient."""
    text = mail.status or mail.fields_in_text
    found = _read(text, mail) if text and not mail.is_letter else None
    return None if found is None or found.names_nobody else found


def nameless(mail: ReturnedMail) -> Report | None:
    """The report in fields that tell a recipient's fate, and not whose: others may know; None when there is none."""
    if mail.is_letter:
        return None
    found = _read(mail.status, mail)
    return found if len(found.recipients) == 1 else None


def _read(text: str, mail: ReturnedMail) -> Report:
    problems: list[str] = []
    message: Group = {}
    entries: list[RecipientReport] = []
    silent: list[RecipientReport] = []  # an address and nothing of its fate
    end = text.rfind("\n\n", 0, fields.MAX_TEXT) if len(text) > fields.MAX_TEXT else -1
    if end < 0:
        end = fields.MAX_TEXT
    for group in split_groups(text[:end]):
        if not _PER_RECIPIENT.isdisjoint(group):
            if _FATE.isdisjoint(group):
                silent.append(_recipient(group, problems))
            else:
                entries.append(_recipient(group, problems))
        # A group that lost the blank line before it carries the per-message fields too.
        message = {**group, **message}
    if silent and mail.marks.says(mail.notice) & {"failed", "delayed"}:
        entries += silent
    if len(entries) == 1 and not _is_mailbox(entries[0]):
        # Exim names a file or a pipe as the final recipient of local mail, and the address in its header.
        named = mailbox.find_all(mail.headers.get("x-failed-recipients"))
        if len(named) == 1:
            entries = [replace(entries[0], original_recipient=named[0])]
    entries = _decided(entries, mail)
    return Report(
        kind=_kind({entry.action for entry in entries}),
        recipients=tuple(entries),
        reporting_mta=_mta(message.get("reporting-mta")) or _mta(message.get("x-reporting-mta")),
        envelope_id=message.get("original-envelope-id") or None,
        source=SOURCE,
        problems=tuple(problems),
        unread=sum(1 for _ in _RECIPIENT.finditer(text, end)),
    )


def _kind(actions: set[Action | None]) -> Kind:
    if Action.FAILED in actions:
        return Kind.BOUNCE
    return Kind.DELAYED if Action.DELAYED in actions else Kind.DELIVERED


def _decided(entries: list[RecipientReport], mail: ReturnedMail) -> list[RecipientReport]:
    """The entries with an action each: what the fields leave open, the words for a person tell."""
    if all(entry.action for entry in entries):
        return entries
    doubt = Action.DELAYED if "delayed" in mail.marks.says(mail.notice) else Action.FAILED
    return [entry if entry.action else replace(entry, action=doubt) for entry in entries]


def _is_mailbox(entry: RecipientReport) -> bool:
    return "@" in (entry.original_recipient or "") or "@" in (entry.final_recipient or "")


def split_groups(text: str) -> Iterator[Group]:
    """The groups of fields in `text`, in order: names in lower case, values unfolded, nothing judged.

    Of a field that stands twice in a group the first counts; of the diagnostic the longer.
    """
    last: Group = {}
    for group in _runs(text):
        if "action" in group and _ADDRESSES.isdisjoint(group) and not _ADDRESSES.isdisjoint(last):
            last = {**group, **last}  # a second action for one address
            continue
        if last:
            yield last
        last = group
    if last:
        yield last


def _runs(text: str) -> Iterator[Group]:
    group: Group = {}
    for name, value, after_blank in fields.each(text):
        if group and (after_blank or name in group) and _opens_group(group, name, after_blank=after_blank):
            yield group
            group = {}
        standing = group.get(name)
        if not standing or (name == "diagnostic-code" and len(value) > len(standing)):
            group[name] = value[:MAX_FIELD]
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
    has_address = not _ADDRESSES.isdisjoint(group)
    return name in group or (has_address and name in (*_OPENERS, "reporting-mta"))


def _recipient(group: Group, problems: list[str]) -> RecipientReport:
    original = _address(group, "original-recipient", problems)
    final = _address(group, "final-recipient", problems)
    if final is None or "@" not in final:
        written = (_typed(group.get(name, ""))[1] for name in _ACTUAL_RECIPIENT)
        actual = map(_mailbox, written)
        final = next((address for address in actual if address), final)
    _, diagnostic = _typed(group.get("diagnostic-code", ""))
    code = status.normalise(group.get("status", "")) or status.find(group.get("status", ""))
    if code is None and group.get("status"):
        problems.append(f"Status: no status code in {group['status'][:40]!r}")
    return RecipientReport(
        original_recipient=original,
        final_recipient=final,
        action=_action(group, code),
        status=code,
        remote_mta=_mta(group.get("remote-mta")),
        diagnostic=diagnostic or None,
        last_attempt=_date(group, "last-attempt-date", problems),
        extensions={name: value for name, value in group.items() if name.startswith("x-")} or None,
    )


def _address(group: Group, name: str, problems: list[str]) -> str | None:
    """RFC 3464 section 2.1.1: address-type ";" address. Mailboxes come out bare, other types as they stand."""
    value = group.get(name)
    if value is None:
        return None
    address_type, address = _typed(_FOLDED_AT.sub("@", value) if "@ " in value else value)
    if address_type.lower() == "utf-8":
        address = mailbox.decode_utf8_address(address)
    found = _mailbox(address)
    if found is None:
        problems.append(f"{name}: no address in {value[:80]!r}")
        # What holds an @ and is no mailbox is a part of one, or more: nobody is blamed for that.
        return None if "@" in address else address.strip(" <>") or None
    return found


@lru_cache(status.AGAIN)
def _mailbox(value: str) -> str | None:
    """The mailbox that a field's value is, or else holds; what may be the end of a local part with blanks is none."""
    whole = mailbox.whole(value)
    if whole:
        return whole
    found = mailbox.find(value)
    return found if found and not _WORD_BEFORE.search(value.partition(found)[0][-80:]) else None


def _action(group: Group, code: str | None) -> Action | None:
    action = _action_named(group.get("action", ""))
    if action:
        return action
    if "will-retry-until" in group:  # RFC 3464 section 2.3.9: for delayed messages only
        return Action.DELAYED
    # The status class says the same, RFC 3463 section 2; a 4 without an action was given up on or not.
    return {"5": Action.FAILED, "2": Action.DELIVERED}.get(code[0]) if code else None


@lru_cache(64)
def _action_named(value: str) -> Action | None:
    word = _COMMENT.sub("", value).strip().lower()
    return next((action for start, action in _ACTIONS if start.match(word)), None)


@lru_cache(256)
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
    found = dates.parse(value)
    if found is None:
        problems.append(f"{name}: not a date: {value[:40]!r}")
    return found
