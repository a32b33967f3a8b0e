"""A returned mail, taken apart: what is for a person, what is for a program, what was returned.

Made by the stage `message`, read by the stages after it. What takes work is done when somebody asks for it.
"""

import re
from textwrap import dedent

from msgspec import Struct

from bounced.core import dates, mailbox
from bounced.core.marks import Marks
from bounced.core.mime import Headers, Part, parse
from bounced.core.once import once

_FEEDBACK_IN_TEXT = re.compile(r"^Feedback-Type[ \t]*:", re.MULTILINE | re.IGNORECASE)
# Delivery-status fields that stand in plain text: forwarded by a mail reader, or by servers that know no MIME.
_FIELDS_IN_TEXT = re.compile(r"^[ \t>]*(?:Final|Original)-Recipient[ \t]*:", re.MULTILINE | re.IGNORECASE)
_REPORTING_IN_TEXT = re.compile(r"^[ \t>]*Reporting-MTA[ \t]*:", re.MULTILINE | re.IGNORECASE)
# A person answers, a person passes on; as mail readers of several languages write it before the subject.
_REPLIED = re.compile(
    r"\s*(?:re|aw|sv|antw|vs|odp|rif|res|ynt|回复|答复|回覆)\s*(?:\[\d+\]\s*)?[:\uff1a]", re.IGNORECASE
)
_OPENS_TAG = ("[", "(", "{", "*")
_GATEWAY_TAGS = re.compile(
    r"^(?:\s{0,9}[\[({*]{1,5}[^\[\](){}*]{0,30}\b(?:ext|external|extern|externe|spam|junk|suspicious|caution|untrusted|disarmed)\b"
    r"[^\[\](){}*]{0,30}[\])}*]{1,5}:?\s{0,9}){1,5}",
    re.IGNORECASE,
)
_FORWARDED = re.compile(r"\s*(?:fwd?|wg|tr|rv|enc|doorst|转发|轉寄)\s*[:\uff1a]", re.IGNORECASE)
# Header fields as mail readers of several languages write them above what they pass on.
_FORWARDED_FIELDS = tuple(
    (f"{name}:", re.compile(rf"^(?:{words})[ \t\u00a0]*[:\uff1a]", re.MULTILINE))
    for name, words in (
        ("From", "Von|De|Da|Van|Od|Fra|Från|От|差出人|送信者|发件人|寄件者|보낸 ?사람"),
        (
            "Subject",
            "Betreff|Objet|Oggetto|Asunto|Assunto|Onderwerp|Temat|Emne|Ämne|Тема|件名|主题|主旨|제목",
        ),
        ("To", "An|À|A|Para|Aan|Do|Til|Till|Кому|宛先|收件人|收件者|받는 ?사람"),
    )
)
# The null reverse-path of RFC 5321 section 4.5.5, as delivery agents write it down.
_NULL_PATHS = ("", "<>", "<MAILER-DAEMON>", "MAILER-DAEMON")
_LIST_FIELDS = ("list-id", "list-post", "list-unsubscribe", "mailing-list")
_AUTOREPLY_FIELDS = ("x-autoreply", "x-autorespond", "x-autoresponder")
_BULK = ("bulk", "list", "junk", "auto_reply")
_MAX_SENDERS = 4
_QUOTED = re.compile(r"^(?:[ \t]*>)+ ?", re.MULTILINE)


class ReturnedMail(Struct, frozen=True, dict=True):
    """The parts of one mail by what they are for: `texts` in order, `status` all fields that tell of delivery.

    `is_receipt` says that it is a message disposition notification, RFC 8098: the receipt of a reader.
    """

    headers: Headers
    texts: tuple[Part, ...]
    status: str
    marks: Marks
    is_receipt: bool = False
    _feedback: str | None = None
    _inner: Part | None = None
    _returned: Headers | None = None

    @once
    def _text(self) -> str:
        return "\n\n".join([part.text for part in self.texts])

    @once
    def _cut(self) -> tuple[str, str]:
        text = self._text
        if text.count("\n>") * 2 > text.count("\n"):
            text = _QUOTED.sub("", text)  # forwarded by a person, who quoted all of it
        # What has been returned in a part of its own is not copied below the notice too.
        notice, copy = (text, "") if self.status and self._returned is not None else self.marks.cut(text)
        return self.marks.without_footers(notice), copy

    @once
    def subject(self) -> str:
        """The subject without what gateways put before that of every mail from outside."""
        written = self.headers.get("subject")
        return _GATEWAY_TAGS.sub("", written) if written[:1] in _OPENS_TAG else written

    @property
    def feedback(self) -> str | None:
        """The fields of an abuse complaint, RFC 5965 section 2, from a part of their own or in the notice."""
        if self._feedback is not None or self.status:
            return self._feedback
        is_there = "feedback-type" in self.notice.lower() and _FEEDBACK_IN_TEXT.search(self.notice)
        return self.notice if is_there else None

    @property
    def notice(self) -> str:
        """What a person reads, up to where a copy of the returned message begins."""
        return self._cut[0]

    def mentions(self, *words: str) -> bool:
        """Whether one of these words is in the notice."""
        # Few are, and to make the notice takes longer than to look for them in what it is made of.
        return any(word in self._text for word in words) and any(word in self.notice for word in words)

    @once
    def returned(self) -> Headers | None:
        """The header of the returned message, from a part of its own or from below the notice."""
        if self._returned is not None:
            return self._returned
        return self.inner.headers if self.inner is not None and self.inner.headers else None

    @once
    def addressees(self) -> tuple[str, ...]:
        """Whom the returned mail went to, by the To and Cc of its header, as written."""
        returned = self.returned
        return tuple(mailbox.find_all(f"{returned.get('to')} {returned.get('cc')}")) if returned else ()

    @once
    def inner(self) -> Part | None:
        """The first message inside: a part of its own, else what is copied below the notice."""
        if self._inner is not None:
            return self._inner
        copy = self._cut[1].lstrip("\n")
        if copy.startswith((" ", "\t")):
            copy = dedent(copy)
        copy = copy.lstrip("\n>")
        header, blank, body = copy.partition("\n\n")
        for name, written in _FORWARDED_FIELDS:
            if name not in header:
                header = written.sub(name, header, count=1)
        copy = header + blank + body
        return parse(copy.encode("utf-8", "replace")) if copy else None

    @once
    def senders(self) -> list[str]:
        """Whom the report goes to and the authors of the returned mail, as written; a few at most."""
        fields = self.headers.get("to")
        if returned := self.returned:
            fields += f" {returned.get('from')} {returned.get('sender')} {returned.get('return-path')}"
        return mailbox.find_all(fields)[:_MAX_SENDERS]

    @once
    def date(self) -> int | None:
        """When the report was written, RFC 5322 section 3.6.1, in Unix seconds."""
        return dates.parse(self.headers.get("date"))

    @once
    def is_from_server(self) -> bool:
        """Whether a server wrote it, as its From field has it.

        By the mailbox, or by the name beside it, which couriers and newsletters bear too: theirs comes from a
        list, or from somebody's reverse-path.
        """
        sender = self.headers.get("from")
        if sender == "<>":  # the null reverse-path, where the author should be
            return True
        if "server" not in self.marks.says(sender):
            return False
        if self._is_list and "server" not in self.marks.says(mailbox.find(sender) or sender):
            return False
        path = self.headers.get("return-path")  # postmasters write letters, too
        return path.upper() in _NULL_PATHS or "server" in self.marks.says(path)

    @property
    def envelope_recipient(self) -> str:
        """Whom it went to, as delivery agents write it down; "" when none has."""
        fields = map(self.headers.get, ("delivered-to", "x-original-to", "envelope-to"))
        return next(filter(None, map(mailbox.find, fields)), "")

    @property
    def has_null_path(self) -> bool:
        """Whether the null reverse-path was written down when the mail was delivered."""
        return "return-path" in self.headers and self.headers.get("return-path").upper() in _NULL_PATHS

    @once
    def is_reply(self) -> bool:
        """Whether a person answers: what is quoted below is old, whatever it reports."""
        if _REPLIED.match(self.subject):
            return True
        # Readers name the mail that they pass on in In-Reply-To, too.
        return "in-reply-to" in self.headers and not (self._is_forward or self.is_from_server)

    @property
    def is_letter(self) -> bool:
        """Whether somebody answers, or a list passes it on: a report in it is enclosed to be read by people."""
        if self.has_null_path:
            return False  # as most have: letters come from somebody
        return self.is_reply or (self._is_list and not self.is_from_server)

    @once
    def is_bulk(self) -> bool:
        """Whether it went to many: what it quotes, whatever its return path, is an example or somebody's letter."""
        if self.is_from_server:
            return False
        if self._is_list:
            return True
        # Servers, too, call their reports bulk; these say in the subject what they are.
        return self._precedence in _BULK and "failed" not in self.marks.says(self.subject)

    @property
    def _is_list(self) -> bool:
        return self._precedence == "list" or any(name in self.headers for name in _LIST_FIELDS)

    @property
    def _precedence(self) -> str:
        return self.headers.get("precedence").lower()

    @property
    def _is_forward(self) -> bool:
        return _FORWARDED.match(self.subject) is not None

    @property
    def _reports_in_text(self) -> bool:
        """Whether fields in the text are this mail's own, or were passed on, and are no quotation or example."""
        if self.is_reply:
            return False
        if self.is_from_server:
            return True
        headers = self.headers
        if (
            self.is_bulk
            or self._precedence in _BULK
            or headers.get("auto-submitted").lower().startswith("auto-replied")
            or any(name in headers for name in _AUTOREPLY_FIELDS)
            or "autoreply" in self.marks.says(self.subject)
        ):
            return False
        return self.has_null_path or self._is_forward

    @property
    def fields_in_text(self) -> str | None:
        """Delivery-status fields that stand in the notice, when it is this mail that reports."""
        if "-recipient" not in self.notice.lower():
            return None
        first = _FIELDS_IN_TEXT.search(self.notice)
        if first is None or not self._reports_in_text:
            return None
        reporting = _REPORTING_IN_TEXT.search(self.notice)
        start = min(first.start(), reporting.start()) if reporting else first.start()
        # A field may stand before the address of its group: take the paragraph's beginning.
        start = self.notice.rfind("\n\n", 0, start) + 1
        return self.notice[start:]
