"""A diagnostic made ready for matching: one line, lower case, and nothing in it that only names somebody.

Addresses, hosts, IP addresses, URLs and ids become <addr>, <fqdn>, <ip>, <url> and <id>, so that a host called
spam.example.org decides nothing. Two things in names do carry meaning and stay as words behind the mask: the
name of a block list ("<fqdn> spamhaus") and the reason that Google writes into its help link ("<url> no such
user"). Letters lose their accents, quotes and brackets disappear, CamelCase and kebab-case fall apart into words.

Linear in the length of the text, which is cut at LIMIT characters. Raises nothing.
"""

import re
import unicodedata
from functools import lru_cache

from bounced.core import status
from bounced.core.status import AGAIN

LIMIT = 2048
WORDS = 1024  # that are remembered

# The program that mail is piped into, with its arguments, as sendmail writes it.
_COMMAND = re.compile(r'"\|[^"]{1,1000}"')
_ASIDE = re.compile(r"\(in reply to [^()]{1,60}\)", re.IGNORECASE)
# Quotes and brackets fall away, and so do quoting apostrophes; the one inside a word stays ("don't", "n'existe").
_BRACKETS = str.maketrans(
    dict.fromkeys('()[]{}<>"`|*#\t\r\n\0', " ") | dict.fromkeys("\u2018\u2019\u00b4", "'")
)
_EDGES = ".,:;!?'"
_LABEL = re.compile(r"([^\W\d_]{1,16}[:=])(?!//)(.+)")
_IP = re.compile(
    r"(?:ipv6:)?(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}:[0-9a-f.]{0,15}:[0-9a-f:.]{0,50})(?:[:/]\d+)?",
    re.IGNORECASE,
)
_HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+(?:[a-z]{2,24}|xn--[a-z0-9-]{2,59})(?::\d{1,5})?", re.IGNORECASE)
# "does not exist.Please": two sentences, no host.
_SENTENCES = re.compile(r"([A-Za-z]*[a-z])\.([A-Z][a-z]+)")
# Exchange names its parts with dots: RESOLVER.ADR.RecipNotFound, STOREDRV.Deliver, SMTPSEND.DNS.NonExistentDomain;
# Java and .NET their exceptions: java.net.UnknownHostException.
_DOTTED_WORDS = re.compile(
    r"(?:resolver|storedrv|heuristics|smtpsend|smtp|routing|queue|agent|transport|approval|deliver)\.|[\w.]+exception$",
    re.IGNORECASE,
)
# Scripts without blanks run into the address.
_AMONG_WIDE = re.compile(
    r"(?<=[\u3001-\u9fff\uac00-\ud7af])([\w.+=-]{1,64}@[\w.-]{1,255})|([\w.+=-]{1,64}@[\w.-]{1,255})(?=[\u3001-\u9fff\uac00-\ud7af])",
    re.ASCII,
)
# Three digits and more among nine characters and more, or a long number; Sophos has codes of that form.
_ID = re.compile(r"(?!xgemail)(?=(?:[a-z_.-]*\d){3})[\w.-]{9,}|\d{5,}", re.IGNORECASE)
# "User jane.doe unknown": what has the form of a host is the local part of an address there.
_LOCAL_PART = re.compile(r"\b(user|username|mailbox|recipient|account|login) <fqdn>(?! <ip>)")
_CAMEL = re.compile(r"[A-Z](?<=[a-z].)")

# Who keeps a list, and how lists are called: the only words inside names that say why mail was refused.
_LISTS = (
    "spamhaus", "spamcop", "barracudacentral", "sorbs", "uceprotect", "spamrats", "abuseat", "dnsbl", "surbl", "uribl",
    "invaluement", "mailspike", "spameatingmonkey", "backscatterer", "senderbase", "talosintelligence", "senderscore",
    "truncate", "nixspam", "cloudmark", "ipcheck.proofpoint", "spfbl", "psbl", "wpbl", ".rbl.", "/rbl", "blacklist",
    "blocklist", "block-list", "openspf", "groups.google",
)  # fmt: skip
_GOOGLE_REASON = re.compile(r"[?&](?:p|topic)=(\w{1,40})")

# What some servers write before whatever another one said. Cisco: "5.1.0 - Unknown address error 550-'...'".
_WRAPPERS = ("unknown address error", "other mail system problem", "other network problem")

# Before this a server tells of its dialogue, after it come the words of the one that refused.
_QUOTES = re.compile(
    r"(?:\b(?:said|reason|responded with|returned was|reply was|response was)|host <fqdn> <ip> ?): "
)
_BEFORE_QUOTE = ("said: ", "reason: ", " with: ", " was: ", "<ip>: ", "<ip> : ")

# What the reporting server guesses is no evidence: "possible causes are a full mailbox, a misspelled address ...", "if
# the user does not exist ..."; nor is what a gateway says of itself: "this message was checked for spam by ...".
_GUESSES = re.compile(
    r"\b(?:possible|common|likely|usual|typical) (?:reasons|causes)\b.*"
    r"|\bif (?:the|this|that|your) (?:user|recipient|address|mailbox|account|domain|sender)\b.*"
    r"|\b(?:make sure|check whether|verifiez que|compruebe que|prufen sie, ob|controlli che|verifique se) [^.]*"
    r"|\b(?:message|mail|email) (?:was|has been|is) (?:checked|scanned|analy[sz]ed) (?:for|against|by)\b.*"
    r"|\bmensaje analizado contra\b.*"
)
_BEFORE_GUESS = (
    " causes", " reasons", "if th", "if your", "make sure", "check whether", "verifiez que", "compruebe que",
    "prufen sie", "controlli che", "verifique se", " checked ", " scanned ", " analy", "mensaje analizado",
)  # fmt: skip

# What no decomposition turns into plain letters and apostrophes.
_PLAIN = str.maketrans(
    {"ł": "l", "\u0131": "i", "ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th"}
    | {
        "\u2018": "'",
        "\u2019": "'",
        "Ł": "L",
        "\u1e9e": "SS",
        "Ø": "O",
        "Æ": "Ae",
        "Œ": "Oe",
        "Đ": "D",
        "Ð": "D",
        "Þ": "Th",
    }
)
# To be looked for: translating takes longer than all else here.
_HAS_NO_PLAIN = re.compile("[\u2018\u2019ł\u0131ßøæœđðþŁ\u1e9eØÆŒĐÐÞ]")
_PIECE = 512  # characters
# Pieces that are remembered: a notice is asked about several times.
_REMEMBERED = 512
_MARKS = re.compile("[\u0300-\u036f\u200b-\u200f\ufeff]")


def fold(text: str) -> str:
    """Take accents off letters and width off forms: what patterns and diagnostics are both compared as."""
    if text.isascii():
        return text
    # Piece by piece: normalising sorts each run of combining marks by insertion, quadratic in a hostile one.
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    return "".join([piece if piece.isascii() else _fold(piece) for piece in pieces])


@lru_cache(_REMEMBERED)
def _fold(text: str) -> str:
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", text))
    if _HAS_NO_PLAIN.search(plain):
        plain = plain.translate(_PLAIN)
    return unicodedata.normalize("NFC", plain)


@lru_cache(AGAIN)
def mask(text: str) -> str:
    """Return what is left of a diagnostic when nobody is named any more."""
    text = text[:LIMIT]
    if '"|' in text:
        text = _COMMAND.sub(" <url> ", text)
    if "(" in text:
        text = _ASIDE.sub(" ", text)
    text = fold(status.words(text)).translate(_BRACKETS)
    if "@" in text and not text.isascii():
        text = _AMONG_WIDE.sub(r" \1\2 ", text)
    text = text.replace(",", ", ").replace(";", "; ").replace("...", "... ")
    text = " ".join([word if word.isalpha() else _mask_word(word) for word in text.split()])
    text = _CAMEL.sub(lambda capital: f" {capital[0]}", text).replace("_", " ").replace("-", " ").lower()
    if "<fqdn>" in text:
        text = _LOCAL_PART.sub(lambda match: f"{match[1]} <addr>", text)
    text = _quoted(text)
    if any(words in text for words in _BEFORE_GUESS):
        text = _GUESSES.sub("", text)
    for wrapper in _WRAPPERS:
        text = text.replace(wrapper, " ")
    return " ".join(f" {text}".replace(" e mail", " email").split())


def _quoted(text: str) -> str:
    if not any(words in text for words in _BEFORE_QUOTE):
        return text
    for quote in list(_QUOTES.finditer(text))[-1:]:
        reply = text[quote.end() :]
        # "Sender address rejected: unverified address: host mx said: user unknown" tells of the sender.
        if sum(map(str.isalpha, reply)) > 5 and "sender address" not in text[: quote.start()]:
            return reply
    return text


@lru_cache(WORDS)
def _mask_word(word: str) -> str:
    name = word.strip(_EDGES)
    if name.isalpha() or not name:
        return word.strip("'")
    before, after = word.split(name, 1)
    if split := _LABEL.fullmatch(name):
        return f"{before}{split[1]} {_mask_name(split[2])}{after}".strip("'")
    return f"{before}{_mask_name(name)}{after}".strip("'")


def _mask_name(name: str) -> str:
    if "@" in name and "://" not in name:
        # "jane@example.org:550": what stands behind the address is the reply about it.
        reply = name.rpartition("@")[2].partition(":")[2]
        return f"<addr>: {reply}" if reply else "<addr>"
    if "://" in name or name[:4].lower() == "www." or name.count("/") > 1:
        reason = _GOOGLE_REASON.search(name)
        said = " forward" if name.endswith(".forward") else _list_in(name)
        return "<url>" + said + (f" {reason[1]}" if reason else "")
    if "." in name or ":" in name:
        return _mask_dotted(name)
    return "<id>" if _ID.fullmatch(name) else name


def _mask_dotted(name: str) -> str:
    if _IP.fullmatch(name):
        return "<ip>"
    if _DOTTED_WORDS.match(name):
        return name
    if sentences := _SENTENCES.fullmatch(name):
        return f"{sentences[1]}. {sentences[2]}"
    if "/" in name:
        return "<url>" + _list_in(name)
    if _HOST.fullmatch(name):
        return "<fqdn>" + _list_in(name)
    return "<id>" if _ID.fullmatch(name) else name


def _list_in(name: str) -> str:
    name = name.lower()
    return next((" " + listed.strip("./") for listed in _LISTS if listed in name), "")
