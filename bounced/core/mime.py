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
import codecs
import html
import re
from collections.abc import Iterator
from functools import cached_property

MAX_PARTS = 64  # children of one multipart; real reports have three or four
MAX_HEADERS = 65_536  # octets of a header that are looked at
MAX_VALUE = 8_192  # octets of one field's value
MAX_TEXT = 131_072  # octets of one part's body that are decoded

# field-name ":" field-body, RFC 5322 section 2.2, folded lines included. Lenient: blanks before the colon.
_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.MULTILINE)
_FIELD_START = re.compile(rb"[!-9;-~]+[ \t]*:")
_PARAMETER = re.compile(r';\s*([^\s=;]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))')
_ENCODED_WORD = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?\s]*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(=\?)")
_TAG = re.compile(r"<(/?)([A-Za-z!][A-Za-z0-9]*)[^<>]*>")
_LINE_TAGS = frozenset("br p div tr li ul ol h1 h2 h3 h4 h5 table blockquote pre hr".split())
_HIDDEN_TAGS = frozenset(("style", "script", "title"))
# Text encodings in Python's eyes, but slow or without meaning for the body of a message.
_NOT_CHARSETS = frozenset(("punycode", "idna", "undefined", "unicode_escape", "raw_unicode_escape"))
_CHARSET_NAMES = {
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "x-sjis": "cp932",
    "ks_c_5601-1987": "cp949",
}


class Headers:
    """The fields of one header, by lower-case name; values as raw bytes until somebody asks."""

    __slots__ = ("_fields",)

    def __init__(self, block: bytes) -> None:
        fields: dict[str, list[bytes]] = {}
        for match in _FIELD.finditer(block[:MAX_HEADERS]):
            fields.setdefault(match[1].decode("ascii").lower(), []).append(match[2])
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def __len__(self) -> int:
        return len(self._fields)

    def get(self, name: str) -> str:
        """The first field of that (lower-case) name, unfolded and RFC 2047 decoded; "" if there is none."""
        values = self._fields.get(name)
        return decode_words(values[0]) if values else ""

    def all(self, name: str) -> list[str]:
        """Every field of that name, in order, the first 16."""
        return [decode_words(value) for value in self._fields.get(name, ())[:16]]


class Part:
    """One entity of RFC 2045: a header and a body that lies in `data[start:end]`, line ends LF."""

    __slots__ = ("__dict__", "_data", "_default", "_end", "_start", "headers")

    def __init__(self, data: bytes, start: int, end: int, default: str = "text/plain") -> None:
        self._data = data
        self._end = end
        self._default = default
        self._start, block = _split_header(data, start, end)
        self.headers = Headers(block)

    @cached_property
    def _typed(self) -> tuple[str, dict[str, str]]:
        value = self.headers.get("content-type")
        main, semicolon, rest = value.partition(";")
        main = main.strip().lower()
        parameters = {m[1].lower(): _parameter(m) for m in _PARAMETER.finditer(semicolon + rest)}
        return main if "/" in main else self._default, parameters

    @property
    def content_type(self) -> str:
        """RFC 2045 section 5: "type/subtype" in lower case."""
        return self._typed[0]

    @property
    def parameters(self) -> dict[str, str]:
        return self._typed[1]

    @property
    def is_multipart(self) -> bool:
        return self.content_type.startswith("multipart/")

    @cached_property
    def children(self) -> tuple["Part", ...]:
        """The parts of a multipart, at most `MAX_PARTS`; none for anything else."""
        if not self.is_multipart:
            return ()
        default = "message/rfc822" if self.content_type == "multipart/digest" else "text/plain"
        return tuple(Part(self._data, start, end, default) for start, end in self._spans())

    @cached_property
    def message(self) -> "Part":
        """The message inside a message/rfc822 part."""
        body = self._decoded(MAX_TEXT) if self._is_encoded else None
        return Part(body, 0, len(body)) if body is not None else Part(self._data, self._start, self._end)

    @cached_property
    def body(self) -> bytes:
        """The body without its content-transfer-encoding, the first `MAX_TEXT` octets."""
        return self._decoded(MAX_TEXT)

    @cached_property
    def text(self) -> str:
        """The body as text, markup and character set resolved."""
        text = decode_charset(self.body, self.parameters.get("charset", ""))
        return strip_markup(text) if self.content_type == "text/html" else text

    @property
    def _encoding(self) -> str:
        return self.headers.get("content-transfer-encoding").partition(";")[0].strip().lower()

    @property
    def _is_encoded(self) -> bool:
        return self._encoding in ("base64", "quoted-printable")

    def _decoded(self, limit: int) -> bytes:
        body = self._data[self._start : min(self._end, self._start + limit)]
        if self._encoding == "base64":
            return _base64(body)
        if self._encoding == "quoted-printable":
            return binascii.a2b_qp(body)
        return body

    def _spans(self) -> Iterator[tuple[int, int]]:
        delimiter = b"\n--" + self._boundary
        if delimiter == b"\n--":
            return
        data, end = self._data, self._end
        # One octet before the body, so that a delimiter on its very first line is found too.
        at = data.find(delimiter, max(self._start - 1, 0), end)
        for _ in range(MAX_PARTS):
            if at < 0:
                return
            line_end = data.find(b"\n", at + 1, end)
            if line_end < 0:
                return
            tail = data[at + len(delimiter) : line_end]
            if tail.startswith(b"--"):
                return
            following = data.find(delimiter, line_end, end)
            if not tail.strip():
                yield line_end + 1, following if following >= 0 else end
            at = following

    @property
    def _boundary(self) -> bytes:
        named = self.parameters.get("boundary")
        if named:
            return named.rstrip().encode("utf-8", "replace")
        # Lenient: some gateways lose the parameter; the first line that could be a delimiter is one.
        guess = re.compile(rb"^--(\S[^\n]{0,70})$", re.MULTILINE).search(self._data, self._start, self._end)
        return guess[1].rstrip() if guess else b""


def parse(raw: bytes) -> Part:
    """The message in `raw`, of any size and shape; line ends become LF."""
    data = raw
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    start = 0
    if data.startswith(b"From "):  # an mbox separator
        start = data.find(b"\n") + 1
    return Part(data, start, len(data))


def header_of(text: str) -> Headers:
    """The header that `text` begins with, blank lines before it left out."""
    data = text.lstrip().encode("utf-8", "replace")
    _, block = _split_header(data, 0, len(data))
    return Headers(block)


def _split_header(data: bytes, start: int, end: int) -> tuple[int, bytes]:
    """Where the body begins, and the header block before it."""
    if data.startswith(b"\n", start, end):
        return start + 1, b""
    if not _FIELD_START.match(data, start, min(end, start + 256)):
        return start, b""  # no header at all: everything is body
    blank = data.find(b"\n\n", start, end)
    if blank < 0:
        return end, data[start:end][:MAX_HEADERS]
    return blank + 2, data[start : min(blank, start + MAX_HEADERS)]


def _parameter(match: re.Match[str]) -> str:
    quoted, bare = match[2], match[3]
    return re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare.strip()


def _base64(body: bytes) -> bytes:
    # Lenient: lines of other alphabets and a missing or early padding cost only themselves.
    kept = re.sub(rb"[^A-Za-z0-9+/]", b"", body)
    if len(kept) % 4 == 1:
        kept = kept[:-1]
    return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))


def decode_charset(data: bytes, charset: str) -> str:
    """Text of `data`; a charset that is unknown or does not fit gives way to UTF-8, then to Latin-1."""
    name = charset.strip(" \t'\"").lower()
    if not name and b"\x1b$" in data:
        name = "iso-2022-jp"  # its escape sequence: Japanese servers often leave the label out
    for candidate in (_CHARSET_NAMES.get(name, name), "utf-8"):
        try:
            if codecs.lookup(candidate).name not in _NOT_CHARSETS:
                return data.decode(candidate)
        except (LookupError, ValueError):
            continue
    return data.decode("latin-1")


def decode_words(value: bytes) -> str:
    """A field's value, unfolded, RFC 2047 encoded-words decoded, without blanks around it."""
    text = decode_charset(value[:MAX_VALUE], "")
    if "\n" in text:
        text = " ".join(line.strip() for line in text.split("\n"))
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
    out: list[str] = []
    hidden = ""
    at = 0
    for tag in _TAG.finditer(text):
        name = tag[2].lower()
        if not hidden:
            out.append(text[at : tag.start()].replace("\n", " "))
            if name in _LINE_TAGS:
                out.append("\n")
            elif name in ("td", "th"):
                out.append(" ")
        at = tag.end()
        if not hidden and name in _HIDDEN_TAGS and not tag[1]:
            hidden = name
        elif tag[1] and name == hidden:
            hidden = ""
    if not hidden:
        out.append(text[at:])
    lines = (" ".join(line.split()) for line in html.unescape("".join(out)).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
