"""Tests 28 to 37: what a report can do to the daemon, or to somebody else's address."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bounced.core import returnpath
from tests import process, reports
from tests.core.test_hostile import BOMBS, recipients
from tests.daemon.running import Daemon
from tests.reports import Fate
from tests.torture.test_octets import watched

KEY = bytes(range(32))
DOMAIN = "bounces.example.com"
JANE = "jane@example.org"
NOTED = "250 2.0.0 Noted"
TODAY = int(time.time() // 86400)


def signed(recipient: str = JANE, mid: str = "1", domain: str = DOMAIN, **other) -> str:
    chosen = {"kid": "aa", "key": KEY, "expires": TODAY + 1, **other}
    return returnpath.sign(recipient, domain, mid=mid.zfill(12), **chosen)


@pytest.fixture(scope="module")
def enforcing(tmp_path_factory):
    directory = tmp_path_factory.mktemp("daemon")
    (directory / "keys").write_text(f"aa {KEY.hex()}\n")
    settings = ("return_path.mode=enforce", f"return_path.keys_file={directory / 'keys'}")
    with Daemon(directory, f"return_path_domains={DOMAIN},other.example", *settings) as running:
        yield running


@pytest.fixture
def store(enforcing):
    with enforcing.store() as client:
        client.flushall()
        yield client


def changed(store) -> set[str]:
    return {key.removeprefix("bounced:addr:") for key in store.keys("bounced:addr:*")}


def test_28_a_hundred_recipients_and_one_proof(enforcing, store):
    fates = [Fate(f"user{n}@example.org", *(reports.SOFT if n % 2 else ())) for n in range(99)]
    assert enforcing.send(reports.postfix_style([*fates, Fate(JANE)], "a"), to=signed()) == [NOTED]
    assert changed(store) == {JANE}


@pytest.mark.parametrize("proven", [True, False])
def test_29_a_hundred_thousand_recipients(enforcing, daemon, figure, proven):
    bomb = recipients(100_000)[: 5 << 20].replace(b"\n", b"\r\n")[: (5 << 20) - 100]
    receiver = enforcing if proven else daemon
    address = signed("u7@example.org") if proven else f"b@{DOMAIN}"
    receiver.send(b"x" * 300_000, to=address)  # starts what reads large mail
    with receiver.store() as its_store:
        its_store.flushall()
    started = time.perf_counter()
    assert receiver.send(bomb, to=address) == [NOTED]
    took = time.perf_counter() - started
    figure(f"29 100,000 recipients, {'proven' if proven else 'unsigned'}", f"{took * 1000:.0f} ms")
    with receiver.store() as its_store:
        effects = changed(its_store)
    if proven:
        assert effects == {"u7@example.org"}
    else:
        assert len(effects) == 100
        assert daemon.wait_for("bounce.unrecognised", reason="too-many-recipients")
    assert took < 2


def flip(address: str, position: int) -> str:
    return address[:position] + ("b" if address[position] != "b" else "c") + address[position + 1 :]


FORGED = {
    "no token": f"bounces@{DOMAIN}",
    "another domain": signed(domain="other.example").partition("@")[0] + f"@{DOMAIN}",
    "expired": signed(expires=TODAY - 1),
    "revoked key": signed(kid="zz"),
    **{f"flipped at {n}": flip(signed(), n) for n in range(0, 55, 3)},
}


def test_30_forgeries(enforcing, store, figure):
    for name, address in FORGED.items():
        [reply] = enforcing.send(reports.hard(JANE, name), to=address)
        assert reply.startswith("550 5.1.1"), name
    assert changed(store) == set()
    figure("30 forgeries", f"{len(FORGED)} refused at RCPT, 0 state changes")


def test_30_a_proof_replayed_a_thousand_times_counts_once(enforcing, store):
    with ThreadPoolExecutor(8) as pool:
        replies = list(
            pool.map(
                lambda n: enforcing.send(*(reports.soft(JANE, f"{n}-{m}") for m in range(125)), to=signed()),
                range(8),
            )
        )
    assert replies == [[NOTED] * 125] * 8
    assert store.hget(f"bounced:addr:{JANE}", "soft") == "1"
    assert store.hget(f"bounced:addr:{JANE}", "soft_total") == "1"


def test_30_a_right_proof_with_a_victim_in_the_report_changes_nothing_of_the_victim(enforcing, store):
    assert enforcing.send(reports.hard("victim@example.org", "a"), to=signed(mid="9")) == [NOTED]
    assert changed(store) == {f"~{returnpath.rid_of(JANE)}"}
    assert not store.exists("bounced:hard:victim@example.org")


@pytest.mark.parametrize(
    "change",
    [str.upper, str.title, "prvs=4711abcdef={}".format, lambda a: a.replace("@", "+jane=example.org@")],
)
def test_31_a_proof_whose_case_was_changed_or_that_a_gateway_wrapped(enforcing, store, change):
    assert enforcing.send(reports.hard(JANE, "a"), to=change(signed())) == [NOTED]
    assert changed(store) == {JANE}


def test_32_a_delivery_status_inside_the_returned_mail(daemon):
    hidden = reports.hard("victim@example.org", "hidden").decode()
    report = reports.exim_style(Fate(JANE), "a").decode()
    assert daemon.send(report.replace("The letter.", hidden).encode()) == [NOTED]
    with daemon.store() as store:
        assert changed(store) == {JANE}


def test_33_34_bombs(tmp_path, figure):
    """Each message that is made to hurt, at the largest size: answered, and others are served meanwhile."""
    slowest, biggest = ("", 0.0), 0
    with Daemon(tmp_path) as daemon, watched(daemon) as waits:
        for name, bomb in BOMBS.items():
            content = bomb.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")[: (5 << 20) - 1000]
            started = time.perf_counter()
            assert daemon.send(content.replace(b"\r\r\n", b"\r\n").rstrip(b"\r")) == [NOTED], name
            slowest = max(slowest, (name, time.perf_counter() - started), key=lambda item: item[1])
            for number, command in process.children(daemon.process.pid).items():
                if "bounced.reader" in command:
                    biggest = max(biggest, process.peak(number))
        daemon.log_so_far()
        assert not [entry for entry in daemon.log if entry.get("reason") == "reader-failed"]
    figure(
        "33 bombs",
        f"{len(BOMBS)} of 5 MiB: slowest {slowest[1]:.2f} s ({slowest[0]}), reader {biggest >> 20} MiB, "
        f"longest stall of others {max(waits) * 1000:.0f} ms",
    )
    assert slowest[1] < 3  # 2 s of a processor, on a machine that does nothing else
    assert biggest < 512 << 20
    assert max(waits) < 0.5


def test_37_nothing_in_a_report_breaks_the_log(daemon, figure):
    evil = '\x1b[2J\x9b31m\u202e\\r\\n{"event":"forged"}' + "A" * 1_000_000
    fate = Fate(JANE, "5.1.1", f"smtp; 550 5.1.1 {evil}")
    assert daemon.send(reports.postfix_style([fate], 'a"\\\x07')) == [NOTED]
    daemon.process.terminate()
    longest = 0
    lines = daemon.rest_of_log()  # each line was read as JSON
    for entry in lines:
        longest = max(longest, len(json.dumps(entry)))
    assert [entry["event"] for entry in lines].count("bounce.recorded") == 1
    assert "forged" not in {entry["event"] for entry in lines}
    figure("37 log injection", f"longest line {longest} octets")
    assert longest <= 4096
