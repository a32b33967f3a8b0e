"""Each snippet that can be run here is run, against a real store: who is suppressed is told from who is not."""

import os
import shutil
import subprocess

import pytest

from bounced.cli_senders import SNIPPETS_FOR
from bounced.core.naming import KeyForm
from tests.daemon.running import run
from tests.senders.test_client import hard, record

JANE, OBRIEN, JOE = "jane@example.org", "o'brien@example.org", "joe@example.org"
NODE_PATH = os.environ.get("NODE_PATH", "/usr/share/nodejs")

# The interpreter, the library that it needs and how to tell that it is there, and how to run it.
SENDERS = {
    "php": ("php", ["php", "-r", "new Redis();"], ["php"], "bounced.php"),
    "node": ("node", ["node", "-e", "require('redis')"], ["node"], "bounced.cjs"),
    "ruby": ("ruby", ["ruby", "-e", "require 'redis'"], ["ruby"], "bounced.rb"),
    "curl": ("curl", ["true"], ["sh"], "bounced.sh"),
}


def snippet(sender: str, url: str, form: str = "plain", *options: str) -> str:
    done = run(["snippets", sender, f"--set=redis.url={url}", f"--set=redis.key_form={form}", *options])
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", KeyForm)
@pytest.mark.parametrize("sender", SENDERS)
def test_it_tells_who_is_suppressed(sender, form, valkey, tmp_path):
    program, needs, words, file = SENDERS[sender]
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    environment = os.environ | {"NODE_PATH": NODE_PATH}
    if subprocess.run(needs, env=environment, capture_output=True, check=False, timeout=30).returncode:
        pytest.skip(f"{program} has no client library for Redis")
    record(valkey, hard(JANE), hard(OBRIEN), form=form)
    (tmp_path / file).write_text(snippet(sender, valkey, form))

    def ask(address: str) -> bool:
        done = subprocess.run(
            [*words, file, address],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if sender == "curl":
            assert done.returncode in {0, 1}, done.stderr
            return done.returncode == 1
        assert done.stdout in {"send\n", "do not send\n"}, done.stderr
        return done.stdout == "do not send\n"

    assert [ask(address) for address in (JANE, "Jane@EXAMPLE.org", OBRIEN, JOE)] == [True, True, True, False]


@pytest.mark.parametrize("form", KeyForm)
@pytest.mark.parametrize("sender", SNIPPETS_FOR)
def test_it_is_printed_with_what_the_settings_say(sender, form):
    text = snippet(sender, "redis://redis.example.com:6390/3", form, "--set=redis.prefix=returns")
    if sender != "postfix":  # that one asks serve-map
        assert "redis.example.com" in text
        assert "6390" in text
        assert "returns" in text
    assert "[plain]" not in text
    assert "[sha256]" not in text
    assert "@prefix@" not in text


def test_what_a_snippet_cannot_say_is_complained_of_and_no_password_is_printed():
    done = run(["snippets", "ruby", "--set=redis.url=redis://user:secret@redis.example.com/0"])
    assert done.returncode == 0
    assert "secret" not in done.stdout + done.stderr
    assert "add what is missing" in done.stderr


def test_the_one_for_django_is_python():
    compile(snippet("django", "redis://127.0.0.1:6379/0"), "django.py", "exec")


def test_the_one_for_an_embedded_store_names_its_port(tmp_path):
    done = run(["snippets", "curl", f"--set=state_dir={tmp_path}"])
    assert done.returncode == 0
    assert "telnet://127.0.0.1:6" in done.stdout
