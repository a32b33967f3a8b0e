"""Replay: kept mail counts by today's rules, once, with the proof and the time it came with; nothing is lost."""

import time
from pathlib import Path

import pytest

from bounced.core import returnpath
from bounced.keeping import Keeping
from bounced.mailfiles import Envelope, read_envelope
from bounced.quarantine import Quarantine
from tests.operators.calling import call
from tests.reports import delivered, hard, soft

JANE, JOE = "jane@example.org", "joe@example.org"
NOW = int(time.time())
KEY = bytes(range(32))
DOMAIN = "bounces.example.com"
# Words that no rule of ours knows, and a rule of the operator's that does.
ODD = (
    hard(JANE, "m1")
    .replace(b"550 5.1.1 User unknown", b"550 mailbox frobnicated")
    .replace(b"Status: 5.1.1", b"Status: 5.0.0")
)
RULES = """
[[rule]]
id = "odd-words"
category = "invalid-mailbox"
text = ["mailbox frobnicated"]
why = "what this server says for an unknown user"
source = "seen in its reports"
examples = ["550 mailbox frobnicated"]
"""


def envelope(recipient=f"b@{DOMAIN}", at=NOW - 3600) -> Envelope:
    return Envelope(at, "192.0.2.1:4711", "", (recipient,))


def signed(address, at) -> str:
    return returnpath.sign(address, DOMAIN, kid="aa", key=KEY, mid="mid000000001", expires=at // 86400)


@pytest.fixture
def replay(valkey, tmp_path):
    def run(*words, **settings):
        chosen = {"redis.url": valkey, "state_dir": tmp_path} | settings
        return call("replay", *(f"--set={key}={value}" for key, value in chosen.items()), *map(str, words))

    return run


def test_what_was_quarantined_is_recorded_as_of_its_arrival_and_moves_on(replay, store, tmp_path):
    file = Quarantine(tmp_path).keep(hard(JANE, "m1"), "reader-failed", envelope())
    done = replay(file.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\t")[:3] == [JANE, "hard invalid-mailbox", "new: active to hard"]
    assert store.hget(f"bounced:addr:{JANE}", "last_at") == str(NOW - 3600)
    assert store.exists(f"bounced:hard:{JANE}")
    assert not list(file.parent.iterdir())
    moved = tmp_path / "quarantine/replayed" / file.name
    assert moved.read_bytes() == hard(JANE, "m1")
    assert read_envelope(moved) == envelope()


def test_a_dry_run_says_the_same_and_changes_nothing(replay, store, tmp_path):
    file = Quarantine(tmp_path).keep(hard(JANE, "m1"), "reader-failed", envelope())
    assert "new: active to hard" in replay("--dry-run", file.parent).stdout
    assert store.keys("*") == []
    assert file.exists()


def test_what_is_still_not_understood_stays(replay, store, tmp_path):
    file = Quarantine(tmp_path).keep(b"Subject: hello\r\n\r\nNothing.\r\n", "no-recipient", envelope())
    done = replay(file.parent)
    assert done.returncode == 1
    assert "still not understood" in done.stderr
    assert file.exists()
    assert store.keys("*") == []


def test_each_message_counts_once_even_when_the_record_has_forgotten_it(replay, store, tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.eml").write_bytes(soft(JANE, f"m{n}"))
    replay(*sorted(tmp_path.glob("*.eml")))
    assert store.hget(f"bounced:addr:{JANE}", "soft") == "3"
    store.hdel(f"bounced:addr:{JANE}", "seen")
    again = replay(*sorted(tmp_path.glob("*.eml")))
    assert again.stdout.count("has counted") == 3
    assert store.hget(f"bounced:addr:{JANE}", "soft") == "3"


def test_a_delivery_or_release_that_came_later_stands(replay, store, tmp_path, valkey):
    (tmp_path / "0.eml").write_bytes(soft(JANE, "m0"))
    replay(tmp_path / "0.eml")
    call("release", f"--set=redis.url={valkey}", JANE)
    file = Quarantine(tmp_path).keep(hard(JANE, "m1"), "reader-failed", envelope())
    assert "later evidence" in replay(file).stdout
    assert not store.exists(f"bounced:hard:{JANE}")


def test_what_was_undone_stays_undone_unless_rules_judge_otherwise(replay, store, tmp_path, valkey):
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "own.toml").write_text(RULES)
    (tmp_path / "0.eml").write_bytes(ODD)
    replay(tmp_path / "0.eml", rules_dir=rules)
    assert store.exists(f"bounced:hard:{JANE}")
    undone = call("undo", f"--set=redis.url={valkey}", "--since", "1h", "--rule", "odd-words", "--yes")
    assert undone.returncode == 0, undone.stdout
    assert "was undone" in replay(tmp_path / "0.eml", rules_dir=rules).stdout
    assert not store.exists(f"bounced:hard:{JANE}")
    (rules / "own.toml").write_text(RULES.replace("invalid-mailbox", "full-mailbox"))
    replay(tmp_path / "0.eml", rules_dir=rules)
    assert store.hmget(f"bounced:addr:{JANE}", "soft", "hard_until") == ["1", None]


PROOFS = {
    "signed": (signed(JANE, NOW), JANE, True),
    "expired since it came": (signed(JANE, NOW - 3 * 86400), JANE, True),
    "expired when it came": (signed(JANE, NOW - 9 * 86400), JANE, False),
    "unsigned": (f"b@{DOMAIN}", JANE, False),
    "about another": (signed(JOE, NOW), JANE, False),
}


@pytest.mark.parametrize("name", PROOFS)
def test_what_is_not_proven_changes_nothing(name, replay, store, tmp_path):
    recipient, address, counts = PROOFS[name]
    keys = tmp_path / "keys"
    keys.write_text(f"aa {KEY.hex()}\n")
    came = envelope(recipient, NOW - 3 * 86400 if "expired" in name else NOW)
    file = Quarantine(tmp_path).keep(hard(address, "m1"), "reader-failed", came)
    options = {"return_path.mode": "enforce", "return_path.keys_file": keys, "return_path_domains": DOMAIN}
    replay(file, **options)
    assert bool(store.exists(f"bounced:hard:{JANE}")) == counts
    (tmp_path / "bare.eml").write_bytes(hard(JOE, "m2"))
    assert replay(tmp_path / "bare.eml", **options).returncode == 1
    assert not store.exists(f"bounced:hard:{JOE}")


def test_mail_for_people_is_not_counted(replay, store, tmp_path):
    file = Quarantine(tmp_path).keep(hard(JANE, "m1"), "postmaster", envelope(f"postmaster@{DOMAIN}"))
    assert replay(file).returncode == 0
    assert store.keys("*") == []
    assert file.exists()


def test_a_delivery_is_replayed_too(replay, store, tmp_path):
    for n, content in enumerate((soft(JANE, "m0"), delivered(JANE, "m1"))):
        (tmp_path / f"{n}.eml").write_bytes(content)
    replay(tmp_path / "0.eml", tmp_path / "1.eml")
    assert store.hget(f"bounced:addr:{JANE}", "soft") == "0"


def test_a_file_that_is_not_there(replay):
    assert replay("/nowhere").returncode == 66


def kept(directory: Path) -> list[bytes]:
    return sorted(file.read_bytes() for file in (directory / "kept").rglob("*.eml"))


def test_reports_are_kept_by_day_and_whole_days_go(tmp_path):
    keeping = Keeping(tmp_path, days=2, size=0)
    for n in range(4):
        keeping.keep(b"%d" % n, envelope(at=NOW + n * 86400))
    assert kept(tmp_path) == [b"2", b"3"]


def test_when_there_is_no_room_the_oldest_goes(tmp_path):
    keeping = Keeping(tmp_path, days=9, size=16_000)
    for n in range(40):
        keeping.keep(b"%04d" % n + b"x" * 996, envelope(at=NOW))
    left = kept(tmp_path)
    assert 12_000 <= sum(map(len, left)) <= 18_000
    assert left[-1].startswith(b"0039")
    assert not any(file.startswith(b"0000") for file in left)
