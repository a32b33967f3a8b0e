"""What was kept is on the disk, whole and once."""

import io
import os
import re
import resource
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from bounced import events
from bounced.mailfiles import Envelope, read_envelope
from bounced.quarantine import Quarantine

ENVELOPE = Envelope(1_795_000_000, "192.0.2.1:4711", "", ("b@bounces.example.com", "\udcff\r\n@x"))


def test_a_message_is_kept_as_it_came_where_its_reason_says(tmp_path):
    file = Quarantine(tmp_path).keep(b"\x00mail\xff", "no-recipient", ENVELOPE)
    assert file.parent == tmp_path / "quarantine" / "no-recipient"
    assert re.fullmatch(r"[0-9a-f]{32}\.eml", file.name)
    assert file.read_bytes() == b"\x00mail\xff"
    assert read_envelope(file) == ENVELOPE


def test_the_same_message_for_others_is_another(tmp_path):
    quarantine = Quarantine(tmp_path)
    files = {quarantine.keep(b"mail", "x", replace(ENVELOPE, recipients=(name,))) for name in ("a@b", "c@d")}
    assert len(files) == 2


def test_nobody_else_can_read_it(tmp_path):
    file = Quarantine(tmp_path / "state").keep(b"mail", "no-recipient", ENVELOPE)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o077 == 0


def test_the_same_message_is_kept_once_however_often_and_at_once_it_comes(tmp_path):
    quarantine = Quarantine(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        files = set(pool.map(lambda _: quarantine.keep(b"mail" * 1000, "no-recipient", ENVELOPE), range(100)))
    assert len(files) == 1
    assert list((tmp_path / "quarantine" / "no-recipient").glob("*.eml")) == list(files)
    assert len(list((tmp_path / "quarantine" / "no-recipient").iterdir())) == 2  # with its envelope


def test_a_failure_leaves_nothing_half_written(tmp_path):
    quarantine = Quarantine(tmp_path)
    kept = quarantine.keep(b"mail", "no-recipient", ENVELOPE)
    kept.unlink()
    kept.mkdir()  # what a rename cannot replace
    (kept / "full").touch()
    kept.rename(kept.with_suffix(".other"))
    (tmp_path / "quarantine" / "full").touch()
    with pytest.raises(OSError, match="full"):
        quarantine.keep(b"mail", "full", ENVELOPE)


def test_a_disk_without_room_for_the_message_keeps_no_envelope_either(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    quarantine = Quarantine(tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # Python ignores SIGXFSZ
    try:
        with pytest.raises(OSError, match="too large"):
            quarantine.keep(b"mail" * 1000, "no-recipient", ENVELOPE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "quarantine" / "no-recipient").iterdir()) == []


def age(file, days):
    os.utime(file, (days * 86400, days * 86400))


@pytest.mark.parametrize("limit", [{"messages": 10}, {"size": 10 * 4}])
def test_when_it_is_full_the_oldest_goes_and_the_log_says_so(tmp_path, limit, monkeypatch):
    monkeypatch.setattr(events, "_log", events._log)  # put back afterwards
    log = io.BytesIO()
    writer = events.configure(stream=log)
    fill(tmp_path, limit)
    writer.close()
    assert b"quarantine.dropped" in log.getvalue()


def fill(tmp_path, limit):
    quarantine = Quarantine(tmp_path, **limit)
    files = [quarantine.keep(b"ma%02d" % n, "no-recipient", ENVELOPE) for n in range(10)]
    for n, file in enumerate(files):
        age(file, n)
    newest = quarantine.keep(b"ma99", "no-recipient", ENVELOPE)
    left = set((tmp_path / "quarantine/no-recipient").glob("*.eml"))
    assert left == {*files[2:], newest}  # nine tenths


def test_one_reason_takes_no_room_from_another(tmp_path):
    quarantine = Quarantine(tmp_path, messages=3)
    for_people = quarantine.keep(b"a person wrote this", "postmaster", ENVELOPE)
    for n in range(20):
        quarantine.keep(b"%d" % n, "no-recipient", ENVELOPE)
    assert for_people.exists()
    assert len(list((tmp_path / "quarantine/no-recipient").glob("*.eml"))) <= 3


def test_several_workers_share_the_room(tmp_path):
    workers = [Quarantine(tmp_path, messages=100) for _ in range(4)]
    most = 0
    for n in range(400):
        file = workers[n % 4].keep(b"%d" % n, "no-recipient", ENVELOPE)
        most = max(most, len(list(file.parent.glob("*.eml"))))
    assert 90 <= most <= 100 * (1 + 4 / 16)


def test_what_has_gone_meanwhile_needs_not_be_moved_on(tmp_path):
    quarantine = Quarantine(tmp_path)
    moved, gone, last = (quarantine.keep(b"%d" % n, "no-recipient", ENVELOPE) for n in range(3))
    gone.unlink()
    for file in (moved, moved, gone, last):
        quarantine.move_on(file)
    left = {file.name for file in (tmp_path / "quarantine").glob("*/*.eml")}
    assert left == {moved.name, last.name}
    assert read_envelope(tmp_path / "quarantine" / "replayed" / last.name) == ENVELOPE


def test_what_was_there_before_counts(tmp_path):
    for n in range(10):
        age(Quarantine(tmp_path).keep(b"%d" % n, "no-recipient", ENVELOPE), n)
    Quarantine(tmp_path, messages=5).keep(b"new", "no-recipient", ENVELOPE)
    assert len(list((tmp_path / "quarantine/no-recipient").glob("*.eml"))) <= 5
