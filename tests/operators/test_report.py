"""The report: its figures are those of the store, nothing from outside gets out of its place, and it can be read."""

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from bounced.core.model import Category
from bounced.core.policy import Change, What
from tests.operators import browser
from tests.operators.calling import call
from tests.operators.test_undo import GOOD, hard, record, soft

EVIL = "</style><script>alert(1)</script>\x1b[2J&\"'"
TODAY = datetime.now(UTC).date()


@pytest.fixture
def filled(valkey, store):
    """A store with bounces of today and counts of days before."""
    record(
        valkey,
        *(hard(f"a{n}@gmail.com", "m", **GOOD) for n in range(7)),
        *(soft(f"b{n}@example.org", f"m{m}", diagnostic="552 box is full") for n in range(3) for m in range(n + 1)),
        Change(
            "e@evil.example", What.SOFT, "m",
            category=Category.OTHER, diagnostic=EVIL, remote_mta=EVIL, rule=EVIL, status=EVIL,
        ),
        hard("gone@gmail.com", "m", **GOOD),
        Change("gone@gmail.com", What.RELEASE),
    )  # fmt: skip
    for days in range(1, 29):
        key = f"bounced:stats:{TODAY - timedelta(days=days)}"
        counts = {
            "full-mailbox": 40,
            "full-mailbox:gmx.de": 40,
            "dmarc-issues": 60,
            "dmarc-issues:yahoo.com": 60,
        }
        store.hset(key, mapping=counts | {f"other:{EVIL}": 1, "other": 1, "suppressed": 12, "released": 5})
    return valkey


def page(url, tmp_path, *options) -> str:
    file = tmp_path / "report.html"
    done = call("report", f"--set=redis.url={url}", "--html", str(file), *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"written: {file}\n"
    html: str = file.read_text()
    return html


def tiles(html: str) -> dict[str, str]:
    found = re.findall(r"<dt>([^<]*)</dt><dd>([^<]*) <small>([^<]*)", html)
    return {name: f"{number} {aside}".strip() for name, number, aside in found}


def test_figures_of_days_are_the_counts(filled, tmp_path):
    html = page(filled, tmp_path)
    assert tiles(html) == {
        "bounces": f"{28 * 101 + 8 + 6 + 1:,}",
        "came to rest": str(28 * 12 + 8),
        "released": str(28 * 5 + 1),
        "at rest now": "7 of 12 known",
    }
    assert "Most of one kind: 1,680 dmarc-issues at yahoo" in html
    assert re.search(r"<li><p><span class=\"\">gmx.de <small>[^<]*</small></span><span>1,120</span>", html)
    assert "box is full" in html
    assert re.search(r"3 in a row <small>[^<]*</small></span><span>1</span>", html)


def test_figures_of_hours_are_the_events(filled, tmp_path):
    html = page(filled, tmp_path, "--since", "24h")
    assert tiles(html)["bounces"] == "15"
    assert tiles(html)["came to rest"] == "8"
    assert tiles(html)["released"] == "1"
    assert "a column is an hour" in html


def test_rates_are_shown_only_when_it_is_said_how_much_was_sent(filled, tmp_path):
    html = page(filled, tmp_path)
    assert "counts, not rates" in html
    assert "rate" not in tiles(html)
    sent = tmp_path / "sent.csv"
    sent.write_text(
        f"day,domain,sent\n{TODAY},gmail.com,1000\n{TODAY},example.org,1843\n{TODAY - timedelta(days=99)},x.org,5\n"
    )
    html = page(filled, tmp_path, "--sent", str(sent))
    assert tiles(html)["sent"] == "2,843"
    assert tiles(html)["bounce rate"] == "100 %"
    assert "0.8 % of those sent" in html
    assert "counts, not rates" not in html
    assert tiles(page(filled, tmp_path, "--sent", "28_430"))["bounce rate"] == "10 %"


class Page(HTMLParser):
    """What a browser would do with it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"src", "href", "action", "data"}]
        assert not any(name.startswith("on") for name, _ in attrs)


def test_nothing_from_outside_gets_out_and_nothing_is_fetched(filled, tmp_path):
    html = page(filled, tmp_path)
    read = Page(html)
    assert "script" not in read.tags
    assert read.links == []
    assert read.tags.count("style") == 1
    assert "url(" not in html
    assert "\x1b" not in html
    assert "&lt;script&gt;" in html
    assert "default-src 'none'" in html


def test_every_picture_says_what_it_shows(filled, tmp_path):
    html = page(filled, tmp_path)
    pictures = re.findall(r'<svg [^>]*role="img" aria-labelledby="(\S+) (\S+)">(.*?)</svg>', html, re.DOTALL)
    assert len(pictures) == html.count("<svg ") > 10
    for title, text, marks in pictures:
        assert re.search(f'<title id="{title}">[^<]+</title><desc id="{text}">[^<]+</desc>', marks)
    names = re.findall(r' id="([^"]+)"', html)
    assert len(names) == len(set(names))
    assert html.count("<details>") >= 3


def test_a_store_that_knows_nothing_makes_a_page_too(valkey, tmp_path):
    assert "Nothing came back" in page(valkey, tmp_path)
    assert "Nothing came back" in call("report", f"--set=redis.url={valkey}").stdout


def test_in_a_pipe_it_is_plain_text(filled):
    done = call("report", f"--set=redis.url={filled}", "--since", "30d")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert re.search(r"dmarc-issues +1,680 +59 %", done.stdout)
    assert re.search(r"yahoo\.com +█+ +1,680", done.stdout)


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--sent", "/nowhere.csv"], 66, "/nowhere.csv: No such file"),
        (["--since", "soon"], 64, "2026-11-22"),
    ],
)
def test_what_cannot_be_meant_is_refused(valkey, options, status, words):
    done = call("report", f"--set=redis.url={valkey}", *options)
    assert done.returncode == status
    assert words in done.stderr


def test_a_file_that_does_not_say_how_much_was_sent(valkey, tmp_path):
    (tmp_path / "sent.csv").write_text("2026-11-22,10\nyesterday,12\n")
    done = call("report", f"--set=redis.url={valkey}", "--sent", str(tmp_path / "sent.csv"))
    assert done.returncode == 64
    assert "sent.csv:2: expected a day first" in done.stderr


@browser.needed
@pytest.mark.parametrize("since", ["24h", "30d"])
def test_it_can_be_read_on_a_telephone_and_on_a_wide_screen(filled, tmp_path, since):
    html = page(filled, tmp_path, "--since", since)
    for width in (360, 1120):
        seen = browser.look(html, tmp_path, width=width)
        assert seen["wide"] <= width
        assert seen["pictures"] == html.count("<svg ")
        assert seen["empty"] == 0
        assert seen["small"] >= 10


@browser.needed
def test_it_is_dark_in_the_dark_and_prints_on_a_few_sheets(filled, tmp_path):
    html = page(filled, tmp_path)
    light, dark = (browser.look(html, tmp_path, width=800, dark=dark)["background"] for dark in (False, True))
    assert sum(map(int, re.findall(r"\d+", light))) > 600
    assert sum(map(int, re.findall(r"\d+", dark))) < 150
    sheets = browser.printed(html, tmp_path)
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", sheets)) <= 5
