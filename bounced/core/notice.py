"""Stage: read a report out of the words that a server wrote for a person, when there is nothing else.

A few mechanisms, and no server's name among them: is this a report at all (several signs must agree); which
lines name a recipient (an address that a line begins with, or a line that a mark knows); which lines around it
say why; where an SMTP reply is quoted in them. The words are data: `notices.toml`, through `marks`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bounced.core import mailbox, status
from bounced.core.marks import MAX_LINE, MAX_LINES, Marks
from bounced.core.message import ReturnedMail
from bounced.core.mime import Headers
from bounced.core.model import Action, Kind, RecipientReport, Report

SOURCE = "notice"
MAX_TEXT = 2_000  # characters of a diagnostic or an explanation
ENOUGH = 5  # signs, weighed, that make a mail a report

_DAEMON = re.compile(
    r"mailer.?daemon|post.?master|mail.?daemon|daemon@|mdaemon|mail deliver|delivery (sub)?system|mail (admin|system)"
    r"|system administrator|microsoft outlook|mail\.delivery|delivery[ -](status|report|notification)|returned.?mail",
    re.IGNORECASE,
)
_REPLIED = re.compile(r"\s*(re|aw|sv|antw|vs|odp)\s*:", re.IGNORECASE)
# Mailboxes that speak for a server: never the recipient, when a sentence names somebody else too.
_SERVER_MAILBOX = re.compile(r"(mailer-daemon|postmaster|abuse|support|no-?reply)@", re.IGNORECASE)
# The null reverse-path of RFC 5321 section 4.5.5, as delivery agents write it down.
_NULL_PATHS = ("", "<>", "<MAILER-DAEMON>", "MAILER-DAEMON")
# What may stand before an address that a line is about: bullets, quotes, arrows, a count.
_BULLET = re.compile(r"^[\s>*•·|-]*(?:\d{1,3}[.)]\s+)?")
# What follows it, when the line is about the address and not about something that the address did.
_ABOUT = re.compile(
    r"""\s*(?:$|[:(\[,;-]|\.\.\.|\u2026|<mailto:|<[^<>\s]+@|=>|on \w{3},?\s|[.>]?\s*$"""
    r"""|(?:said|failed|unknown|rejected|user|mailbox|no such)\b)""",
    re.IGNORECASE,
)
# SendGrid's queue and others write a label and an id before the address: "jane:000042:<jane@example.org> : ..."
_LABELLED = re.compile(r"^[\w.+-]{1,64}:\d{1,12}:(?=<)")
_GENERATED = re.compile(
    r"\b(?:(?:generated|expanded|forwarded) (?:from|by)|originally to) ([^()\s]{3,320})", re.IGNORECASE
)
_SEPARATOR = re.compile(r"^\s*[-=_*#|+~]{4,}")
# An SMTP reply in running text: a code, then a status or a word that is no unit.
_REPLY = re.compile(
    r"(?<![\w.:/@#$-])([45][0-5]\d)(?=-|[ ]|: |#)[ :-]{0,3}(?:#?[45]\.\d{1,3}\.\d{1,3}|[<(#\"'A-Za-z\u0080-\uffff])"
    r"(?!(?:bytes?|kb|mb|seconds?|secs?|minutes?|hours?|days?|messages?|times|octets)\b)",
    re.IGNORECASE,
)
_HOST = re.compile(
    r"((?:[A-Za-z0-9_-]{1,63}\.){1,10}[A-Za-z][A-Za-z0-9-]{1,62})\.?\s?[\[(]\d{1,3}(?:\.\d{1,3}){3}[\])]"
)


@dataclass(slots=True)
class _Mention:
    """Lines about one recipient: what the line itself goes on to say, then those after it."""

    address: str
    original: str | None = None
    before: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def read(mail: ReturnedMail, marks: Marks) -> Report | None:
    """Read the notice of `mail`; None when it is no report. A report may have no recipient that can be told."""
    notice = mail.notice
    subject = mail.headers.get("subject")
    kind = _kind(mail, notice, subject, marks)
    if kind is None:
        return None
    action = {Kind.DELAYED: Action.DELAYED, Kind.DELIVERED: Action.DELIVERED}.get(kind, Action.FAILED)
    lines = [line[:MAX_LINE] for line in notice.split("\n", MAX_LINES)[:MAX_LINES]]
    mentions = _mentions(lines, mail.headers, marks)
    for address in mailbox.find_all(mail.headers.get("x-failed-recipients")):
        if not any(same(address, m.address) or same(address, m.original) for m in mentions):
            mentions.append(_Mention(address))
    alone = len({m.address.lower() for m in mentions}) == 1
    recipients = tuple(_recipient(group, notice if alone else "", action) for group in _grouped(mentions))
    return Report(kind=kind, recipients=recipients, source=SOURCE)


def same(one: str, other: str | None) -> bool:
    """Whether two addresses as written are one."""
    return other is not None and one.lower() == other.lower()


def explanation_of(address: str, notice: str) -> str:
    """What a notice says about one recipient of several: from the first mention of it to the next blank line."""
    at = notice.find(address)
    if at < 0:
        return ""
    end = notice.find("\n\n", at)
    return " ".join(notice[at : min(end if end >= 0 else len(notice), at + MAX_TEXT)].split())


def _kind(mail: ReturnedMail, notice: str, subject: str, marks: Marks) -> Kind | None:
    """Weigh the signs: who wrote it, what the subject and the words say, what is enclosed."""
    heading = frozenset[str]() if _REPLIED.match(subject) else marks.says(subject)
    sentences = marks.sentences(notice)
    said = {mark.role for mark in sentences}
    about = (heading | said) & {"failed", "delayed", "delivered"}
    daemon = _DAEMON.search(mail.headers.get("from")) is not None
    named = "x-failed-recipients" in mail.headers
    if not about and not named:
        return None
    if "autoreply" in heading and not daemon:
        return None
    weight = (
        3 * named
        + 2 * daemon
        + 2 * bool(heading & {"failed", "delayed", "delivered"})
        + 2 * bool(said & {"failed", "delayed", "delivered"})
        + 2 * ("return-path" in mail.headers and mail.headers.get("return-path").upper() in _NULL_PATHS)
        + (mail.headers.get("auto-submitted").lower() not in ("", "no"))
        + (mail.returned is not None)
        + (_REPLY.search(notice) is not None)
    )
    if weight < ENOUGH:
        return None
    if any(mark.id == "delayed-warning-only" for mark in sentences):
        return Kind.DELAYED
    if "failed" in heading:
        return Kind.BOUNCE
    if "delayed" in heading:
        return Kind.DELAYED
    if "delayed" in said and not any(mark.id == "failed-giving-up" for mark in sentences):
        return Kind.DELAYED
    return Kind.BOUNCE if "failed" in about or named else Kind.DELIVERED


def _mentions(lines: list[str], headers: Headers, marks: Marks) -> list[_Mention]:
    """Every line that names a recipient, with the lines that belong to it."""
    sender = mailbox.find(headers.get("to"))
    strong: list[_Mention] = []
    weak: list[_Mention] = []
    since: list[str] = []  # lines since the last recipient
    current: _Mention | None = None
    for line in lines:
        about, address, rest = _begins_with_address(line)
        named = None if about else marks.named(line) if "@" in line else None
        if about or named:
            address = address or named or ""
            current = _Mention(address, before=since, lines=[rest if about else line])
            doubtful = not about and (same(address, sender) or _SERVER_MAILBOX.match(address))
            (weak if doubtful else strong).append(current)
            since = []
            continue
        generated = _GENERATED.search(line)
        if generated and current is not None:
            current.original = mailbox.find(generated[1])
        if _SEPARATOR.match(line):
            current = None
            since = []
        elif current is not None:
            current.lines.append(line)
        since.append(line)
    return strong or weak


def _begins_with_address(line: str) -> tuple[bool, str, str]:
    """Whether the line is about an address that it begins with; the address; the rest of the line."""
    if "@" not in line:
        return False, "", ""
    start = _BULLET.match(line)
    body = line[start.end() if start else 0 :]
    body = _LABELLED.sub("", body).lstrip("<\"' ")
    address = mailbox.find(body.split(None, 1)[0]) if body else None
    if address is None or not body.startswith(address):
        return False, "", ""
    rest = body[len(address) :].lstrip(">\"'")
    return _ABOUT.match(rest) is not None, address, rest.lstrip(" :>")


def _grouped(mentions: list[_Mention]) -> Iterator[list[_Mention]]:
    groups: dict[str, list[_Mention]] = {}
    for mention in mentions:
        groups.setdefault(mention.address.lower(), []).append(mention)
    yield from groups.values()


def _recipient(mentions: list[_Mention], notice: str, action: Action) -> RecipientReport:
    """One recipient of all lines that name it; `notice` is the whole text when there is no other recipient."""
    texts = (
        ["\n".join(m.lines) for m in mentions]
        + ["\n".join((*m.before, *m.lines)) for m in mentions]
        + [notice]
    )
    replied = next((text for text in texts if _REPLY.search(text)), None)
    if replied is not None:
        diagnostic = _reply_in(replied)
    else:
        diagnostic = next((said for text in texts[:-1] if (said := _paragraphs(text))), None)
    host = next((match[1] for text in texts if (match := _HOST.search(text))), None)
    whole = notice or "\n".join(texts)
    return RecipientReport(
        original_recipient=next((m.original for m in mentions if m.original), None),
        final_recipient=mentions[0].address,
        action=action,
        status=status.find(diagnostic or ""),
        remote_mta=host.lower() if host else None,
        diagnostic_type="smtp" if replied is not None else None,
        diagnostic=diagnostic,
        command=status.command(replied or whole[:MAX_TEXT]),
        explanation=" ".join(whole.split())[:MAX_TEXT],
    )


def _reply_in(text: str) -> str:
    """The SMTP reply that `text` quotes: from its code to the end of the paragraph."""
    match = _REPLY.search(text)
    start = match.start() if match else 0
    end = text.find("\n\n", start)
    reply = text[start : end if end >= 0 else len(text)]
    return " ".join(reply.split())[:MAX_TEXT]


def _paragraphs(text: str) -> str | None:
    return " ".join(text.split())[:MAX_TEXT].strip(" .:-()[]") or None
