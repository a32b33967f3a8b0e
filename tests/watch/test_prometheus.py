"""The alert rules by promtool; the dashboard's queries by a real Prometheus that scrapes a real daemon."""

import itertools
import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bounced.metrics import METRICS
from tests import reports
from tests.daemon.running import Daemon
from tests.process import wait_until
from tests.redis_server import free_port
from tests.watch.test_endpoints import watched

UNPACKED = Path(".prometheus").absolute()
CONFIG = Path("config")
DASHBOARD = json.loads((CONFIG / "grafana/bounced.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

if not (UNPACKED / "promtool").exists() and not os.environ.get("BOUNCED_REQUIRE_PROMETHEUS"):
    pytest.skip("Prometheus is not there: tests/watch/unpack.sh", allow_module_level=True)


def promtool(*words: str, directory: Path) -> str:
    done = subprocess.run(
        [UNPACKED / "promtool", *words],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_rules_and_alert_when_they_should():
    directory = CONFIG / "prometheus"
    assert "rules found" in promtool("check", "rules", "alerts.yml", directory=directory)
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml", directory=directory)


def test_every_rule_is_tested():
    rules = re.findall(r"- alert: (\w+)", (CONFIG / "prometheus/alerts.yml").read_text())
    tests = (CONFIG / "prometheus/alerts_test.yml").read_text()
    for rule in rules:
        fires = re.findall(rf"alertname: {rule}\n +exp_alerts:\n +- exp_labels", tests)
        assert fires, f"no test in which {rule} fires"


def names_of(text: str) -> set[str]:
    return set(re.findall(r"\bbounced_\w+", text))


def test_rules_dashboard_and_documents_ask_for_metrics_that_there_are():
    there = {metric.name for metric in METRICS}
    for file in ("prometheus/alerts.yml", "grafana/bounced.json"):
        for name in names_of((CONFIG / file).read_text()):
            assert {name, re.sub(r"_(total|bucket|count|sum)$", "", name)} & there, name


def queries() -> Iterator[tuple[str, str, bool]]:
    """Title of the panel, the query, and whether its panel says that it may be empty."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], "empty" in panel["description"].lower()


class Prometheus:
    def __init__(self, directory: Path, target: str) -> None:
        directory.mkdir()
        self.address = f"127.0.0.1:{free_port()}"
        (directory / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: [{(CONFIG / 'prometheus/alerts.yml').absolute()}]\n"
            f"scrape_configs: [{{job_name: bounced, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        self.process = subprocess.Popen(
            [
                UNPACKED / "prometheus",
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={self.address}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, path: str, **fields: str) -> Any:
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(fields)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 503:  # it reads its log
                    raise AssertionError(f"{error} {error.read().decode()}") from error
            return {}
        except OSError:  # it is not there yet
            return {}

    def query(self, expression: str) -> list[Any]:
        asked = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
        result: list[Any] = self.ask("query", query=asked).get("result", [])
        return result

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(20)


SAID = "smtp; 550 5.7.26 Unauthenticated mail is not accepted due to the domain's DMARC policy"


def happen(daemon: Daemon, n: int) -> None:
    """A storm, unknown words, a hard bounce, mail that is no report, and refusals."""
    fates = [reports.Fate(f"jane{n}-{m}@gmail.com", "5.7.26", SAID) for m in range(3)]
    fates += [
        reports.Fate(f"odd{n}@example.org", "5.0.0", "smtp; 550 qwertz"),
        reports.Fate(f"{n}@example.org"),
    ]
    daemon.send(
        *(reports.postfix_style([fate], fate.recipient) for fate in fates), b"Subject: hello\r\n\r\nhello\r\n"
    )
    with daemon.smtp() as client:
        client.ehlo()
        client.docmd("MAIL FROM:<>")
        for _ in range(25):
            client.docmd("RCPT TO:<jane@elsewhere.example>")


def test_every_query_of_the_dashboard_is_answered(tmp_path):
    settings = (
        "alarms.sender_recipients=5",
        "alarms.rise=0",
        "return_path_domains=bounces.example.com",
        "smtp.limits.errors=0",
    )
    rounds = itertools.count()
    with watched(tmp_path / "state", *settings) as (daemon, address):
        prometheus = Prometheus(tmp_path / "prometheus", address)
        try:
            wait_until(lambda: prometheus.query("bounced_ready"), 60)
            wait_until(lambda: len(prometheus.query("rate(bounced_connections_total[1m])")), 60)
            for title, query, may_be_empty in queries():
                histogram = "_bucket" in query or "_count" in query  # says NaN, or nothing, before the first
                assert prometheus.query(query) or may_be_empty or histogram or "failures" in query, title

            def unanswered() -> list[str]:
                happen(daemon, next(rounds))
                return [title for title, query, _ in queries() if not prometheus.query(query)]

            wait_until(lambda: not unanswered(), 100)

            def alerts() -> set[str]:
                happen(daemon, next(rounds))
                return {alert["labels"]["alertname"] for alert in prometheus.ask("alerts")["alerts"]}

            wait_until(lambda: "BouncedSenderStorm" in alerts(), 60)
        finally:
            prometheus.end()


def test_the_dashboard_is_one():
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert '$instance"' in target["expr"]
