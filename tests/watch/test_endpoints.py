"""/metrics, /healthz and /readyz of a real daemon, asked over HTTP; with one process and with workers."""

import contextlib
import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bounced.metrics import METRICS
from tests import reports
from tests.daemon.running import Daemon, run
from tests.process import wait_until
from tests.redis_server import BINARIES, RedisServer


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RedisServer]:
    directory = tmp_path / "redis"
    directory.mkdir()
    server = RedisServer(BINARIES["valkey"], directory)
    yield server
    with contextlib.suppress(ProcessLookupError):
        server.kill()


class Asked:
    """The numbers of one page."""

    def __init__(self, address: str) -> None:
        text = get(address, "/metrics")[1]
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def __getitem__(self, name: str) -> float:
        return self.value(name)

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples that have these labels."""
        found = [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        assert found, f"no {name} {labels}"
        return sum(found)


def get(address: str, path: str, **headers: str) -> tuple[int, str]:
    try:
        request = urllib.request.Request(f"http://{address}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (ConnectionError, urllib.error.URLError):
        return 0, ""


@contextlib.contextmanager
def watched(state_dir: Path, *settings: str) -> Iterator[tuple[Daemon, str]]:
    """A daemon that answers, and where."""
    with Daemon(state_dir, "metrics.listen=127.0.0.1:0", *settings) as daemon:
        [line] = [line for line in daemon.log if line["event"] == "metrics.listening"]
        wait_until(lambda: get(line["address"], "/readyz")[0] == 200)
        yield daemon, line["address"]


@pytest.mark.parametrize("workers", [1, 2])
def test_everything_that_happens_is_counted(tmp_path, workers):
    with watched(tmp_path, f"workers={workers}") as (daemon, address):
        hard = reports.hard("jane@gmail.com", "letter")
        for message in (
            hard,
            hard,
            reports.soft("joe@example.org", "letter"),
            b"Subject: hello\r\n\r\nhello\r\n",
        ):
            daemon.send(message)  # each over a connection of its own, so that workers share them
        wait_until(lambda: Asked(address).value("bounced_reports_total") == 4)  # whichever worker read it
        wait_until(lambda: Asked(address)["bounced_connections_open"] == 0)  # the last one may be closing yet
        page = Asked(address)
        failures = "bounced_failures_total"
        assert page.value(failures, category="invalid-mailbox", severity="hard", provider="google") == 1
        assert page.value(failures, severity="soft", provider="other") == 1
        assert page.value(failures) == 2
        assert page.value("bounced_recipients_total", outcome="duplicate") == 1
        assert page.value("bounced_suppressions_total", provider="google") == 1
        assert page.value("bounced_unrecognised_total", reason="no-recipient") == 1
        assert page["bounced_connections_total"] == 4
        assert page["bounced_connections_open"] == 0
        assert page.value("bounced_stage_seconds_count", stage="whole") == 4
        assert page.value("bounced_stage_seconds_count", stage="store") == 3
        assert page["bounced_store_changes_total"] == 3
        assert page["bounced_store_up"] == 1
        assert "gmail.com" not in get(address, "/metrics")[1]
        wait_until(lambda: Asked(address)["bounced_ready"] == workers)
        assert Asked(address)["bounced_processes"] == workers


def test_who_is_suppressed_is_counted_at_the_start(tmp_path):
    with Daemon(tmp_path) as daemon:
        daemon.send(*(reports.hard(f"{n}@example.org", "letter") for n in range(3)))
        daemon.send(reports.soft("joe@example.org", "letter"))
    with watched(tmp_path) as (_, address):
        wait_until(lambda: "bounced_suppressed_addresses 3.0" in get(address, "/metrics")[1])
        assert Asked(address)["bounced_suppressed_counted_timestamp_seconds"] > 1.7e9


def test_refusals_and_forgeries_are_counted_even_when_they_have_no_line(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"aa {'00' * 32}\n")
    settings = ("return_path.mode=enforce", f"return_path.keys_file={keys}", "smtp.limits.errors=0")
    with watched(tmp_path, *settings) as (daemon, address):
        with daemon.smtp() as client:
            client.ehlo()
            client.docmd("MAIL FROM:<>")
            for _ in range(30):
                assert client.docmd("RCPT TO:<bounces@bounces.example.com>")[0] == 550
        page = Asked(address)
        assert page.value("bounced_forged_total", refused="true") == 30
        assert page.value("bounced_refused_total", code="550") == 30
        assert page.value("bounced_log_lines_repeated_total", event="bounce.forged") == 10
        lines = [line["event"] for line in daemon.log_so_far()]
        assert lines.count("bounce.forged") == 20


def test_not_ready_while_the_store_does_not_answer_and_ready_again(tmp_path, store):
    with watched(tmp_path / "state", f"redis.url={store.url}") as (daemon, address):
        store.freeze()
        wait_until(lambda: get(address, "/readyz")[0] == 503)
        assert get(address, "/healthz") == (200, "alive\n")
        assert Asked(address)["bounced_store_up"] == 0
        assert daemon.send(reports.hard("jane@example.org", "letter"))[0].startswith("451")
        assert Asked(address)["bounced_store_unavailable_total"] == 1
        store.thaw()
        wait_until(lambda: get(address, "/readyz") == (200, "ready\n"))


def test_not_ready_while_it_drains(tmp_path):
    with watched(tmp_path) as (daemon, address):
        with contextlib.closing(daemon.smtp()) as client:  # in the middle of a message: it is waited for
            client.ehlo()
            for command in ("MAIL FROM:<>", "RCPT TO:<bounces@bounces.example.com>", "DATA"):
                client.docmd(command)
            daemon.process.send_signal(signal.SIGTERM)
            wait_until(lambda: get(address, "/readyz")[0] == 503)
            assert get(address, "/healthz")[0] == 200
            client.send("Subject: hello\r\n\r\nhello\r\n.\r\n")
            assert client.getreply()[0] == 250
        daemon.process.wait(20)


def test_a_worker_that_dies_takes_no_count_with_it(tmp_path):
    def processes() -> float:
        return sum(s.value for s in Asked(address).samples if s.name == "bounced_processes")

    with watched(tmp_path, "workers=2") as (daemon, address):
        daemon.send(*(reports.soft(f"{n}@example.org", "letter") for n in range(10)))
        wait_until(lambda: Asked(address).value("bounced_reports_total", kind="bounce") == 10)
        workers = [line["pid"] for line in daemon.log_so_far() if line["event"] == "worker.started"]
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        daemon.wait_for("worker.died")
        wait_until(lambda: get(address, "/readyz")[0] == 200 and processes() == 2)
        assert Asked(address).value("bounced_reports_total", kind="bounce") == 10


def test_an_address_in_use_keeps_no_mail_waiting(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with Daemon(tmp_path, f"metrics.listen={address}") as daemon:
            [line] = [line for line in daemon.log if line["event"] == "metrics.unavailable"]
            assert line["address"] == address
            assert "in use" in line["cause"]
            assert daemon.send(reports.hard("jane@example.org", "letter"))[0].startswith("250")


def test_only_questions_are_answered_and_nobody_can_fill_the_port(tmp_path):
    with watched(tmp_path) as (_, address):
        host, _, port = address.rpartition(":")
        assert get(address, "/")[0] == 404
        assert get(address, "/metrics?x=1")[0] == 200
        assert "# EOF" in get(address, "/metrics", Accept="application/openmetrics-text; version=1.0.0")[1]
        assert get(address, "/metrics", Accept="application/openmetrics-text; version=x")[0] == 200
        for request, status in (
            (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
            (b"GET /healthz\r\n\r\n", b"400"),
            (b"\xff\x00\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b"400"),
        ):
            with socket.create_connection((host, int(port)), timeout=10) as raw:
                raw.sendall(request)
                assert raw.makefile("rb").readline().split()[1] == status
        with contextlib.ExitStack() as stack:
            for _ in range(40):  # that say nothing
                stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
        wait_until(lambda: get(address, "/healthz")[0] == 200)


def test_the_documentation_lists_the_metrics_that_there_are():
    text = Path("docs/metrics.md").read_text()
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `bounced_")]
    documented = {cells[0].strip(" `"): (cells[1].strip(), cells[2].strip()) for cells in rows}
    ending = {"counter": "_total", "gauge": "", "histogram": ""}
    there = {
        metric.name + ending[metric.type]: (metric.type, ", ".join(f"`{label}`" for label in metric.labels))
        for metric in METRICS
    }
    assert documented == there


def test_alarms_come_as_lines_and_as_a_metric(tmp_path):
    settings = ("alarms.sender_recipients=5", "alarms.window=4", "alarms.rise=1", "workers=2")
    with watched(tmp_path, *settings) as (daemon, address):
        said = "smtp; 550 5.7.26 Unauthenticated mail is not accepted due to the domain's DMARC policy"
        for n in range(10):
            fate = reports.Fate(f"jane{n}@gmail.com", "5.7.26", said)
            daemon.send(reports.postfix_style([fate], f"letter-{n}"))
        raised = daemon.wait_for("alarm.raised", alarm="sender-storm")
        assert (raised["provider"], raised["category"], raised["domain"]) == ("google", "dmarc-issues", None)
        assert raised["recipients"] >= 5
        assert Asked(address).value("bounced_alarm", alarm="sender-storm", provider="google") == 1
        daemon.wait_for("alarm.cleared", alarm="sender-storm")
        assert Asked(address).value("bounced_alarm", alarm="sender-storm", provider="google") == 0


def test_metrics_that_are_switched_off_cost_no_port(tmp_path):
    with Daemon(tmp_path) as daemon:
        assert not [line for line in daemon.log if line["event"].startswith("metrics.")]
    assert run(["check-config", "--set", "metrics.listen="]).returncode == 0
