import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bounced.core.address import canonical


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("jane@example.org", "jane@example.org"),
        ("  Jane.Doe@Example.ORG\r\n", "jane.doe@example.org"),
        ("jane@example.org.", "jane@example.org"),
        ("jane+News@example.org", "jane+news@example.org"),
        ("j.a.n.e@example.org", "j.a.n.e@example.org"),
        ("jane@BÜCHER.example", "jane@xn--bcher-kva.example"),
        ("jane@faß.example", "jane@xn--fa-hia.example"),
        ("jane@例え。テスト", "jane@xn--r8jz45g.xn--zckzah"),
        ("jane@XN--BCHER-KVA.example", "jane@xn--bcher-kva.example"),
        ("JÄNE@example.org", "jäne@example.org"),
        ("jane@no_idna_ü.example", "jane@no_idna_ü.example"),
        ('"jane.doe"@example.org', "jane.doe@example.org"),
        ('"Jane Doe"@example.org', '"jane doe"@example.org'),
        ('"jane..doe"@example.org', '"jane..doe"@example.org'),
        ('"a@b"@example.org', '"a@b"@example.org'),
        ("jane@[192.0.2.1]", "jane@[192.0.2.1]"),
        ("a@b@example.org", "a@b@example.org"),
    ],
)
def test_an_address_has_one_spelling(written, expected):
    assert canonical(written) == expected


@pytest.mark.parametrize(
    "written",
    [
        "",
        "jane",
        "@example.org",
        "jane@",
        "jane@.",
        "jane@exa mple.org",
        "jane@exam\x00ple.org",
        "j@" + "a" * 999,
    ],
)
def test_what_is_no_address_has_no_spelling(written):
    assert canonical(written) is None


@given(st.text() | st.emails() | st.builds("{}@{}".format, st.text(min_size=1), st.text(min_size=1)))
@example("a@b. .")
@example('""a""@b')
def test_doing_it_twice_changes_nothing(written):
    once = canonical(written)
    assert once is None or canonical(once) == once
