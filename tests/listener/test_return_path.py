"""The signed return path at RCPT: what is proven, what is refused before DATA, and what is only marked."""

import time

import pytest

from bounced.core import returnpath
from bounced.listener.returnpath import ReturnPaths
from bounced.settings import Mode, Senders
from tests.listener.dialogue import listening

KEY = bytes(range(32))
KEYS = {"aa": KEY}
DOMAIN = "bounces.example.com"
TODAY = int(time.time() // 86400)


def signed(
    domain: str = DOMAIN, kid: str = "aa", key: bytes = KEY, expires: int = TODAY, mid: str = "0"
) -> str:
    return returnpath.sign("jane@example.org", domain, kid=kid, key=key, mid=mid.zfill(12), expires=expires)


def flipped(address: str, position: int) -> str:
    other = "b" if address[position] != "b" else "c"
    return address[:position] + other + address[position + 1 :]


def replies(return_paths: ReturnPaths, *recipients: str, sender: str = ""):
    """What each RCPT is answered, and the claims of the message that is then sent to those that were taken."""
    with listening(terms={"return_paths": return_paths}) as server, server.connect() as peer:
        peer.ask(f"MAIL FROM:<{sender}>")
        answers = [peer.ask(f"RCPT TO:<{recipient}>")[:9] for recipient in recipients]
        if any(answer.startswith("250") for answer in answers):
            peer.ask("DATA")
            peer.ask("x\r\n.")
            return answers, server.arrivals[0].claims
        return answers, None


def paths(mode: Mode, **more) -> ReturnPaths:
    return ReturnPaths([DOMAIN, "other.example"], mode=mode, **{"keys": KEYS, **more})


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.ENFORCE])
@pytest.mark.parametrize("change", [str, str.upper, str.title])
def test_a_valid_return_path_proves_whom_the_report_is_about(mode, change):
    [answer], [proof] = replies(paths(mode), change(signed()))
    assert answer == "250 2.1.5"
    assert proof.is_about("jane@example.org")


FORGED = {
    "unsigned": f"bounces@{DOMAIN}",
    "flipped in the recipient": flipped(signed(), 10),
    "flipped in the message": flipped(signed(), 30),
    "flipped in the mac": flipped(signed(), 54),
    "flipped in the expiry": flipped(signed(), 5),
    "of another domain": signed("other.example").replace("other.example", DOMAIN),
    "of another key": signed(key=bytes(32)),
    "expired": signed(expires=TODAY - 1),
    "of a revoked key": signed(kid="zz"),
    "too short": signed()[1:],
}


@pytest.mark.parametrize("what", FORGED)
def test_what_proves_nothing_is_refused_before_data_and_only_marked_while_observing(what):
    assert replies(paths(Mode.ENFORCE), FORGED[what]) == (["550 5.1.1"], None)
    assert replies(paths(Mode.OBSERVE), FORGED[what]) == (["250 2.1.5"], (None,))
    assert replies(paths(Mode.OFF), FORGED[what]) == (["250 2.1.5"], (None,))


def test_each_recipient_is_judged_by_its_own_proof():
    one, two = signed(mid="1"), signed(mid="2")
    answers, claims = replies(paths(Mode.ENFORCE), one, f"bounces@{DOMAIN}", two)
    assert answers == ["250 2.1.5", "550 5.1.1", "250 2.1.5"]
    assert [proof.mid[-1] for proof in claims] == ["1", "2"]


@pytest.mark.parametrize("mailbox", ["postmaster", f"postmaster@{DOMAIN}", f"Abuse@{DOMAIN}"])
def test_people_are_always_written_to_and_nothing_counts(mailbox):
    assert replies(paths(Mode.ENFORCE), mailbox) == (["250 2.1.5"], ())


def test_each_domain_has_its_own_mode():
    mixed = paths(Mode.ENFORCE, modes={"other.example": Mode.OFF})
    assert replies(mixed, f"bounces@{DOMAIN}", "bounces@other.example") == (
        ["550 5.1.1", "250 2.1.5"],
        (None,),
    )


def test_without_keys_what_asks_for_proof_comes_again():
    assert replies(paths(Mode.ENFORCE, keys=None), signed(), f"bounces@{DOMAIN}")[0] == ["451 4.3.0"] * 2
    assert replies(paths(Mode.OBSERVE, keys=None), signed())[0] == ["451 4.3.0"]
    assert replies(paths(Mode.OBSERVE, keys=None), f"bounces@{DOMAIN}")[0] == ["250 2.1.5"]


def test_mail_from_somebody_is_taken_where_it_proves_itself_or_the_operator_takes_it():
    picky = paths(Mode.OBSERVE, senders=Senders.NULL)
    assert replies(picky, signed(), f"bounces@{DOMAIN}", sender="mailer@mx.example")[0] == [
        "250 2.1.5",
        "550 5.7.1",
    ]
    assert replies(picky, f"bounces@{DOMAIN}")[0] == ["250 2.1.5"]
    assert replies(paths(Mode.OFF), f"bounces@{DOMAIN}", sender="mailer@mx.example")[0] == ["250 2.1.5"]
