"""Enhanced status codes (RFC 3463) and SMTP replies (RFC 5321 section 4.2), out of whatever text carries them.

Nothing here judges what a code means: that is what rules are for. Nothing here raises.
"""

import re
from functools import lru_cache

AGAIN = 32  # texts whose answers are remembered, as several stages ask the same of one

# status-code = DIGIT "." 1*3DIGIT "." 1*3DIGIT    RFC 3464 section 2.3.4
# class is 2, 4 or 5 only: RFC 3463 section 2. Exchange writes a "#" before it.
_STATUS = re.compile(r"\s*#?([245])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
# In running text the subject has one digit (the registry ends at 7), so that "Exim 4.97.1" is no code; and no
# digit, letter or dot stands before it or goes on after it, so that neither [92.5.1.10] nor v5.1.1 is one; nor is
# what goes on as an address.
# Here and elsewhere a lookbehind stands behind the first character, which the engine can skip to then.
_IN_TEXT = re.compile(
    r"([245])(?<![\w.].)\.(\d)\.(\d{1,3})(?!\.?[\d])(?![a-z])(?![\w.+=]*+(?:@|%40))", re.IGNORECASE
)
# A reply code opens the text or follows what a mail server writes before one, or stands before a status code.
_REPLY_CODE = re.compile(r"[245][0-57]\d(?=[\s\-;:.,)#]|$)")
_BLANKS = 4  # at most, before a code
_BEFORE_CODE = re.compile(r"(?:[:;>\"'(=#\[]|\bsaid|\bcode|\breply|\berror)\s{0,4}$")
_CODE_AND_STATUS = re.compile(r"([245](?<![\w.-].)[0-57]\d)[ -]+#?[245]\.\d\.\d")
# What every line of a multi-line reply repeats: "550-5.1.1 ".
_REPEATED = re.compile(
    r"[#245](?<![\w.@-].)(?:(?<!#)[0-57]\d(?:[ -]+#?[245]\.\d\.\d{1,3}(?!\.?\d)|-(?=\D)|(?=#))"
    r"|(?:(?<=#)[245]|(?<!#))\.\d\.\d{1,3}(?![\w.]*\d))[ #:;-]{0,3}"
)
_LEADING = re.compile(r"^\s*[245][0-57]\d(?=\s|$)")
_ANSWERED = ("reply to", "response to", "after", "while ", "during", ">>>")
# In small letters: where the engine may ignore case it cannot skip to where a match could begin.
_COMMAND = re.compile(
    r"(?:in reply to|response to|after|while (?:sending|talking)|during|>>>)[^<:]{0,40}?"
    r"\b(?<![.@-])(end of data|connect|ehlo|helo|starttls|auth|mail|rcpt|data)\b(?![.@-]\w)"  # no host's name
)


@lru_cache(256)
def normalise(field: str) -> str | None:
    """Return the code that a Status field opens with as "5.1.1", or None: RFC 3464 section 2.3.4.

    Comments after it are ignored and leading zeros dropped.
    """
    match = _STATUS.match(field)
    return _code(match) if match else None


@lru_cache(AGAIN)
def find(text: str) -> str | None:
    """Return the first enhanced status code in running text that says something, else the first, else None."""
    first = None
    for match in _IN_TEXT.finditer(text):
        code = _code(match)
        if is_specific(code):
            return code
        first = first or code
    return first


def is_specific(code: str | None) -> bool:
    """Tell whether a code says more than its class: X.0.0 does not, RFC 3463 section 3.1."""
    return code is not None and code.split(".")[1] != "0"


@lru_cache(AGAIN)
def reply_code(text: str) -> str | None:
    """Return the first SMTP reply code in running text that stands where a reply begins, RFC 5321 section 4.2."""
    for match in _REPLY_CODE.finditer(text):
        start = match.start()
        before = text[max(start - 10, 0) : start]
        if _BEFORE_CODE.search(before) or (start <= _BLANKS and not before.strip()):
            return match[0]
    before_status = _CODE_AND_STATUS.search(text)
    return before_status[1] if before_status else None


def words(text: str) -> str:
    """Drop the reply and status codes that open the lines of a reply, wherever those lines were joined."""
    return _REPEATED.sub(" ", _LEADING.sub("", text))


@lru_cache(AGAIN)
def command(text: str) -> str | None:
    """Return the SMTP command that a mail server says it was answered to: "RCPT" ("in reply to RCPT TO")."""
    lower = text.lower()
    for words in _ANSWERED:
        if words in lower:
            break
    else:  # as in most texts: the pattern takes ten times as long
        return None
    verbs = [verb.upper() for verb in _COMMAND.findall(lower)]
    if not verbs:
        return None
    if "RCPT" in verbs:  # a whole dialogue: what came before it was accepted
        return "RCPT"
    return "DATA" if verbs[0] == "END OF DATA" else verbs[0]


def _code(match: re.Match[str]) -> str:
    return f"{match[1]}.{int(match[2])}.{int(match[3])}"
