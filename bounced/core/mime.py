"""Split a message into its parts: bytes in, `Part`s out, whatever the bytes are.

Written for returned mail rather than for mail in general, and to be safe on any input:

- nothing raises; what cannot be decoded is replaced, what is malformed is taken as far as it makes sense;
- time is linear in the size of the input: a part's body is found with `bytes.find`, and only the parts that
  somebody asks for are looked into (children and text are made on demand);
- depth, parts, header fields and decoded text are bounded; what lies beyond a bound does not exist here.

Lenient, because real servers need it: CRLF, LF and CR line ends, a missing closing delimiter (RFC 2046
section 5.1.1), a multipart without a boundary parameter, header fields without a blank line after them.
"""

import binascii
import html
import re
from collections.abc import Iterator
from encodings import normalize_encoding
from encodings.aliases import aliases
from functools import lru_cache
from string import ascii_letters, digits

from bounced.core.charset import guess
from bounced.core.once import once

MAX_PARTS = 100  # of one message, at any depth; real reports have three or four
MAX_HEADERS = 65_536  # octets of a header that are looked at
SMALL_HEADER = 512  # octets of one that is remembered
MAX_VALUE = 8_192  # octets of one field's value
MAX_TEXT = 131_072  # octets of one text that are decoded
MAX_REPORT = 8_388_608  # of a report's fields, which may name thousands of recipients

_ANY_DELIMITER = re.compile(rb"^--(\S[^\n]{0,70})$", re.MULTILINE)
_BARE_CR = re.compile(rb"\r(?!\n)")
_DOUBLED_CR = re.compile(rb"(?<!\r)\r++\n")
_BEFORE_MESSAGE = re.compile(rb"(?:\xef\xbb\xbf)?+\s*+(?:>?From [^\n]*\n)?+")
_FIELD_START = re.compile(rb"[!-9;-~]+[ \t]*:")
_CONTENT_FIELDS = re.compile(rb"(?:content-[a-z-]++[ \t]*+:[^\n]*+\n(?:[ \t][^\n]*+\n)*+)++", re.IGNORECASE)
_FIELDS = re.compile(rb"(?:[!-9;-~]++[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*+(?:\n|\Z))++")
_BLANK_BEFORE_COLON = re.compile(r":(?<=[ \t]:)")
_BLANKS_BEFORE_COLON = re.compile(r"^([!-9;-~]+)[ \t]+:", re.MULTILINE)
_ESCAPED = re.compile(r"\\(.)")
_PARAMETER = re.compile(r';\s*([^\s=;]+)\s*=\s*(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^;]*))')
_ENCODED_WORD = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?\s]*)\?=")
_NOT_ASCII = re.compile(r"[^\0-\x7f]")
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(=\?)")
# Possessive: without, a tag that never ends costs the square of its length.
_TAG = re.compile(r"<(/?)(!|[A-Za-z][A-Za-z0-9]*+(?=[\s/>:]))[^<>]*+>")  # and no <jane@example.org>
# Exchange shows a name and has the address behind it alone.
_MAILTO = re.compile(
    r"""<a\s[^<>]{0,200}?href\s?=\s?["']?mailto:([^"'<>?\s]{3,320})[^<>]*+>([^<@]{0,200}+)<""", re.IGNORECASE
)
_LONG_REFERENCE = re.compile(r"&#[0-9]{8,}+;?")  # html.unescape raises on more digits than int takes

_NOT_BASE64 = bytes(set(range(256)) - {*(ascii_letters + digits + "+/").encode()})
_BREAKS = dict.fromkeys((
    "br", "p", "div", "tr", "li", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "table", "blockquote", "pre", "hr",
), "\n") | {"td": " ", "th": " "}  # fmt: skip
_HIDDEN_TAGS = frozenset(("style", "script", "title"))
# Python's names of charsets. A closed set: each unknown name that codecs.lookup is asked for is an import tried,
# and remembered for good. UTF-7 is not among them: nobody needs it, and it hides what a text says.
_CODECS = frozenset(
    {*aliases.values(), "cp720", "cp737", "cp856", "cp874", "koi8_t", "koi8_u"}
    - {"base64_codec", "bz2_codec", "hex_codec", "mbcs", "quopri_codec", "rot_13", "tactis", "utf_7"}
    - {"uu_codec", "zlib_codec"}
)
_CHARSET_NAMES = {
    **aliases,
    "unicode_1_1_utf_8": "utf_8",
    "x_sjis": "cp932",
    "windows_31j": "cp932",
    "x_euc_jp": "euc_jp",
    "x_gbk": "gbk",
    "iso_8859_8_i": "iso8859_8",
    "windows_874": "cp874",
}
# What is sent under these names is a superset of them.
_SUPERSETS = {
    "ascii": "utf_8",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
}
# What servers write that do not know the charset: any octets fit, so what fits better is believed before.
_HABITS = ("latin_1", "iso8859_15", "cp1252")


class Headers:
    """The first field of each (lower-case) name in a header; found when somebody asks, for few ever are."""

    def __init__(self, block: bytes) -> None:
        text = f"\n{block.decode('latin-1')}\n"
        if _BLANK_BEFORE_COLON.search(text):  # lenient
            text = _BLANKS_BEFORE_COLON.sub(r"\1:", text)
        self._text = text
        self._lower = text.lower()
        self._found: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return f"\n{name}:" in self._lower

    def __bool__(self) -> bool:
        return self._text != "\n\n"

    def get(self, name: str) -> str:
        """The value of field-name ":" field-body, RFC 5322 section 2.2, unfolded and RFC 2047 decoded, else ""."""
        found = self._found.get(name)
        if found is None:
            at = self._lower.find(f"\n{name}:")
            found = self._found[name] = self._value(at + len(name) + 2) if at >= 0 else ""
        return found

    def _value(self, start: int) -> str:
        text = self._text
        end = text.find("\n", start)
        while text.startswith((" ", "\t"), end + 1):
            end = text.find("\n", end + 1)
        value = text[start:end]
        return decode_words(value if value.isascii() else decode_charset(value.encode("latin-1"), ""))

    @once
    def media_type(self) -> str:
        """RFC 2045 section 5: "type/subtype" in lower case, "" for what is none."""
        main = self.get("content-type").partition(";")[0].strip().lower()
        return main if "/" in main else ""

    @once
    def parameters(self) -> dict[str, str]:
        """The parameters of the content-type by lower-case name."""
        _, semicolon, rest = self.get("content-type").partition(";")
        found = _PARAMETER.findall(semicolon + rest)
        return {name.lower(): _unescaped(quoted) or bare.strip() for name, quoted, bare in found}

    @once
    def encoding(self) -> str:
        """The content-transfer-encoding, RFC 2045 section 6, in lower case."""
        return self.get("content-transfer-encoding").partition(";")[0].strip().lower()


class Part:
    """One entity of RFC 2045: a header and a body that lies in `data[start:end]`, line ends LF."""

    def __init__(
        self, data: bytes, start: int, end: int, left: Iterator[int], default: str = "text/plain"
    ) -> None:
        self._data = data
        self._end = end
        self._left = left  # one step for each part that the message may still have
        self._start, self.headers = _split_header(data, start, end)
        self.content_type = self.headers.media_type or default

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the content-type by lower-case name."""
        return self.headers.parameters

    @property
    def is_multipart(self) -> bool:
        """RFC 2046 section 5.1."""
        return self.content_type.startswith("multipart/")

    @once
    def children(self) -> tuple["Part", ...]:
        """The parts of a multipart, as far as `MAX_PARTS` of the message reach; none for anything else."""
        if not self.is_multipart:
            return ()
        default = "message/rfc822" if self.content_type == "multipart/digest" else "text/plain"
        spans = zip(self._left, self._spans(), strict=False)
        return tuple([Part(self._data, start, end, self._left, default) for _, (start, end) in spans])

    @once
    def message(self) -> "Part":
        """The message inside a message/rfc822 part."""
        data, start, end = self._data, self._start, self._end
        if self.headers.encoding in ("base64", "quoted-printable"):
            data = self.body
            start, end = 0, len(data)
        return Part(data, _message_start(data, start, end), end, self._left)

    @property
    def body(self) -> bytes:
        """The body without its content-transfer-encoding, its first octets if it is large."""
        limit = MAX_REPORT if self.content_type.startswith("message/") else MAX_TEXT
        data = self._data[self._start : min(self._end, self._start + limit)]
        encoding = self.headers.encoding
        if encoding == "base64":
            return _base64(data).replace(b"\r\n", b"\n")
        return binascii.a2b_qp(data) if encoding == "quoted-printable" else data

    @once
    def text(self) -> str:
        """The body as text, markup and character set resolved."""
        text = decode_charset(self.body, self.parameters.get("charset", ""))
        return strip_markup(text) if self.content_type == "text/html" else text

    def _spans(self) -> Iterator[tuple[int, int]]:
        """Where each part begins and ends, between delimiter lines."""
        boundary = self._boundary
        if not boundary:
            return
        data, end, delimiter = self._data, self._end, b"\n--" + boundary
        begin = -1
        # One octet before the body, so that a delimiter on its very first line is found too.
        at = data.find(delimiter, max(self._start - 1, 0), end)
        while at >= 0:
            behind = at + len(delimiter)
            line_end = data.find(b"\n", behind, end)
            after = line_end + 1 if line_end >= 0 else end
            tail = data[behind:after].strip()
            # A longer boundary may begin with this one: it delimits something inside.
            if not tail or tail == b"--":
                if begin >= 0:
                    yield begin, at
                if tail:
                    return
                begin = after
            at = data.find(delimiter, at + 1, end)
        if 0 <= begin < end:  # RFC 2046 section 5.1.1 wants a closing delimiter
            is_cut = end == len(data) and not data.endswith(b"\n")  # and half an address is somebody else's
            yield begin, max(begin, data.rfind(b"\n", begin, end)) if is_cut else end

    @property
    def _boundary(self) -> bytes:
        named = self.parameters.get("boundary")
        if named:
            return named.rstrip().encode("utf-8", "replace")
        # Lenient: some gateways lose the parameter; the first line that could be a delimiter is one.
        guess = _ANY_DELIMITER.search(self._data, self._start, self._end)
        return guess[1].rstrip() if guess else b""


def parse(raw: bytes) -> Part:
    """The message in `raw`, of any size and shape; line ends become LF, and NUL is nothing (RFC 5322 section 4)."""
    raw = raw.replace(b"\0", b"")
    bare = _BARE_CR.search(raw)
    data = _DOUBLED_CR.sub(b"\n", raw).replace(b"\r", b"\n") if bare else raw.replace(b"\r", b"")
    return Part(data, _message_start(data, 0, len(data)), len(data), iter(range(MAX_PARTS)))


def header_of(text: str) -> Headers:
    """The header that `text` begins with, blank lines before it left out."""
    data = text.encode("utf-8", "replace")
    return _split_header(data, _message_start(data, 0, len(data)), len(data))[1]


def _message_start(data: bytes, start: int, end: int) -> int:
    """Where the header of a message begins, after blank lines and an mbox separator."""
    match = _BEFORE_MESSAGE.match(data, start, end)
    return match.end() if match else start


def _split_header(data: bytes, start: int, end: int) -> tuple[int, Headers]:
    """Where the body begins, and the header before it; it has none when its first line is no field."""
    if data.startswith(b"\n", start, end):
        return start + 1, _NO_HEADERS
    stop = data.find(b"\n\n", start, end)
    body = stop + 2
    if stop < 0:
        # Lenient: where no blank line is, the header of a part is what is called Content-, RFC 2046 section 5.1; that
        # of a message ends before the first line that is no field.
        own = _CONTENT_FIELDS.match(data, start, end) or _FIELDS.match(data, start, end)
        stop = body = own.end() if own else end
    block = data[start:stop] if stop - start <= MAX_HEADERS else data[start : start + MAX_HEADERS]
    headers = _headers_of_part(block) if len(block) <= SMALL_HEADER else _headers(block)
    if headers is None:
        return start, _NO_HEADERS
    return body, headers


def _headers(block: bytes) -> Headers | None:
    return Headers(block) if _FIELD_START.match(block, 0, 256) else None


# The same few words stand above the parts of all reports of one server.
_headers_of_part = lru_cache(256)(_headers)
_NO_HEADERS = Headers(b"")


def _unescaped(quoted: str) -> str:
    return _ESCAPED.sub(r"\1", quoted) if "\\" in quoted else quoted


def _base64(body: bytes) -> bytes:
    # Lenient: lines of other alphabets and a missing or early padding cost only themselves.
    kept = body.translate(None, _NOT_BASE64)
    if len(kept) % 4 == 1:
        kept = kept[:-1]
    return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))


def decode_charset(data: bytes, charset: str) -> str:
    """Text of `data`; a charset that is unknown or does not fit gives way to UTF-8, to a guess, then to Latin-1."""
    if data.isascii() and b"\x1b" not in data and b"~{" not in data:
        return data.decode("ascii")  # and nothing that shifts to another set: the same in all of them
    codec = _codec(charset[:40])
    if codec is None and b"\x1b$" in data:
        codec = "iso2022_jp"  # its escape sequence: Japanese servers often leave the label out
    if codec in _HABITS and not data.isascii():
        codec = ("utf_8" if _is_utf8(data) else guess(data)) or codec
    for candidate in (codec, "utf_8"):
        if candidate is None:
            continue
        try:
            return data.decode(candidate)
        except UnicodeDecodeError:
            text = data.decode(candidate, "replace")
            broken = text.count("\ufffd")
            if broken * 200 <= len(text) and broken * 2 <= len(_NOT_ASCII.findall(text)):
                return text  # the right charset, with a character cut or broken here and there
    return data.decode(guess(data) or "latin_1", "replace")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf_8")
    except UnicodeDecodeError:
        return False
    return True


@lru_cache(256)
def _codec(charset: str) -> str | None:
    name = normalize_encoding(charset.strip(" \t'\"")).lower()
    name = _CHARSET_NAMES.get(name, name)
    return _SUPERSETS.get(name, name) if name in _CODECS else None


def decode_words(value: str) -> str:
    """A field's value, unfolded, RFC 2047 encoded-words decoded, without blanks around it."""
    text = value[:MAX_VALUE]
    if "\n" in text:
        text = " ".join([line.strip() for line in text.split("\n")])
    text = text.strip()
    if "=?" not in text:
        return text
    return _ENCODED_WORD.sub(_word, _BETWEEN_WORDS.sub(r"\1\2", text))


def _word(match: re.Match[str]) -> str:
    charset, encoding, payload = match[1], match[2].lower(), match[3].encode("utf-8", "replace")
    data = _base64(payload) if encoding == "b" else binascii.a2b_qp(payload, header=True)
    return decode_charset(data, charset)


def strip_markup(text: str) -> str:
    """What a person reads of an HTML text: tags gone, blocks on lines of their own, entities resolved."""
    flat = text.replace("\n", " ")
    if "mailto:" in flat:
        flat = _MAILTO.sub(r"\2 &lt;\1&gt;<", flat)
    first, *pieces = _TAG.split(flat)
    out = [first if pieces else text]  # without any tag: a text mislabelled
    hidden = ""
    for slash, tag, after in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
        name = tag.lower()
        if not hidden:
            out.append(_BREAKS.get(name, ""))
            if name in _HIDDEN_TAGS and not slash:
                hidden = name
        elif slash and name == hidden:
            hidden = ""
        if not hidden:
            out.append(after)
    plain = html.unescape(_LONG_REFERENCE.sub(" ", "".join(out)))
    lines = [" ".join(line.split()) for line in plain.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
