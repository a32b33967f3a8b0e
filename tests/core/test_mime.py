"""Parts of a message, whatever its bytes are."""

import base64

import pytest

from bounced.core import mime
from bounced.core.mime import Headers, Part, decode_charset, parse, strip_markup


def texts(raw: str) -> list[str]:
    return [child.text.strip() for child in parse(raw.encode()).children]


def multipart(body: str, boundary: str = "; boundary=b") -> str:
    return f"Content-Type: multipart/mixed{boundary}\n\n{body}"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (multipart("preamble\n--b\n\none\n--b\n\ntwo\n--b--\nepilogue\n"), ["one", "two"]),
        (multipart("--b\n\none\n--b\n\ntwo\n"), ["one", "two"]),  # no closing delimiter
        (multipart("--b\n\none\n--b\n\ntwo\n--b--"), ["one", "two"]),  # nor a line end after it
        (multipart("--b\n\none\n--b"), ["one"]),  # cut within a delimiter
        (multipart("--b  \n\none\n--b-- \n"), ["one"]),
        (multipart("--b\n\none\n--bb\ninside\n--b--\n"), ["one\n--bb\ninside"]),
        (multipart("\n--b\n\none\n--b--\n", boundary=""), ["one"]),  # the parameter is lost
        (multipart("\n--b\n\none\n--b--\n", boundary='; boundary=""'), ["one"]),
        (multipart("--a b\n\none\n--a b--\n", boundary='; boundary="a b "'), ["one"]),
        (multipart("--b;=\n\none\n--b;=--\n", boundary='; x=1; Boundary = "b;\\="'), ["one"]),
        (multipart("nothing", boundary=""), []),
        (multipart("nothing"), []),
        ("Content-Type: text/plain\n\n--b\n\none\n--b--\n", []),
    ],
)
def test_parts_of_a_multipart(raw, expected):
    assert texts(raw) == expected


def test_a_digest_holds_messages():
    raw = "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: one\n\nx\n--b--\n"
    (part,) = parse(raw.encode()).children
    assert part.content_type == "message/rfc822"
    assert part.message.headers.get("subject") == "one"


def test_a_message_has_a_bounded_number_of_parts():
    inner = "Content-Type: multipart/mixed; boundary=i\n\n" + "--i\n\nx\n" * 60
    root = parse(multipart(f"--b\n{inner}\n" * 60).encode())
    assert len(root.children) + sum(len(child.children) for child in root.children) <= mime.MAX_PARTS


@pytest.mark.parametrize(
    "before", ["", "\n\n", "From news@example.com Sun Nov 22\n", ">From news@example.com\n"]
)
@pytest.mark.parametrize("encoding", ["8bit", "base64"])
def test_the_message_in_a_part(before, encoding):
    inner = f"{before}Subject: inner\n\nbody\n"
    body = base64.encodebytes(inner.encode()).decode() if encoding == "base64" else inner
    raw = f"Content-Type: message/rfc822\nContent-Transfer-Encoding: {encoding}\n\n{body}"
    assert parse(raw.encode()).message.headers.get("subject") == "inner"


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        ("\n\nA: b\n\nbody", b"body"),
        ("A: b\nC: d", b""),
        ("no header here\nat all", b"no header here\nat all"),
        ("A: b\r\n\r\nbody\r\n", b"body\n"),
        ("A: b\r\rbody", b"body"),
        ("A: b\r\r\n\r\r\nbody\r\r\n", b"body\n"),
        ("\ufeffA: b\n\nbody", b"body"),
        ("A:\0 b\0\n\0\nbo\0dy", b"body"),
        ("", b""),
    ],
)
def test_where_the_body_begins(raw, body):
    assert parse(raw.encode()).body == body


def test_an_empty_header_of_a_part():
    (part,) = parse(multipart("--b\n\nA: b\n\n--b--\n").encode()).children
    assert not part.headers
    assert part.text == "A: b\n"


def test_a_line_that_the_end_of_the_mail_cuts_is_no_line():
    (part,) = parse(multipart("--b\n\nwhole\nhal").encode()).children
    assert part.text == "whole"
    (part,) = parse(multipart("--b\nA: b").encode()).children
    assert part.text == ""


def test_fields():
    headers = Headers(b"A : one\nB:\n  two\n\tthree\na: four\nnonsense\nC: =?utf-8?q?f=C3=BCnf?=\n")
    assert [headers.get(name) for name in "abcd"] == ["one", "two three", "fünf", ""]
    assert "a" in headers
    assert "d" not in headers
    assert headers


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("plain", "plain"),
        ("=?iso-8859-1?Q?caf=E9_au?= lait", "café au lait"),
        ("=?utf-8?b?YQ==?= =?utf-8?b?Yg==?=", "ab"),
        ("=?utf-8*de?b?YQ==?=", "a"),
        ("=?utf-8?b?YQ?=", "a"),  # no padding
        ("=?utf-8?b?YWJjY?=", "abc"),  # an octet too many
        ("=?x-unknown?q?caf=E9?=", "café"),
        ("=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
        ("=?broken", "=?broken"),
        ("roh: ü", "roh: ü"),
        ("=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=", "日本"),
    ],
)
def test_encoded_words(field, text):
    assert Headers(b"A: " + field.encode()).get("a") == text


KANJI = "配信できませんでした"


@pytest.mark.parametrize(
    ("text", "codec", "label"),
    [
        (KANJI, "iso-2022-jp", "ISO-2022-JP"),
        (KANJI, "iso-2022-jp", ""),
        (KANJI, "shift_jis", "Shift_JIS"),
        (KANJI, "cp932", "x-sjis"),
        ("①", "cp932", "Shift_JIS"),
        (KANJI, "euc_jp", "x-euc-jp"),
        ("无法投递", "gb18030", "gb2312"),
        ("镕", "gbk", "GB2312"),
        ("無法投遞", "big5", "Big5"),
        ("전송 실패", "cp949", "ks_c_5601-1987"),
        ("не доставлено", "koi8_r", "KOI8-R"),
        ("не доставлено", "cp1251", "windows-1251"),
        ("délai dépassé", "cp1252", "windows-1252"),
        ("délai dépassé", "cp1252", "us-ascii"),
        ("délai dépassé", "latin-1", "utf-8"),
        ("délai dépassé", "latin-1", ""),
        ("délai dépassé", "utf-8", "us-ascii"),
        ("délai dépassé", "utf-8", "x-unknown"),
        ("délai dépassé", "utf-8", "unicode-1-1-utf-8"),
        ("délai dépassé", "utf-16", "utf-16"),
        ("ไม่พบ", "cp874", "windows-874"),
        ("plain +AGE-", "ascii", "utf-7"),
        ("plain +AGE-", "ascii", "unicode-1-1-utf-7"),
        ("plain", "ascii", "zlib"),
        ("plain", "ascii", "idna"),
        ("plain", "ascii", "\0\ud800"),
    ],
)
def test_charsets_declared_misdeclared_and_not_declared(text, codec, label):
    assert decode_charset(text.encode(codec), label) == text


def test_a_character_cut_or_broken_costs_only_itself():
    text = KANJI * 50
    assert decode_charset(text.encode()[:-1], "utf-8") == text[:-1] + "\ufffd"
    assert decode_charset(text.encode("euc_jp")[:-1], "euc-jp")[:-1] == text[:-1]


def test_a_few_accents_among_many_letters_are_no_broken_utf_8():
    assert (
        decode_charset("Olá, não foi possível. ".encode("latin-1") + b"and so on " * 200, "")[:10]
        == "Olá, não f"
    )


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>one</p><p>two<br>three", "one\n\ntwo\nthree"),
        ("<style>p{}</style>a<script>b</script><b>c</b> &lt;d&gt; &amp;#39;", "ac <d> &#39;"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
        ("a &#39;b&#39; &eacute;", "a 'b' é"),
        (f"a &#{'9' * 5000}; b", "a b"),
        ("a<style>never closed", "a"),
        ("a<style><b>not shown</b></style>b", "ab"),
        ("1 < 2 > 1", "1 < 2 > 1"),
        ("a</style>b", "ab"),
        ("a\n<!-- note -->\nb", "a b"),
        ("no markup:\n<jane@example.org> &amp; so on", "no markup:\n<jane@example.org> & so on"),
    ],
)
def test_markup(markup, text):
    assert strip_markup(markup) == text


def test_html_is_read_as_text():
    raw = "Content-Type: text/html; charset=utf-8\n\n<p>Z&uuml;rich</p>"
    assert parse(raw.encode()).text == "Zürich"


def test_quoted_printable():
    raw = "Content-Transfer-Encoding: Quoted-Printable; x\nContent-Type: text/plain; charset=iso-8859-1\n\ncaf=E9=\n!"
    assert parse(raw.encode()).text == "café!"


def test_long_texts_are_cut():
    body = "x" * (mime.MAX_TEXT + 1)
    assert len(parse(f"A: b\n\n{body}".encode()).body) == mime.MAX_TEXT
    part = parse(f"Content-Type: message/delivery-status\n\n{body}".encode())
    assert isinstance(part, Part)
    assert len(part.body) == len(body)


class TestCharsetsThatNobodyDeclared:
    TEXTS = (
        ("koi8_r", "Ваше письмо не может быть доставлено: почтовый ящик переполнен"),
        ("cp1251", "Письмо не доставлено: такого пользователя не существует"),
        ("cp932", "お客様のメールは配信できませんでした。宛先不明"),
        ("euc_jp", "お客様のメールは配信できませんでした。宛先不明"),
        ("cp949", "메일 전송에 실패했습니다. 존재하지 않는 사용자입니다"),
        ("gb18030", "抱歉、您的邮件被退回来了、无法投递。收件人不存在"),
        ("big5hkscs", "抱歉、您的郵件無法送達、收件人不存在"),
        ("latin_1", "Le destinataire n'a pas été trouvé à cette adresse, désolé"),
        ("latin_1", "Empfänger unbekannt: Postfach von Jörg Müller übervoll, schöne Grüße"),
        ("utf_8", "Empfänger unbekannt"),
    )

    @pytest.mark.parametrize("declared", ["", "us-ascii", "x-unknown", "iso-8859-1"])
    @pytest.mark.parametrize(("codec", "text"), TEXTS, ids=lambda value: value[:12])
    def test_are_recognised(self, codec, text, declared):
        assert decode_charset(text.encode(codec), declared) == text

    @pytest.mark.parametrize(
        "data", [b"\xff" * 65_536, b"\xd0\xe0 " * 65_536, b"a\x83" * 65_536, bytes(range(256)) * 99]
    )
    def test_whatever_octets_there_are_something_is_read(self, data):
        assert decode_charset(data, "")
