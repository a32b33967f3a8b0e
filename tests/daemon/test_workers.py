"""Several workers on one port: whatever becomes of one, no mail is lost and none counts twice."""

import os
import random
import signal
import smtplib
import threading

import pytest

from tests import process, reports
from tests.daemon.running import Daemon, give
from tests.daemon.test_kills import NOTED, Load, assert_counted_once

pytestmark = [
    pytest.mark.timeout(200),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
WORKERS = "workers=2"
PATIENT = ("policy.soft_limit=1000000",)


def workers(daemon: Daemon) -> list[int]:
    """The processes of the workers."""
    running = process.children(daemon.process.pid)
    return [number for number, command in running.items() if "--worker" in command]


def both(daemon: Daemon) -> list[int]:
    """The same, as soon as there are two that take mail."""
    while sum(entry["event"] == "worker.started" for entry in daemon.log) < 2:
        daemon.wait_for("worker.started")
    assert len(workers(daemon)) == 2
    return workers(daemon)


def all_processes(daemon: Daemon) -> list[int]:
    """Parent, workers and store."""
    return [daemon.process.pid, *workers(daemon), daemon.store_process()]


def assert_gone(processes: list[int]) -> None:
    process.wait_until(lambda: not any(map(process.exists, processes)), timeout=30)


def test_two_workers_take_mail_and_leave_together(tmp_path):
    path = tmp_path / "lmtp"
    with Daemon(tmp_path, WORKERS, f"smtp.lmtp=unix:{path}") as daemon:
        both(daemon)
        alive = all_processes(daemon)
        for number in range(20):
            assert daemon.send(reports.soft("jane@example.org", f"letter-{number % 4}")) == [NOTED]
        with smtplib.LMTP(str(path)) as client:
            client.ehlo("relay.example")
            assert give(client, reports.soft("jane@example.org", "letter-0")) == NOTED
        with daemon.store() as store:
            assert store.hget("bounced:addr:jane@example.org", "soft") == "4"
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(30) == 0
    assert_gone(alive)
    assert not path.exists()
    events = [entry["event"] for entry in daemon.rest_of_log()]
    assert [events.count(name) for name in ("daemon.started", "worker.died", "daemon.stopped")] == [1, 0, 1]


@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_a_worker_killed_under_load_is_replaced(tmp_path, kills):
    with Daemon(tmp_path, WORKERS, *PATIENT) as daemon:
        load = Load()
        load.daemon = daemon
        both(daemon)
        with load:
            for _ in range(kills):
                load.wait_for_more(10)
                victim = random.choice(both(daemon))
                os.kill(victim, signal.SIGKILL)
                assert daemon.wait_for("worker.died")["how"] == "killed by SIGKILL"
                daemon.wait_for("worker.started", timeout=40)
        assert_counted_once(daemon, load.noted)
    assert load.replies == {"250 2.0.0"}


def test_a_worker_that_hangs_is_replaced_and_its_mail_comes_again(tmp_path):
    with Daemon(tmp_path, WORKERS, *PATIENT) as daemon:
        load = Load()
        load.daemon = daemon
        with load:
            victim = both(daemon)[0]
            os.kill(victim, signal.SIGSTOP)
            assert daemon.wait_for("worker.stuck", pid=victim)["silent"] < 15
            daemon.wait_for("worker.died", pid=victim)
            daemon.wait_for("worker.started", timeout=40)
        assert_counted_once(daemon, load.noted)
    assert load.replies == {"250 2.0.0"}


def test_sigterm_under_load_loses_nothing(tmp_path):
    load = Load()
    with Daemon(tmp_path, WORKERS, *PATIENT) as daemon:
        load.daemon = daemon
        both(daemon)
        with load:
            while sum(load.noted.values()) < 50:
                daemon.wait_for("bounce.recorded")
            daemon.process.send_signal(signal.SIGTERM)
            assert daemon.process.wait(30) == 0
            again = load.daemon = Daemon(tmp_path, WORKERS, *PATIENT, listen=daemon.address).__enter__()
        assert_counted_once(again, load.noted)
        again.__exit__()


def test_each_worker_reads_its_settings_again(tmp_path):
    file = tmp_path / "bounced.toml"
    text = 'workers = 2\n[smtp]\nlisten = ["127.0.0.1:0"]\n[smtp.limits]\nmessage_size = %s\n'
    file.write_text(text % 10_000)
    with Daemon(tmp_path, config=file) as daemon:
        both(daemon)
        for size in (20_000, '"much"', 30_000):
            file.write_text(text % size)
            daemon.process.send_signal(signal.SIGHUP)
            for _ in range(2):
                daemon.wait_for("daemon.reloaded", what="rules")
        sizes = set()
        for _ in range(20):
            with daemon.smtp() as client:
                client.ehlo()
                sizes.add(client.esmtp_features["size"])
        assert sizes == {"30000"}
    assert sum(entry["event"] == "reload.failed" for entry in daemon.rest_of_log()) == 2


def test_what_keeps_a_worker_from_starting_ends_the_daemon_with_its_words(tmp_path):
    daemon = Daemon(tmp_path, WORKERS, f"rules_dir={tmp_path / 'none'}")
    with pytest.raises(AssertionError, match=r"rules_dir: .*No such file"):
        daemon.__enter__()
    assert daemon.process.returncode == 78
    assert daemon.greeting == ""


def test_a_port_in_use_is_named_by_the_parent(tmp_path):
    with Daemon(tmp_path / "one", WORKERS) as daemon:
        second = Daemon(tmp_path / "two", WORKERS, listen=daemon.address)
        with pytest.raises(AssertionError, match="is in use"):
            second.__enter__()
        assert second.process.returncode == 1


def test_workers_do_not_outlive_their_parent(tmp_path):
    with Daemon(tmp_path, WORKERS) as daemon:
        both(daemon)
        alive = all_processes(daemon)
        threading.Timer(0.1, daemon.process.kill).start()
        daemon.process.wait(10)
        assert_gone(alive[:-1])  # what has killed it may leave the store to the next
    with Daemon(tmp_path, WORKERS, listen=daemon.address) as again:
        assert again.send(reports.hard("jane@example.org", "letter")) == [NOTED]


def test_a_second_interrupt_ends_all(tmp_path):
    with Daemon(tmp_path, WORKERS) as daemon, daemon.smtp() as client:
        both(daemon)
        client.ehlo()
        for command in ("MAIL FROM:<>", "RCPT TO:<b@bounces.example.com>", "DATA"):
            client.docmd(command)
        alive = all_processes(daemon)
        daemon.process.send_signal(signal.SIGINT)
        daemon.wait_for("daemon.draining", signal="SIGINT")
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.process.wait(10) == 130  # and not after the 15 s that a message may take to come in
        process.wait_until(lambda: not any(map(process.exists, alive[:-1])), timeout=10)
    daemon.command(
        "check", "jane@example.org"
    )  # the embedded store has been left alone; the last to use it stops it


def test_lines_of_the_log_are_whole_whoever_writes_them(tmp_path):
    """Two workers at once, and a reader that lets the pipe run full."""
    crowd = [reports.Fate(f"{'long' * 10}{number}@example.org") for number in range(100)]
    with Daemon(tmp_path, WORKERS) as daemon:
        both(daemon)
        for number in range(10):
            with daemon.smtp() as one, daemon.smtp() as other:
                for client in (one, other):
                    assert give(client, reports.postfix_style(crowd, f"letter-{number}")) == NOTED
    log = daemon.rest_of_log()  # each line was read as JSON
    assert sum(entry["event"] in ("bounce.recorded", "bounce.duplicate") for entry in log) == 2000
