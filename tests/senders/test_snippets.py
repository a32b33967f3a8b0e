"""Each snippet that can be run here is run, against a real store: who is suppressed is told from who is not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from bounced.cli_senders import SNIPPETS_FOR
from bounced.core.naming import KeyForm
from tests.daemon.running import run
from tests.redis_server import free_port
from tests.senders.test_client import hard, record

JANE, OBRIEN, JOE = "jane@example.org", "o'brien@example.org", "joe@example.org"
NODE_PATH = os.environ.get("NODE_PATH", "/usr/share/nodejs")

# The interpreter, the library that it needs and how to tell that it is there, and how to run it.
SENDERS = {
    "php": ("php", ["php", "-r", "new Redis();"], ["php"], "bounced.php"),
    "node": ("node", ["node", "-e", "require('redis')"], ["node"], "bounced.cjs"),
    "ruby": ("ruby", ["ruby", "-e", "require 'redis'"], ["ruby"], "bounced.rb"),
    "haraka": ("node", ["node", "-e", "require('redis')"], ["node", "haraka.cjs"], "bounced.js"),
    "curl": ("curl", ["true"], ["sh"], "bounced.sh"),
    "go": ("go", ["go", "list", "github.com/gomodule/redigo/redis"], ["go", "run"], "bounced.go"),
    "java": ("java", ["java", "--version"], ["java", "-cp", "."], "Bounced"),
}
# So that Debian's libraries are found, which are in no registry's form.
ENVIRONMENT = os.environ | {"NODE_PATH": NODE_PATH, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
MORE = {"go", "java", "django"}  # `make snippets-more` requires them
# In place of Haraka, which asks the plugin about one recipient.
HARAKA = """
const { createClient } = require('redis');
const plugin = require('./bounced.js');
global.DENY = 902;
(async () => {
  plugin.db = createClient({ url: process.argv[2] });
  await plugin.db.connect();
  const [user, host] = process.argv[3].split('@');
  await plugin.hook_rcpt((code) => console.log(code === DENY ? 'do not send' : 'send'), {}, [{ user, host }]);
  await plugin.db.quit();
})();
"""
# In place of Jedis, which Debian does not have: as much of it as is used.
JEDIS = """
package redis.clients.jedis;

import java.io.IOException;
import java.net.Socket;
import java.net.URI;

public class JedisPooled implements AutoCloseable {
    private final Socket socket;

    public JedisPooled(String url) throws IOException {
        socket = new Socket(URI.create(url).getHost(), URI.create(url).getPort());
    }

    public boolean exists(String key) {
        try {
            byte[] octets = key.getBytes("UTF-8");
            socket.getOutputStream().write(("*2\\r\\n$6\\r\\nEXISTS\\r\\n$" + octets.length + "\\r\\n").getBytes());
            socket.getOutputStream().write(octets);
            socket.getOutputStream().write("\\r\\n".getBytes());
            return socket.getInputStream().readNBytes(4)[1] == '1';
        } catch (IOException error) {
            throw new RuntimeException(error);
        }
    }

    public void close() {}
}
"""


def snippet(sender: str, url: str, form: str = "plain", *options: str) -> str:
    done = run(["snippets", sender, f"--set=redis.url={url}", f"--set=redis.key_form={form}", *options])
    assert done.returncode == 0, done.stderr
    return done.stdout


def lacking(sender: str, what: str) -> None:
    """Skip what is not there, or fail where it has to be: "1" stands for the small interpreters, "all" for all."""
    required = os.environ.get("BOUNCED_REQUIRE_SENDERS", "")
    if required == "all" or (required and sender not in MORE):
        pytest.fail(f"BOUNCED_REQUIRE_SENDERS is set, and {what}", pytrace=False)
    pytest.skip(what)


def compile_java(directory: Path, sources: dict[str, str]) -> None:
    for name, text in sources.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    subprocess.run(["javac", *sources], cwd=directory, check=True, timeout=120)


@pytest.mark.parametrize("form", KeyForm)
@pytest.mark.parametrize("sender", SENDERS)
def test_it_tells_who_is_suppressed(sender, form, valkey, tmp_path):
    program, needs, words, file = SENDERS[sender]
    if not shutil.which(program):
        lacking(sender, f"{program} is not installed")
    if subprocess.run(needs, env=ENVIRONMENT, capture_output=True, check=False, timeout=60).returncode:
        lacking(sender, f"{program} has no client library for Redis")
    record(valkey, hard(JANE), hard(OBRIEN), form=form)
    text = snippet(sender, valkey, form)
    if sender == "java":
        compile_java(tmp_path, {"redis/clients/jedis/JedisPooled.java": JEDIS, "Bounced.java": text})
    else:
        (tmp_path / file).write_text(text)
    if sender == "haraka":
        (tmp_path / "haraka.cjs").write_text(HARAKA)
        file = valkey

    def ask(address: str) -> bool:
        done = subprocess.run(
            [*words, file, address],
            cwd=tmp_path,
            env=ENVIRONMENT,
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


DJANGO = """
import sys
from django.conf import settings
settings.configure(EMAIL_HOST="127.0.0.1", EMAIL_PORT=int(sys.argv[1]), EMAIL_BACKEND="backend.EmailBackend")
from django.core.mail import EmailMessage
for to, cc in ((["Jane <Jane@example.org>", "joe@example.org"], []), (["jane@example.org"], []),
               (["jane@example.org"], ["Ann <ann@example.org>"])):
    EmailMessage("Letter", "Hello", "news@example.com", to, cc=cc).send()
"""


@pytest.mark.parametrize("form", KeyForm)
def test_the_one_for_django_sends_to_nobody_who_is_suppressed(form, valkey, tmp_path):
    dist_packages = "/usr/lib/python3/dist-packages"
    environment = ENVIRONMENT | {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{dist_packages}"}
    needs = [sys.executable, "-c", "import django"]
    if subprocess.run(needs, env=environment, capture_output=True, check=False, timeout=60).returncode:
        lacking("django", "Django is not installed")
    record(valkey, hard(JANE), form=form)
    (tmp_path / "backend.py").write_text(snippet("django", valkey, form))
    (tmp_path / "send.py").write_text(DJANGO)
    taken = Taken()
    sink = Controller(taken, hostname="127.0.0.1", port=free_port())
    sink.start()
    try:
        done = subprocess.run(
            [sys.executable, "send.py", str(sink.port)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        sink.stop()
    assert done.returncode == 0, done.stderr
    assert taken.recipients == [[JOE], ["ann@example.org"]]


class Taken:
    """What an SMTP server was given."""

    def __init__(self) -> None:
        self.recipients: list[list[str]] = []

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.recipients.append(envelope.rcpt_tos)
        return "250 Ok"


def test_the_one_for_an_embedded_store_names_its_port(tmp_path):
    done = run(["snippets", "curl", f"--set=state_dir={tmp_path}"])
    assert done.returncode == 0
    assert "telnet://127.0.0.1:6" in done.stdout
