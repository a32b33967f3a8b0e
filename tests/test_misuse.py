"""What is asked wrongly is told in a line, with the exit status of sysexits.h, and never answered with "send"."""

import subprocess
import sys
from pathlib import Path

import pytest

from bounced.addresses import given
from tests.daemon.running import run


@pytest.mark.parametrize(
    "written",
    [
        "<zoe@example.org>",
        "Jane <jane@example.org>",
        "mailto:jane@example.org",
        "a@b@c",
        "jane doe@example.org",
        "x",
    ],
)
def test_what_stands_around_an_address_makes_it_none(written):
    assert given(written) is None


@pytest.mark.parametrize(
    "written",
    [
        "Jane@Example.ORG.",
        '"jane doe"@example.org',
        "j..d.@docomo.example",
        "j@[192.0.2.1]",
        "j\xe4@b\xfc.example",
    ],
)
def test_every_way_to_write_an_address_is_one(written):
    assert given(written) is not None


@pytest.mark.parametrize("words", [["check"], ["show"], ["release"], ["delivered"], ["export"]])
def test_no_store_is_no_answer_and_none_is_made(tmp_path, words):
    done = run(
        [*words, *(["jane@example.org"] if words != ["export"] else []), "--set", f"state_dir={tmp_path}"]
    )
    assert (done.returncode, done.stdout) == (69, "")
    assert f"no store in {tmp_path}: is STATE_DIRECTORY or state_dir set as for the daemon?" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["classify", "550 no", "--status", "bogus"], 64, "expected X.Y.Z"),
        (["classify", "550 no", "--smtp-command", "FROB"], 64, "expected one of"),
        (["import", "DIR"], 66, "Is a directory"),
        (["follow", "DIR"], 66, "Is a directory"),
        (["follow", "/nonexistent"], 66, "No such file"),
        (["import", "/nonexistent"], 66, "No such file"),
    ],
)
def test_a_mistake_is_told_in_a_line(tmp_path, words, status, told):
    done = run([word.replace("DIR", str(tmp_path)) for word in words])
    assert done.returncode == status
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "wrong", [["--domain", "bad domain"], ["--domain", "b.example", "--expires", "2020-01-01"]]
)
def test_a_return_path_that_nobody_could_use_is_not_signed(tmp_path, wrong):
    keys = tmp_path / "keys"
    keys.write_text(f"aa {bytes(32).hex()}\n")
    keys.chmod(0o600)
    words = [
        "return-path",
        "sign",
        "--set",
        f"return_path.keys_file={keys}",
        "--kid",
        "aa",
        *wrong,
        "jane@example.org",
    ]
    done = run(words)
    assert (done.returncode, done.stdout) == (64, "")
    assert "expected" in done.stderr


def test_an_output_that_takes_no_more_is_a_line_and_1():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bounced", "check-config"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "bounced: No space left on device\n")
