"""Stage: read a report out of the words that a server wrote for a person, when there is nothing else.

A few mechanisms, and no server's name among them: is this a report at all (a server must have written it, and
several signs agree); which lines name a recipient (an address that a line begins with, a line that a mark
knows, else the only address that can be meant); which lines around it say why; where an SMTP reply is quoted
in them. The words are data: `notices.toml`, through `marks`. Time is linear in the length of the notice.
"""

import re
from collections.abc import Iterable, Iterator
from functools import partial

from msgspec.structs import replace

from bounced.core import mailbox, quoted, status
from bounced.core.mailbox import Mailboxes
from bounced.core.marks import ABOUT_DELIVERY, Marks
from bounced.core.mentions import MAX_ZONE, Mention, find, paragraphs
from bounced.core.model import Action, Kind, RecipientReport, Report
from bounced.core.quoted import MAX_TEXT, one_line
from bounced.core.returned import ReturnedMail

SOURCE = "notice"
MAX_MENTIONS = 10  # of one recipient
MAX_RECIPIENTS = 200  # of one notice; those beyond are counted
ENOUGH = 4  # signs, weighed, that make a mail a report

_SPOKEN = ABOUT_DELIVERY - {"reason"} | {"autoreply", "feedback"}
_DAEMON = re.compile(r"(?:mailer|mail)-?daemon@", re.IGNORECASE)
# Full-width forms, and scripts without blanks that run into the address.
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | dict.fromkeys(
    map(ord, "「」『』【】"), 0x22
)
_CJK = "\u3001-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef"
_HAS_CJK = re.compile(rf"[{_CJK}]")
_SCRIPT_CHANGES = re.compile(rf"(?<=[{_CJK}])(?=[A-Za-z0-9<])|(?<=[A-Za-z0-9>])(?=[{_CJK}])")
_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+|(?<=\))\s+(?=[A-Z])|(?<=\u3002)| (?=I'm not going to try again)")
# How a notice tells who wrote and who was to get the mail that was stopped, in the languages of gateways.
_TO_LINE = re.compile(
    r"^[\s>*|-]{0,20}(?:To|An|Para|Aan|\u00c0|\u0410\u0434\u0440\u0435\u0441\u0430\u0442|\u5b9b\u5148)[ \t]*:(.*)",
    re.MULTILINE,
)
_FROM_LINE = re.compile(
    r"^[\s>*|-]{0,20}(?:(?:original |mail |envelope |source )?(?:from|sender|mailbox)|mailfrom|von|absender|de"
    r"|remitente|expediteur|da|mittente|van|od)[ \t]*:(.*)",
    re.MULTILINE | re.IGNORECASE,
)
# A local part alone, as GroupWise writes it: "    jane (550 no such recipient)".
_LOCAL_PART = re.compile(r"^([ \t]+)([\w.+-]{1,64})(?=[ \t]+\()", re.MULTILINE)
_ADVICE = re.compile(r"\W*(?:please|bitte|veuillez|por favor|si prega|prosimy)\b", re.IGNORECASE)
# What stands behind the address of somebody who got the message.
_DELIVERED = re.compile(r"\W{0,5}(?:delivered|relayed|ok|2\d\d[ -](?:2\.\d\.\d|ok))\b", re.IGNORECASE)
_SPLIT = re.compile(r"(<[^<>\s]{1,320})\n[ \t]*([^<>\s]{1,255}>)")
# What stands in one line with the address before an alias: Postfix breaks it where it is long.
_SPLIT_SOURCE = re.compile(r"\((expanded|generated|forwarded)\s{1,20}(from|by)\s{1,20}(?=<)")


def read(mail: ReturnedMail) -> Report | None:
    """Read the notice of `mail`; None when it is no report. A report may have no recipient that can be told."""
    marks = mail.marks
    notice = _SPLIT_SOURCE.sub(r"(\1 \2 ", _SPLIT.sub(_joined, mail.notice))
    notice = _completed(notice, mail)
    if not notice.isascii() and _HAS_CJK.search(notice):
        notice = _SCRIPT_CHANGES.sub(" ", notice.translate(_WIDE))
    kind, is_sure = _kind(mail, notice, marks)
    is_foreign = kind is None and _is_foreign(mail, notice)
    if is_foreign:
        kind = Kind.BOUNCE
    if kind is None:
        return None
    action = {Kind.DELAYED: Action.DELAYED, Kind.DELIVERED: Action.DELIVERED}.get(kind, Action.FAILED)
    own = _own(mail)
    is_daemon = mail.is_from_server and mail.has_null_path  # which writes of nothing else, whatever its words
    mentions = find(notice, marks, own, partial(_addressees, mail), guess=is_sure or is_foreign or is_daemon)
    if not mentions and is_sure:  # some name the recipient in the subject alone, or all that they have to say
        subject = mail.subject
        lines = [] if "reason" in marks.says(notice) else [subject]
        named = find(subject, marks, own, set, guess=True)
        mentions = [Mention(m.address, [], lines) for m in named if m.address not in own]
    is_declared = is_foreign and _declares_report(mail)  # the returned header may tell whom it is about
    tells = (
        is_foreign or quoted.has_reply(notice) or (is_daemon and any(m.address not in own for m in mentions))
    )
    if not is_sure and not is_declared and not (mentions and tells):
        return None
    if all(m.address in own for m in mentions) and _is_about_addressee(mail, notice):
        return None
    known = {name.lower() for m in mentions for name in (m.address, m.original) if name}
    for address in mailbox.find_all(mail.headers.get("x-failed-recipients")):
        if address.lower() not in known:
            mentions.append(Mention(address, [], []))
    recipients, unread = _recipients(mentions, notice, action, marks)
    return Report(kind=kind, recipients=recipients, source=SOURCE, unread=unread)


def _recipients(
    mentions: list[Mention], notice: str, action: Action, marks: Marks
) -> tuple[tuple[RecipientReport, ...], int]:
    """Those who are mentioned, up to MAX_RECIPIENTS, and how many more there are."""
    groups = list(_grouped(mentions))
    if len(groups) == 1:
        return (_recipient(groups[0], notice, action, marks),), 0
    found = [_recipient(group, "", _fate(group, action, marks), marks) for group in groups[:MAX_RECIPIENTS]]
    failed = [number for number, recipient in enumerate(found) if recipient.action is action]
    if failed and not any(found[number].diagnostic for number in failed):
        said = _recipient(groups[failed[0]], notice, action, marks)  # of all
        for number in failed:
            names = found[number].final_recipient, found[number].original_recipient
            found[number] = replace(said, final_recipient=names[0], original_recipient=names[1])
    return tuple(found), len(groups[MAX_RECIPIENTS:])


def _joined(match: re.Match[str]) -> str:
    return match[1] + match[2] if "@" in match[1] + match[2] else match[0]


def _completed(notice: str, mail: ReturnedMail) -> str:
    """The notice with the domains that it left out, and the returned header has."""
    if not (mail.addressees and _LOCAL_PART.search(notice)):
        return notice
    known = {address.rpartition("@")[0].lower(): address for address in mail.addressees}
    return _LOCAL_PART.sub(lambda match: match[1] + known.get(match[2].lower(), match[2]), notice)


def _own(mail: ReturnedMail) -> Mailboxes:
    """The addresses that the report itself comes from and goes to, and the author of the returned mail."""
    fields = [mail.headers.get(name) for name in ("to", "from", "reply-to")]
    if mail.returned:
        fields += (mail.returned.get("from"), mail.returned.get("sender"))
    return Mailboxes(fields)


def _addressees(mail: ReturnedMail) -> set[str]:
    """The addresses that the returned mail went to, also by the notice, and those that the header names as failed."""
    fields = " ".join([mail.headers.get("x-failed-recipients"), *_TO_LINE.findall(mail.notice)])
    return {address.lower() for address in (*mailbox.find_all(fields), *mail.addressees)}


def _is_foreign(mail: ReturnedMail, notice: str) -> bool:
    """Whether a mailer daemon wrote it in words that no mark speaks: it speaks of failures, when somebody is named.

    By its mailbox, not by the name beside it, and by the null reverse-path; or by what it declares itself to be.
    """
    daemon = mail.has_null_path and _DAEMON.match(mailbox.find(mail.headers.get("from")) or "")
    if not (daemon or _declares_report(mail)) or mail.is_reply or mail.is_receipt or notice.isascii():
        return False
    return not (mail.marks.says(mail.subject) | mail.marks.says(notice)) & _SPOKEN


def _declares_report(mail: ReturnedMail) -> bool:
    """Whether it calls itself a delivery report, RFC 6522, though no part has the fields of one."""
    return mail.headers.parameters.get("report-type", "").lower() == "delivery-status"


def _is_about_addressee(mail: ReturnedMail, notice: str) -> bool:
    """Whether somebody who only calls himself a server names nobody but the addressee, and returns nothing.

    It is about mail that the addressee should have got, as phishers write, and reports nothing that was sent.
    """
    headers = mail.headers
    sender = mailbox.find(headers.get("from")) or ""
    # Whose reverse-path was written down and is somebody's is no server, whatever its mailbox is called.
    is_server = "server" in mail.marks.says(sender) and "return-path" not in headers
    if mail.has_null_path or mail.returned or is_server or quoted.has_reply(notice):
        return False
    named = {address.lower() for address in mailbox.find_all(notice)}
    return bool(named) and named <= {address.lower() for address in mailbox.find_all(headers.get("to"))}


def _kind(mail: ReturnedMail, notice: str, marks: Marks) -> tuple[Kind | None, bool]:
    """Weigh the signs: who wrote it, what the subject and the words say, what is enclosed.

    It is not sure when a reason is given, or a reply quoted in a language that no mark speaks, and nothing says
    that delivery failed: somebody must be named and a reply quoted, then.
    """
    headers = mail.headers
    heading = frozenset[str]() if mail.is_reply else marks.says(mail.subject)
    said = marks.says(notice)
    about = (heading | said) & ABOUT_DELIVERY
    server = mail.is_from_server or _declares_report(mail)
    is_unrelated = "unrelated" in heading or "incoming" in said
    encloses_report = mail.status != "" and mail.is_letter
    if mail.is_receipt or is_unrelated or encloses_report or (mail.is_reply and not server):
        return None, False
    named = "x-failed-recipients" in headers
    null_path = mail.has_null_path and not mail.is_bulk
    submitted = headers.get("auto-submitted").lower()
    # Gateways call their refusals auto-replied, too: they say that delivery failed, and why.
    refuses = null_path and {"failed", "reason"} <= said and "autoreply" not in said
    by_person = not (server or named) and (
        "autoreply" in heading or (submitted.startswith("auto-replied") and not refuses)
    )
    # A challenge or a vacation note, from a postmaster too: it may say that nothing was delivered, but not why.
    by_person |= "autoreply" in heading | said and not (named or "final" in said or quoted.has_reply(notice))
    weight = (
        3 * named
        + 2 * server
        + 2 * bool(heading & about)
        + 2 * bool(said & about)
        + null_path
        + (submitted not in ("", "no"))
        + (mail.returned is not None)
    )
    if ENOUGH - 2 <= weight < ENOUGH:
        weight += quoted.has_reply(notice) + 2 * (about != {"reason"} and _returns_own(mail))
    speaks = named or about or (server and null_path and quoted.has_reply(notice))
    if not speaks or by_person or weight < ENOUGH or not (server or named or null_path or _returns_own(mail)):
        return None, False
    is_sure = bool(named or about - {"reason"})
    if "warning" in said:
        return Kind.DELAYED, is_sure
    if "delayed" in said and "final" not in said:  # whatever the subject calls it
        return Kind.DELAYED, is_sure
    for role, kind in (("failed", Kind.BOUNCE), ("delayed", Kind.DELAYED), ("delivered", Kind.DELIVERED)):
        if role in heading:
            return kind, is_sure
    return (Kind.BOUNCE if named or about != {"delivered"} else Kind.DELIVERED), is_sure


def _returns_own(mail: ReturnedMail) -> bool:
    """Whether the message that it is about was written by whom the mail goes to, as that of a report is."""
    written_by = _FROM_LINE.findall(mail.notice)
    if mail.returned:
        written_by += map(mail.returned.get, ("from", "sender", "return-path"))
    authors = Mailboxes(written_by)
    return any(address in authors for address in mailbox.find_all(mail.headers.get("to")))


def _grouped(mentions: Iterable[Mention]) -> Iterator[list[Mention]]:
    groups: dict[str, list[Mention]] = {}
    for mention in mentions:
        group = groups.setdefault(mention.address.lower(), [])
        if len(group) < MAX_MENTIONS:
            group.append(mention)
    yield from groups.values()


def _fate(mentions: list[Mention], action: Action, marks: Marks) -> Action:
    """What became of one of several recipients: some notices tell of those, too, who got the message."""
    for mention in mentions:
        own = mention.lines[0] if mention.lines else ""
        said = own if own.strip() else mention.above
        if _DELIVERED.match(own) or ("delivered" in marks.says(said) and "failed" not in marks.says(said)):
            return Action.DELIVERED
    return action


def _recipient(mentions: list[Mention], notice: str, action: Action, marks: Marks) -> RecipientReport:
    """One recipient of all lines that name it; `notice` is the whole text when there is no other recipient."""
    zones = [m.after for m in mentions] + [m.ahead for m in mentions] + [notice]
    reply = next((found for zone in zones if zone and (found := quoted.reply(zone))), None)
    diagnostic = reply.text if reply else _reason(mentions, notice, marks)
    whole = notice or "\n".join(zones)[:MAX_ZONE]
    if reply and not notice and len(quoted.codes(whole)) > 1:
        whole = reply.text  # the others may be about the other recipients
    return RecipientReport(
        original_recipient=next((m.original for m in mentions if m.original), None),
        final_recipient=mentions[0].address,
        action=action,
        status=status.find(diagnostic or "") or status.find(notice),
        remote_mta=next((host for zone in zones if zone and (host := quoted.host(zone))), None),
        diagnostic=diagnostic,
        command=reply.command if reply else status.command(whole[:MAX_TEXT]),
        explanation=" ".join(whole.split())[:MAX_TEXT],
    )


def _reason(mentions: list[Mention], notice: str, marks: Marks) -> str | None:
    """What is said about a recipient where no reply is quoted: below its address, above it, or farther below."""
    farther = notice.partition(mentions[0].address)[2].partition("\n")[2][:MAX_ZONE]
    for zone in (*(m.after for m in mentions), *(m.above for m in mentions), farther):
        for paragraph in paragraphs(zone):
            if telling := _telling(paragraph, marks):
                return one_line([telling])
    for mention in mentions:
        if mention.lines and mention.lines[0].strip():
            return one_line([next(paragraphs(mention.after), "")]) or None
    sentences = (sentence for paragraph in paragraphs(notice) for sentence in _SENTENCE_ENDS.split(paragraph))
    return next((sentence[:MAX_TEXT] for sentence in sentences if "reason" in marks.says(sentence)), None)


def _telling(paragraph: str, marks: Marks) -> str:
    """What a paragraph says besides that delivery failed, whom to ask, and what the next paragraph holds."""
    sentences = _SENTENCE_ENDS.split(paragraph)
    if paragraph.endswith(":"):
        sentences.pop()
    return " ".join(sentence for sentence in sentences if _tells(sentence, marks))


def _tells(sentence: str, marks: Marks) -> bool:
    says = marks.says(sentence)
    if "reason" in says:
        return True
    if (
        says & ABOUT_DELIVERY
        or _ADVICE.match(sentence)
        or not any(map(str.isalnum, sentence))
        or mailbox.find(sentence) == sentence.strip(" <>")
    ):
        return False
    named = marks.named(sentence)
    return named is None or named.address != ""
