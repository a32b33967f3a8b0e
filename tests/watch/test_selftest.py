"""`bounced selftest` against a real daemon: what it shows, what it leaves behind, and which step it names."""

import pytest

from tests.certificates import make
from tests.daemon.running import Daemon, run
from tests.process import wait_until
from tests.redis_server import free_port
from tests.watch.test_endpoints import get


def test_it_goes_through_and_leaves_nothing_that_counts(tmp_path):
    with Daemon(tmp_path) as daemon:
        done = daemon.command("selftest", "--connect", daemon.address)
        assert (done.returncode, done.stderr) == (0, "")
        steps = ["greeting", "EHLO", "MAIL", "RCPT", "message", "store"]
        assert [line.split()[1] for line in done.stdout.splitlines()] == steps
        with daemon.store() as store:
            assert (
                store.keys("*selftest*")
                == store.keys("bounced:hard:*")
                == store.keys("bounced:stats:*")
                == []
            )
            assert store.keys("bounced:addr:*") == []
        assert daemon.wait_for("bounce.delivered")["recipient"].endswith("@bounced.invalid")
        assert not [line for line in daemon.log_so_far() if line["event"] == "bounce.recorded"]


def test_its_return_path_is_signed_where_proof_is_asked_for(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"aa {'01' * 32}\n")
    settings = (
        "return_path.mode=enforce",
        f"return_path.keys_file={keys}",
        "return_path_domains=b.example.com",
    )
    with Daemon(tmp_path, *settings) as daemon:
        assert daemon.command("selftest", "--connect", daemon.address).returncode == 0
        assert daemon.wait_for("bounce.delivered")["proven"] is True
        keys.write_text(f"aa {'02' * 32}\n")
        failed = daemon.command("selftest", "--connect", daemon.address)
        assert failed.returncode == 1
        assert failed.stderr.startswith("bounced: RCPT: 550 5.1.1 ")


def test_it_speaks_tls_where_it_must(tmp_path):
    certificate, key = make(tmp_path)
    settings = (f"smtp.tls.certificate={certificate}", f"smtp.tls.key={key}", "smtp.tls.required=true")
    with Daemon(tmp_path, *settings) as daemon:
        assert "STARTTLS" in daemon.command("selftest", "--connect", daemon.address).stdout


def test_nobody_listens(tmp_path):
    failed = run(["selftest", "--connect", f"127.0.0.1:{free_port()}", "--set", f"state_dir={tmp_path}"])
    assert failed.returncode == 1
    assert failed.stderr.startswith("bounced: greeting: ")
    assert "Connection refused" in failed.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_daemon_with_another_store(tmp_path, valkey):
    with Daemon(tmp_path) as daemon:
        settings = ["--set", f"redis.url={valkey}", "--connect", daemon.address]
        failed = run(["selftest", *settings])
        assert failed.returncode == 1
        assert failed.stderr.startswith("bounced: store: ")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--connect", "nowhere"], 64, "expected an address with port"),
        (["--ready", "--set", "metrics.listen="], 1, "metrics.listen is empty"),
        (["--ready", "--set", "metrics.listen=127.0.0.1:1"], 1, "does not answer"),
        (["--set", "smtp.listen=x"], 78, "smtp.listen: expected"),
    ],
)
def test_what_is_wrong_is_named(words, status, said):
    failed = run(["selftest", *words])
    assert failed.returncode == status
    assert said in failed.stderr


def test_ready(tmp_path):
    with Daemon(tmp_path, "metrics.listen=127.0.0.1:0") as daemon:
        [line] = [line for line in daemon.log if line["event"] == "metrics.listening"]
        wait_until(lambda: get(line["address"], "/readyz")[0] == 200)
        asked = run(["selftest", "--ready", "--set", f"metrics.listen={line['address']}"])
        assert (asked.returncode, asked.stdout) == (0, "ready\n")
