"""What was kept is on the disk, whole and once."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from bounced.quarantine import Quarantine


def test_a_message_is_kept_as_it_came_where_its_reason_says(tmp_path):
    file = Quarantine(tmp_path).keep(b"\x00mail\xff", "no-recipient")
    assert file.parent == tmp_path / "quarantine" / "no-recipient"
    assert file.name == hashlib.sha256(b"\x00mail\xff").hexdigest()[:32] + ".eml"
    assert file.read_bytes() == b"\x00mail\xff"


def test_nobody_else_can_read_it(tmp_path):
    file = Quarantine(tmp_path / "state").keep(b"mail", "no-recipient")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o077 == 0


def test_the_same_message_is_kept_once_however_often_and_at_once_it_comes(tmp_path):
    quarantine = Quarantine(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        files = set(pool.map(lambda _: quarantine.keep(b"mail" * 1000, "no-recipient"), range(100)))
    assert len(files) == 1
    assert list((tmp_path / "quarantine" / "no-recipient").iterdir()) == list(files)


def test_a_failure_leaves_nothing_half_written(tmp_path):
    quarantine = Quarantine(tmp_path)
    kept = quarantine.keep(b"mail", "no-recipient")
    kept.unlink()
    kept.mkdir()  # what a rename cannot replace
    (kept / "full").touch()
    kept.rename(kept.with_suffix(".other"))
    (tmp_path / "quarantine" / "full").touch()
    with pytest.raises(OSError, match="full"):
        quarantine.keep(b"mail", "full")
