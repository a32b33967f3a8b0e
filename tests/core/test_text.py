"""What is left of a diagnostic when nobody is named any more."""

import time

import pytest

from bounced.core.text import LIMIT, fold, mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("550 5.1.1 <jane@example.org>: User unknown", "<addr> : user unknown"),
        ("host spam.example.org[92.5.1.10] refused", "host <fqdn> <ip> refused"),
        ("[2001:db8::1]:25 and 2001:db8::2 and 192.0.2.1:25", "<ip> :25 and <ip> and <ip>"),
        ("see https://example.org/spam/blocked now", "see <url> now"),
        ("see www.example.org.", "see <url>."),
        ("see example.org/spam", "see <url>"),
        ("in /var/spool/spam/x", "in <url>"),
        (
            "blocked using zen.spamhaus.org; https://www.spamhaus.org/q",
            "blocked using <fqdn> spamhaus; <url> spamhaus",
        ),
        ("https://support.google.com/mail/?p=NoSuchUser x", "<url> no such user x"),
        ("id 4XyZ12ab99-12, 20231122 and 1.2.3.4.5.6", "id <id>, <id> and <id>"),
        ("does not exist.Please check", "does not exist. please check"),
        ("RESOLVER.ADR.RecipNotFound; not found", "resolver.adr.recip not found; not found"),
        ("MAILBOX_FULL over-quota E-Mail", "mailbox full over quota email"),
        ("the mail of 'jane' don't fit", "the mail of jane don't fit"),
        ("n\u2019existe pas: boîte", "n'existe pas: boite"),
        ("user=jane@example.org,RSN:550", "user= <addr>, rsn: 550"),
        ("rejected (in reply to RCPT TO command)", "rejected"),
        ("5.1.0 - Unknown address error 550-'full'", "full"),
        ("version 4.9b of 1.5", "version 4.9b of 1.5"),
        ("wait... '' what", "wait... what"),
        ("Access denied...7d39d5299584f4be", "access denied... <id>"),
        ("(jane@example.org:550 5.1.1 no such user)", "<addr>: no such user"),
        ("java.net.UnknownHostException: mx.example.org", "java.net.unknown host exception: <fqdn>"),
        ("Not delivered. Possible reasons are: a full mailbox, spam", "not delivered."),
        ("Connected to 192.0.2.1 but refused. Remote host said: user unknown", "user unknown"),
        ("host mx.example.org said: no", "host <fqdn> said: no"),
        ("550 User <jane.doe> unknown, host mx.example.org", "user <addr> unknown, host <fqdn>"),
        ("", ""),
    ],
)
def test_names_are_masked_and_meaning_stays(text, masked):
    assert mask(text) == masked


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("plain", "plain"),
        ("über", "uber"),
        ("skrzynka pełna", "skrzynka pełna".replace("ł", "l")),
        ("ŁĄCZE Øl Địa chỉ Ærlig", "LACZE Ol Dia chi Aerlig"),
        ("\uff46ull", "full"),
    ],
)
def test_letters_lose_accents_and_width(text, plain):
    assert fold(text) == plain


def test_a_text_is_cut():
    assert len(mask("word " * LIMIT)) <= LIMIT


@pytest.mark.parametrize(
    "unit",
    ["a", "a.", "5.1.1 ", "550-", "a@", "1:", "a-1", "A1", "é", "a:", "(in reply to ", "' ", "/a", "p=?"],
)
def test_masking_is_linear(unit):
    started = time.perf_counter()
    mask((unit * 65536)[:65536])
    assert time.perf_counter() - started < 0.25
