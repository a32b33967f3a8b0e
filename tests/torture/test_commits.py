"""Tests 17 to 23, 26, 27, 39 and 40: a 250 means that it is in Redis, once, whatever dies or hangs meanwhile.

Failover and resharding (24 and 25) are in tests/store, real mail servers (38) in tests/mta.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import process, reports
from tests.daemon.running import Daemon
from tests.daemon.test_kills import Load, assert_counted_once
from tests.daemon.test_promises import stopped
from tests.redis_server import BINARIES, RedisServer
from tests.store.refusals import REFUSALS
from tests.torture.test_octets import peer, watched

JANE = "jane@example.org"
NOTED = "250 2.0.0 Noted"
RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # SO_LINGER of no seconds: closing resets
MANY = ("policy.soft_limit=1000000",)


def soft(daemon: Daemon) -> str | None:
    with daemon.store() as store:
        value: str | None = store.hget(f"bounced:addr:{JANE}", "soft")
        return value


@pytest.mark.parametrize("how", ["half-close", "close", "reset"])
def test_17_a_peer_that_hangs_up_after_the_final_dot(daemon, how):
    with stopped(daemon):
        client = peer(daemon)
        client.start_data()
        client.send(reports.soft(JANE, "letter") + b".\r\n")
        time.sleep(0.3)  # so that the message is in, and its commit waits for the store
        if how == "half-close":
            client.socket.shutdown(socket.SHUT_WR)
        else:
            if how == "reset":
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.__exit__()
        time.sleep(1.5)  # the store hangs for two seconds in all
    daemon.wait_for("bounce.recorded")
    assert soft(daemon) == "1"
    if how == "half-close":
        assert client.reply() == NOTED
        client.__exit__()
    assert daemon.send(reports.soft(JANE, "letter")) == [NOTED]
    assert soft(daemon) == "1"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_18_the_daemon_killed_at_two_hundred_random_moments(tmp_path, figure):
    load = Load()
    load.daemon = Daemon(tmp_path, *MANY).__enter__()
    address = load.daemon.address
    with load:
        for _ in range(200):
            time.sleep(random.uniform(0.02, 0.4))  # the moment is what is tested
            load.daemon.kill()
            load.daemon = Daemon(tmp_path, *MANY, listen=address).__enter__()
    assert_counted_once(load.daemon, load.noted)
    load.daemon.__exit__()
    figure("18 daemon killed", f"200 times; {sum(load.noted.values())} messages noted, 0 lost, 0 double")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_19_the_store_killed_fifty_times(tmp_path, figure):
    load = Load()
    with Daemon(tmp_path, *MANY) as daemon:
        load.daemon = daemon
        with load:
            for _ in range(50):
                time.sleep(random.uniform(0.05, 0.5))  # the moment is what is tested
                os.kill(daemon.store_process(), signal.SIGKILL)
        assert_counted_once(daemon, load.noted)
    assert load.replies <= {"250 2.0.0", "451 4.3.0"}
    figure("19 store killed", f"50 times; {sum(load.noted.values())} messages noted, 0 lost, 0 double")


@pytest.mark.slow
def test_21_a_store_that_hangs_for_a_minute(daemon, figure):
    longest = 0.0
    daemon.send(reports.soft(JANE, "first"))
    with stopped(daemon):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            started = time.monotonic()
            assert daemon.send(reports.soft(JANE, "second"))[0].startswith("451 4.3.0")
            longest = max(longest, time.monotonic() - started)
            time.sleep(0.5)  # a sender would wait longer
    started = time.monotonic()
    process.wait_until(lambda: daemon.send(reports.soft(JANE, "second")) == [NOTED], timeout=5)
    figure("21 store hangs", f"451 within {longest:.1f} s; recovers in {time.monotonic() - started:.1f} s")
    assert longest < 10
    assert soft(daemon) == "2"


@pytest.mark.parametrize("word", REFUSALS)
def test_22_a_store_that_refuses(tmp_path, word):
    (tmp_path / "store").mkdir()
    server = RedisServer(BINARIES["valkey"], tmp_path / "store")
    with Daemon(tmp_path, f"redis.url={server.url}") as daemon:
        daemon.send(reports.soft("other@example.org", "letter"))
        with REFUSALS[word](server):
            assert daemon.send(reports.soft(JANE, "letter"))[0].startswith("451 4.3.0")
            said = daemon.wait_for("store.unavailable")["cause"]
        assert word in said or (word == "NOAUTH" and "authentication refused" in said)
        process.wait_until(lambda: daemon.send(reports.soft(JANE, "letter")) == [NOTED], timeout=5)
        assert soft(daemon) == "1"
    server.kill()


def test_23_a_reply_that_nobody_hears(daemon):
    for _ in range(5):
        with peer(daemon) as client:
            client.start_data()
            client.send(reports.soft(JANE, "letter") + b".\r\n")
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    assert daemon.send(reports.soft(JANE, "letter")) == [NOTED]
    assert soft(daemon) == "1"


def test_26_the_same_report_a_thousand_times_at_once(daemon):
    report = reports.soft(JANE, "letter")
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: daemon.send(*[report] * 50), range(20)))
    assert replies == [[NOTED] * 50] * 20
    assert soft(daemon) == "1"


def test_27_ten_delays_and_one_failure(daemon):
    delays = [reports.delayed(JANE, "letter")] * 10
    assert daemon.send(*delays, reports.soft(JANE, "letter"), *delays) == [NOTED] * 21
    assert soft(daemon) == "1"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    not Path("/usr/sbin/smtp-source").exists(), reason="Postfix's smtp-source is not installed"
)
def test_39_a_hundred_thousand_messages_of_postfix(tmp_path, figure):
    report = tmp_path / "report.eml"
    report.write_bytes(reports.soft(JANE, "letter").replace(b"\r\n", b"\n") + b"x" * 2500)
    with (
        Daemon(tmp_path, "smtp.limits.session=0", "smtp.limits.messages=0") as daemon,
        watched(daemon) as waits,
    ):
        used, started = process.seconds(daemon.process.pid), time.monotonic()
        command = "/usr/sbin/smtp-source -s 200 -m 100000 -d -f <> -t bounces@bounces.example.com"
        done = subprocess.run(
            [*command.split(), "-f", "", "-F", report, f"127.0.0.1:{daemon.port}"],
            capture_output=True,
            check=False,
        )
        took = time.monotonic() - started
        used = process.seconds(daemon.process.pid) - used
        assert (done.returncode, done.stderr) == (0, b"")
        assert soft(daemon) == "1"
    worst = sorted(waits)[int(len(waits) * 0.99)]
    figure(
        "39 smtp-source",
        f"100,000 in {took:.0f} s, {100_000 / used:.0f} a second of one processor, "
        f"others p99 {worst * 1000:.0f} ms",
    )
    assert 100_000 / used > 500


def test_40_no_connection_leaves_the_daemon(daemon):
    """Its connections are those that came to its port, and those to its store."""
    with watched(daemon), ThreadPoolExecutor(4) as pool:
        sending = [
            pool.submit(daemon.send, *(make(f"user{n}@example.org", f"{n}") for n in range(200)))
            for make in (reports.hard, reports.soft, reports.delayed, reports.delivered)
        ]
        seen = set()
        while not all(future.done() for future in sending):
            seen |= process.connections(daemon.process.pid)
    opened = {remote for local, remote in seen if local != daemon.port}
    assert len(seen) > 1
    assert opened <= {urlsplit(daemon.store_url).port}


def test_40_there_is_no_code_that_could_send_mail():
    clients = {
        "smtplib",
        "http.client",
        "urllib.request",
        "ftplib",
        "aiosmtpd.handlers",
        "aiosmtpd.controller",
    }
    code = f"import sys, bounced.daemon; print(sorted(set(sys.modules) & {clients}))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
