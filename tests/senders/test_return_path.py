"""Return paths as senders sign them: by command, by the client, and by the code that docs/return-path.md prints."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bounced import keys
from bounced.core.returnpath import sign, verify
from tests.daemon.running import run
from tests.senders.test_snippets import lacking

DOCUMENT = (Path(__file__).parents[2] / "docs" / "return-path.md").read_text("utf-8")
VECTORS = re.findall(
    r"^\| `(\w\w)` \| (\d+) \| `(\S+)` \| `(\w{12})` \| `(\S+)` \| `(\w+)` \|$", DOCUMENT, re.MULTILINE
)
CODE = dict(re.findall(r"^```(\w+)\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL))
KEYS = {"aa": bytes(range(32)).hex(), "z9": 40 * "f0"}

# Around the code that the document prints: a program that signs what its arguments say.
PHP = """<?php
{code}
$a = $argv;
echo bounced_sign($a[1], $a[2], $a[3], $a[4], $a[5], (int) $a[6]);
"""
NODE = """
{code}
const a = process.argv;
process.stdout.write(sign(a[2], a[3], a[4], a[5], a[6], Number(a[7])));
"""
GO = """
package main

import "fmt"
import "os"
import "strconv"
{code}
func main() {
	a := os.Args
	expires, _ := strconv.Atoi(a[6])
	signed, err := sign(a[1], a[2], a[3], a[4], a[5], expires)
	if err != nil {
		panic(err)
	}
	fmt.Print(signed)
}
"""
RUBY = """
{code}
print sign(*ARGV[0, 5], ARGV[5].to_i)
"""
JAVA = """
{code}
class Main {
    public static void main(String[] a) throws Exception {
        System.out.print(ReturnPath.sign(a[0], a[1], a[2], a[3], a[4], Integer.parseInt(a[5])));
    }
}
"""
PROGRAMS = {
    "php": ("sign.php", PHP, ["php", "sign.php"]),
    "js": ("sign.cjs", NODE, ["node", "sign.cjs"]),
    "go": ("sign.go", GO, ["go", "run", "sign.go"]),
    "ruby": ("sign.rb", RUBY, ["ruby", "sign.rb"]),
    "java": ("Main.java", JAVA, ["sh", "-c", 'javac Main.java && java Main "$@"', "java"]),
}


@pytest.fixture
def key_file(tmp_path):
    file = tmp_path / "keys"
    file.write_text("# of the tests\n" + "".join(f"{kid} {secret}\n" for kid, secret in KEYS.items()))
    file.chmod(0o600)
    return file


def command(key_file: Path, *words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return run(["return-path", *words], stdin=stdin, BOUNCED_RETURN_PATH__KEYS_FILE=str(key_file))


def test_the_document_has_vectors_and_code():
    assert len(VECTORS) == 5
    assert CODE.keys() - {"sh", "text"} == PROGRAMS.keys()


@pytest.mark.parametrize(("kid", "day", "address", "mid", "domain", "local"), VECTORS)
def test_the_core_signs_as_the_document_says(kid, day, address, mid, domain, local):
    key = bytes.fromhex(KEYS[kid])
    assert sign(address, domain, kid=kid, key=key, mid=mid, expires=int(day)) == f"{local}@{domain}"
    assert verify(local, domain, {kid: key}, today=int(day)).is_about(address)


@pytest.mark.parametrize("language", PROGRAMS)
def test_the_printed_code_signs_as_the_document_says(language, tmp_path):
    file, program, words = PROGRAMS[language]
    needed = "javac" if language == "java" else words[0]
    if not shutil.which(needed):
        lacking(language, f"{needed} is not installed")
    (tmp_path / file).write_text(program.replace("{code}", CODE[language]), "utf-8")
    for kid, day, address, mid, domain, local in VECTORS:
        signed = subprocess.run(
            [*words, address, domain, kid, KEYS[kid], mid, day],
            cwd=tmp_path,
            env=os.environ | {"LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert signed.stdout == f"{local}@{domain}"


def test_the_command_takes_a_day_in_both_forms(key_file):
    kid, _, address, mid, domain, _ = VECTORS[0]
    words = ["sign", "--kid", kid, "--domain", domain, "--mid", mid]
    days = ("2050-01-01", "29220")
    first, second = (command(key_file, *words, "--expires", day, address.title()) for day in days)
    assert (first.stdout, first.returncode) == (second.stdout, 0)


def test_what_was_signed_is_proven_and_what_was_changed_is_not(key_file):
    signed = command(
        key_file, "sign", "--kid", "z9", "--domain", "b.example", "jane@example.org"
    ).stdout.strip()
    done = command(key_file, "verify", "-", stdin=f"{signed.upper()}\n")
    assert done.returncode == 0
    assert re.fullmatch(
        r"B1Z9\S+\tproven\tkid=z9 expires=\S+ rid=cpmfltutcbz5jeskyn34 mid=\w{12}\n", done.stdout
    )
    for forged, reason in [
        (signed.replace("b.example", "c.example"), "signed with key z9, and the signature does not fit"),
        (signed.replace("b1z9", "b1zz"), "signed with key zz, which is not known here"),
        ("jane@example.org", "not signed"),
    ]:
        done = command(key_file, "verify", forged)
        assert (done.stdout, done.returncode) == (f"{forged}\tforged\t{reason}\n", 1)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (
            ["sign", "--kid", "bb", "--domain", "b.example", "jane@example.org"],
            78,
            "no key bb; there is aa, z9",
        ),
        (["sign", "--kid", "aa", "--domain", "b.example", "jane"], 64, "'jane' is not an address"),
        (
            ["sign", "--kid", "aa", "--domain", "b.example", "--mid", "x", "j@e"],
            64,
            "message name 'x': twelve",
        ),
        (["sign", "--kid", "aa", "--domain", "b.example", "--expires", "99999", "j@e"], 64, "below 32768"),
        (["sign", "--kid", "aa", "--domain", "b.example", "--expires", "soon", "j@e"], 64, "expected a day"),
        (["keygen", "--kid", "aa"], 1, "there is a key aa"),
        (["keygen", "--kid", "Key"], 64, "two characters of a-z and 0-9"),
    ],
)
def test_what_goes_wrong_is_said(key_file, words, status, said):
    done = command(key_file, *words)
    assert done.returncode == status
    assert said in done.stderr


def test_a_new_key_can_be_appended_and_used(key_file):
    line = command(key_file, "keygen").stdout
    assert re.fullmatch(r"[a-z0-9]{2} [0-9a-f]{64}\n", line)
    with key_file.open("a") as file:
        file.write(line)
    signed = command(key_file, "sign", "--kid", line[:2], "--domain", "b.example", "jane@example.org")
    assert signed.returncode == 0


@pytest.mark.parametrize(("mode", "complains"), [(0o644, True), (0o640, False)])
def test_a_key_that_goes_where_everybody_may_read_it_is_complained_of(tmp_path, mode, complains):
    file = tmp_path / "keys"
    file.touch(mode=mode)
    file.chmod(mode)
    with file.open("a") as into:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "bounced",
                "return-path",
                "keygen",
                "--set",
                f"return_path.keys_file={file}",
            ],
            stdout=into,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
            timeout=60,
        )
    assert len(keys.read(file)) == 1
    assert ("everybody on this machine may read the file" in done.stderr) is complains


def test_a_file_that_everybody_may_read_is_complained_of(key_file):
    key_file.chmod(0o644)
    done = command(key_file, "verify", "jane@example.org")
    assert "everybody on this machine may read the keys" in done.stderr


def test_every_mistake_in_a_key_file_is_named_with_its_line_and_no_secret_is_told(tmp_path):
    secret = "5ec7e7" * 12
    file = tmp_path / "keys"
    file.write_text(f"aa {secret}\n{secret}\n\nAB {secret}\nab {secret}zz\nac 5ec7e7  # short\naa {secret}\n")
    with pytest.raises(keys.KeysError) as error:
        keys.read(file)
    assert error.value.problems == (
        f"{file}:2: expected two words, the key's name and its secret in hexadecimal",
        f"{file}:4: a key's name is two characters of a-z and 0-9",
        f"{file}:5: key ab: its secret is not hexadecimal",
        f"{file}:6: key ac: 3 octets; expected at least 32",
        f"{file}:7: key aa: there is one of this name above",
    )


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), (b"", "holds no key"), (b"\xff\xfe", "not a text")]
)
def test_a_file_without_keys_is_an_error(tmp_path, content, said):
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(keys.KeysError, match=said):
        keys.read(file)
