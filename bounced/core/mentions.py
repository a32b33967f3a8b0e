"""Whom a notice names, and which of its lines belong to whom.

Three ways of naming a recipient, in the order of trust: a line is about an address (it begins with it, or a
mark knows the line); the same for a mailbox that speaks for the server or that the report itself goes to; an
address in any sentence, when it is the only one that can be meant. Bystanders are never recipients.
"""

import re
from collections.abc import Callable, Iterator
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from bounced.core import mailbox
from bounced.core.mailbox import Mailboxes
from bounced.core.marks import ABOUT_DELIVERY, MAX_LINE, MAX_LINES, Marks, Named
from bounced.core.quoted import SEPARATOR, has_reply

MAX_ZONE = 8_192  # characters around a mention in which its reason is looked for
MAX_ZONE_LINES = 40
MAX_CLOSINGS = 5  # of letters, in one notice

# Mailboxes that speak for a server or a list: never the recipient, when somebody else is named too.
_SERVER_MAILBOX = re.compile(
    r"(?:mailer-daemon|postmaster|abuse|support|help|\S{0,64}no-?reply|\S{1,64}-(?:owner|request|admin|bounces?|confirm))@",
    re.IGNORECASE,
)
# What may stand before an address that a line is about: bullets, quotes, arrows, a count.
_BULLET = re.compile(r"[\s>*•·|-]*(?:\d{1,3}[.)]\s+)?")
# What joins the last address of an enumeration, in the languages that servers speak.
_AND = frozenset((
    "and", "or", "&", "und", "oder", "et", "ou", "y", "o", "e", "ed", "i", "oraz", "en", "of", "ve", "och", "og",
    "и", "или", "と", "和", "및",
))  # fmt: skip
# What follows it, when the line is about the address and not about something that the address did.
_ABOUT = re.compile(
    r"\t|\s*(?:$|[:(\[,;|\u2013\u2014-]|\.\.\.|\u2026|<mailto:|<[^<>\s]+@|=>|on \w{3},?\s|on \d|[.>]?\s*$"
    r"|[45](?:\.\d\.\d|\d\d\s)"
    r"|(?:said|fail(?:ed|s|ure)|unknown|rejected|user|mailbox|no such|delivery|could ?n[o']t"
    rf"|cannot|does|is|was|has)\b|(?:{'|'.join(_AND)}) <?[^\s<>@]{{1,64}}@)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=\S)")
# What an introduction speaks of below which recipients stand, in words that no mark knows.
_TROUBLE = re.compile(
    r"\b(?:errors?|fail|problems?|reasons?|recipients?|reports?|transcript|undeliver|fehler|empf|destinat|erreurs?|bounce)",
    re.IGNORECASE,
)
_WHEN = re.compile(r"on (?:\w{3}, )?\d{1,4}\b")
# Atomic and possessive: what could be cut in many ways would be, all of them.
_ONLY_ADDRESSES = re.compile(r"(?><?[^\s<>,;@]{1,64}@[^\s<>,;@]{1,255}>?[,;\s]{0,5})++$")
# Queues write a label and an id before the address: "jane:000042:<jane@example.org> : ..."
_LABELLED = re.compile(r"[\w.+-]{1,64}:\d{1,12}:(?=<)")
# The address before an alias or a .forward: it is the one that the sender wrote to.
_GENERATED = re.compile(
    r"\(?\b(?:(?:generated|expanded|forwarded) (?:from|by)|originally to):? ([^()\s]{3,320})\)?",
    re.IGNORECASE,
)


class Mention(Struct):
    """One naming of a recipient: the lines before it; what its own line goes on to say, and those after it."""

    address: str
    before: list[str]
    lines: list[str]
    original: str | None = None

    @property
    def is_bare(self) -> bool:
        """Whether nothing has been said yet."""
        return not any(map(str.strip, self.lines))

    @property
    def after(self) -> str:
        """What is said from the mention on, up to somebody else or a ruler."""
        return "\n".join(self.lines)[:MAX_ZONE]

    @property
    def ahead(self) -> str:
        """What is said before the mention, down from somebody else or a ruler."""
        return "\n".join(self.before[-MAX_ZONE_LINES:])

    @property
    def above(self) -> str:
        """The paragraph right above a mention whose own line says nothing; else nothing."""
        if self.lines and self.lines[0].strip():
            return ""
        return last_paragraph(self.before[-MAX_ZONE_LINES:])


def find(
    notice: str, marks: Marks, own: Mailboxes, addressees: Callable[[], set[str]], *, guess: bool
) -> list[Mention]:
    """The mentions of recipients, by the most trustworthy way of naming them that the notice has.

    `own` are the addresses that the report comes from and goes to, `addressees` tells those that the mail went to,
    in lower case. Without `guess`, addresses in sentences are nobody; with it, one that stands where something is
    said of delivery may be meant.

    A mailbox that is called like a server's is a recipient as any other when the returned mail went to it.
    """
    for closing in islice(marks.closings(notice), MAX_CLOSINGS):
        signature = notice[closing:]
        if not (marks.says(signature) & ABOUT_DELIVERY or has_reply(signature)):
            notice = notice[:closing]
            break
    reader = _Reader(marks, own)
    reader.take([line[:MAX_LINE] for line in notice.split("\n", MAX_LINES)[:MAX_LINES]])
    weak: list[Mention] = []
    strong: list[Mention] = []
    doubtful = {mention.address for mention in reader.about if reader.is_doubtful(mention.address)}
    enclosing = addressees() if doubtful else set()
    doubtful = {address for address in doubtful if address in own or address.lower() not in enclosing}
    for mention in reader.about:
        (weak if mention.address in doubtful else strong).append(mention)
    if strong or not guess:
        return strong or weak
    enclosing = enclosing or addressees()
    enclosed = [m for m in (*weak, *reader.loose) if m.address.lower() in enclosing]
    candidates = enclosed
    if reader.loose and not enclosed:
        told = _up_to_delivery(notice, marks)
        candidates = [m for m in reader.loose if m.address in told and not reader.is_doubtful(m.address)]
        if len(candidates) > 1:  # "<jane@example.org> forwards to <joe@example.com>: ..."
            candidates = [m for m in candidates if _opens(m)] or candidates
    return (candidates if len({m.address.lower() for m in candidates}) == 1 else enclosed) or weak


def _up_to_delivery(notice: str, marks: Marks) -> str:
    """All up to the last paragraph that says what became of a message, or is introduced; all, when no mark knows one.

    An address below is that of a disclaimer, or of whoever advertises under everybody's mail.
    """
    told = [*paragraphs(notice)]
    end, introduced = 0, False
    for number, paragraph in enumerate(told, 1):
        tells = introduced or bool(marks.says(paragraph) & ABOUT_DELIVERY) or has_reply(paragraph)
        introduced = tells and paragraph.endswith(":")
        end = number if tells else end
    return "\n".join(told[:end] or told)


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a text, each on one line; rulers divide them too."""
    lines: list[str] = []
    for line in (*text.split("\n"), ""):
        if line.strip() and not SEPARATOR.match(line):
            lines.append(line.strip())
        elif lines:
            yield " ".join(lines)
            lines = []


def last_paragraph(lines: list[str]) -> str:
    """The paragraph that `lines` end with, blank ones after it left out."""
    last: list[str] = []
    for line in reversed(lines):
        if line.strip() and not SEPARATOR.match(line):
            last.append(line.strip())
        elif last:
            break
    return " ".join(reversed(last))


class _Reader:
    """Takes lines and keeps who was named."""

    __slots__ = (
        "_before", "_current", "_following", "_is_enumerating", "_marks", "_opens_paragraph", "_own", "about", "loose",
    )  # fmt: skip

    def __init__(self, marks: Marks, own: Mailboxes) -> None:
        self.about: list[Mention] = []  # lines that are about an address
        self.loose: list[Mention] = []  # addresses in sentences
        self._marks = marks
        self._own = own
        self._before: list[str] = []  # lines since the last recipient or ruler
        self._current: Mention | None = None
        self._following: list[Mention] = []  # loose ones that still take lines
        self._opens_paragraph = True
        self._is_enumerating = False  # whether the last line ended in the middle of an enumeration

    def is_doubtful(self, address: str) -> bool:
        """Whether an address is rather the server's or the sender's."""
        return address in self._own or _SERVER_MAILBOX.match(address) is not None

    def take(self, lines: list[str]) -> None:
        """Read all lines: those without an address, which are most, together."""
        without: list[str] = []
        for line in lines:
            if "@" in line:
                self._go_on(without)
                without = []
                self._take(line)
            else:
                without.append(line)
                self._is_enumerating = self._is_enumerating and _enumerated(line, is_open=True)[2]
        self._go_on(without)

    def _take(self, line: str) -> None:
        """Read a line that holds an address."""
        line, source = _without_source(line)
        if self._is_enumerating and self._enumerate(line, is_open=True):
            return
        named = self._named(line) if "@" in line else None
        current = self._current
        if named is not None and current is not None and self._is_said_of(current, named.address, line):
            current.lines.append(line)
        elif named is not None and named.address:
            self._open(named.address, named.rest, source)
            self._enumerate(line.partition(named.address)[2])
        elif source and current is not None and current.is_bare:
            current.original = source
        elif source:  # a pipe or a file, which have no address
            self._open(source, line, None)
        else:
            self._pass(line, is_aside=named is not None)
        self._opens_paragraph = not line.strip()

    def _is_said_of(self, current: Mention, address: str, line: str) -> bool:
        """Whether what is said goes on in this line, which names the same recipient once more."""
        return (
            current.address.lower() == address.lower()
            and not (self._opens_paragraph or current.is_bare)
            and _begins_with_address(line) is None
            and not has_reply(line)
        )

    def _open(self, address: str, rest: str, original: str | None) -> None:
        current = self._current
        if current is not None and not rest and current.is_bare:
            mention = Mention(address, current.before, current.lines, original)  # they share what follows
        else:
            answered = current is not None and any(map(str.strip, current.lines[:2]))
            mention = Mention(address, [] if answered else self._before, [rest], original)
        self.about.append(mention)
        self._current = mention
        self._before = []

    def _enumerate(self, text: str, *, is_open: bool = False) -> bool:
        """Name those whom `text` enumerates after the one named last, with whom they share what is said."""
        last = self.about[-1]
        others, following, self._is_enumerating = _enumerated(text, is_open=is_open)
        self.about += [Mention(other, last.before, last.lines) for other in others]
        if is_open and others:
            last.lines.append(" ".join(following))
        return bool(others)

    def _go_on(self, lines: list[str]) -> None:
        """Take lines that name nobody."""
        if not lines:
            return
        for mention in self._following:
            mention.lines += lines[: MAX_ZONE_LINES - len(mention.lines)]
        rulers = [number for number, line in enumerate(lines) if SEPARATOR.match(line)]
        above = lines[: rulers[0]] if rulers else lines
        self._before += above
        if self._current is not None:
            self._current.lines += above
        if rulers:
            self._current = None
            self._before = lines[rulers[-1] :]
        self._opens_paragraph = not lines[-1].strip()

    def _pass(self, line: str, *, is_aside: bool) -> None:
        """Take a line with addresses that it is not about.

        Not "Jane Doe/Sales/ACME@ACME" of Domino, and not "W32.Netsky.D@mm", as worms are named that mail themselves.
        """
        addresses = (
            [] if is_aside else [a for a in mailbox.find_all(line)[:10] if "." in a.rpartition("@")[2]]
        )
        self._following = [Mention(address, self._before, [line]) for address in addresses]
        self.loose += self._following
        if SEPARATOR.match(line) or (is_aside and self._opens_paragraph):
            self._current = None
            self._before = []
        elif self._current is not None:
            self._current.lines.append(line)
        self._before.append(line)

    def _named(self, line: str) -> Named | None:
        """Whom the line is about, with the rest of the line; None for nobody."""
        begins = _begins_with_address(line)
        if begins is None:
            named = self._marks.named(line) or self._several(line)
            return named if named is None or named.is_label else replace(named, rest=line.strip())
        # An address by itself is introduced by what stands above it: "questions go to:", or "please write to", broken.
        introduction = "" if begins.rest else self._introduction()
        is_asked = introduction.endswith((":", " to", " at")) or (
            introduction != "" and bool(self.about) and self._is_wrapped(line)
        )
        if is_asked or introduction.endswith((",", " message", " id")):
            introduced = self._marks.named(f"{introduction} {begins.address}")
            if introduced is not None:
                return begins if introduced.address else introduced
            is_answered = line.rstrip().endswith(":")  # what is said of it follows
            if is_asked and not (
                is_answered or _TROUBLE.search(introduction) or self._marks.says(introduction)
            ):
                return None  # "Our new sales team:"
        return begins

    def _is_wrapped(self, line: str) -> bool:
        """Whether `line` goes on with a sentence in which the line right above breaks off, as wrapped text does."""
        above = self._before[-1] if self._before else self._current.lines[-1] if self._current else ""
        words = above.split()
        return (
            len(words) > 2
            and words[-1].isalpha()
            and len(above) - len(above.lstrip()) == len(line) - len(line.lstrip())
        )

    def _introduction(self) -> str:
        """The last sentence of the paragraph above; one that named a recipient may go on to introduce another."""
        above = last_paragraph(self._before[-3:])
        if not above and self._current is not None:
            above = self._current.lines[0]
        return _SENTENCE_END.split(above)[-1]

    def _several(self, line: str) -> Named | None:
        """The first of several addresses in a sentence which says that delivery failed."""
        if line.count("@") < 2 or not self._marks.says(line) & {"failed", "reason"}:
            return None
        address = mailbox.find(line)
        return Named(address) if address and _enumerated(line.partition(address)[2])[0] else None


def _opens(mention: Mention) -> bool:
    """Whether the line in a sentence of which somebody is named begins with the address."""
    line = mention.lines[0]
    start = _BULLET.match(line)
    return line[start.end() if start else 0 :].lstrip("[<\"' ").startswith(mention.address)


def _without_source(line: str) -> tuple[str, str | None]:
    """The line without the address before an alias or a .forward, and this address."""
    lower = line.lower()
    if not ("d from" in lower or "d by" in lower or "y to" in lower):
        return line, None  # as in most lines: the pattern takes ten times as long
    generated = _GENERATED.search(line)
    source = mailbox.find(generated[1]) if generated else None
    if generated is None or source is None:
        return line, None
    return line[: generated.start()] + line[generated.end() :], source


def _begins_with_address(line: str) -> Named | None:
    """The address that the line begins with and is about, and what it says of it."""
    start = _BULLET.match(line)
    body = line[start.end() if start else 0 :]
    if ":<" in body:
        body = _LABELLED.sub("", body, count=1)
    body = body.lstrip("([<\"' ")
    address = mailbox.find(body.split(None, 1)[0]) if body else None
    if address is None or not body.startswith(address):
        return None
    rest = body[len(address) :].lstrip(">\"'])")
    if _ABOUT.match(rest) is None:
        return None
    if "@" in rest:
        rest = rest.replace(f"<mailto:{address}>", "").replace(f"({address})", "")
    rest = rest.strip(" :,;|\t")
    if rest == ".":
        rest = ""
    if "@" in rest:
        others, following, _ = _enumerated(rest, is_open=True)
        if others:
            rest = " ".join(following)
    return Named(address, rest="" if _WHEN.match(rest) else rest)


def _enumerated(text: str, *, is_open: bool = False) -> tuple[list[str], list[str], bool]:
    """The addresses with which an enumeration goes on, the words after it, and whether it is open at its end."""
    if "@" in text and _ONLY_ADDRESSES.match(text):
        return mailbox.find_all(text)[:MAX_ZONE_LINES], [], text.rstrip().endswith((",", ";"))
    found: list[str] = []
    words = text.split()
    for number, word in enumerate(words):
        bare = word.strip("<>()[]\"'")
        if bare in (",", ";") or bare.lower() in _AND:
            is_open = True
            continue
        address = mailbox.find(word) if is_open and len(found) < MAX_ZONE_LINES else None
        if address is None or bare.rstrip(">)],;:.'\"") != address:
            return found, words[number:], False
        found.append(address)
        is_open = bare.endswith((",", ";"))
    return found, [], is_open
