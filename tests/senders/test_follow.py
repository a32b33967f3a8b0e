"""`bounced follow`: an unchanged Postfix keeps the rows of soft bounces exact."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from bounced.core.model import Category
from bounced.core.naming import hidden_name
from bounced.core.policy import Change, Policy, What
from bounced.maillog import Attempt, Reader
from bounced.store import Store
from tests.daemon.running import run
from tests.redis_server import wait_for

JANE, JOE = "jane@example.org", "joe@example.org"
NOW = datetime.now(UTC).replace(microsecond=0)
UNKNOWN = "host mx.example.org[192.0.2.1] said: 550 5.1.1 <{to}>: user unknown (in reply to RCPT TO command)"
FULL = "host mx.example.org[192.0.2.1] said: 552 5.2.2 mailbox full (in reply to end of DATA command)"


def line(to: str, fate: str = "sent", words: str = "250 2.0.0 Ok", **fields: object) -> str:
    given = {
        "stamp": NOW.isoformat(),
        "process": "postfix/smtp[814]",
        "queue_id": "4F1D2A7B9C",
        "relay": "mx.example.org[192.0.2.1]:25",
        "dsn": "2.0.0" if fate == "sent" else "5.1.1",
        "orig": "",
    } | fields
    return (
        f"{given['stamp']} mail {given['process']}: {given['queue_id']}: to=<{to}>,{given['orig']}"
        f" relay={given['relay']}, delay=1.2, delays=0.1/0/0.6/0.5, dsn={given['dsn']},"
        f" status={fate} ({words.format(to=to)})"
    )


def read(*lines: str) -> list[Attempt | None]:
    reader = Reader()
    return [reader.read(each) for each in lines]


def test_a_delivery_is_read():
    [attempt] = read(line(JANE))
    assert attempt is not None
    assert (attempt.recipient, attempt.sent, attempt.at) == (JANE, True, int(NOW.timestamp()))


def test_a_refusal_is_read_with_the_message_that_it_is_about():
    _, attempt = read(
        f"{NOW.isoformat()} mail postfix/cleanup[812]: 4F1D2A7B9C: message-id=<letter@example.com>",
        line(JANE, "bounced", UNKNOWN),
    )
    assert attempt == Attempt(
        recipient=JANE,
        sent=False,
        at=int(NOW.timestamp()),
        queue_id="4F1D2A7B9C",
        status="5.1.1",
        message_id="<letter@example.com>",
        said=f"550 5.1.1 <{JANE}>: user unknown",
        command="RCPT",
        remote_mta="mx.example.org",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"process": "postfix-out/smtp[1]"},
        {"process": "postfix/submission/smtp[1]"},
        {"process": "postfix/lmtp[1]", "relay": "mail[/run/dovecot/lmtp]"},
        {"process": "postfix/virtual[1]", "relay": "virtual"},
        {"stamp": NOW.strftime("%Y-%m-%dT%H:%M:%S+0000")},  # journalctl -o short-iso
        {"stamp": NOW.isoformat(timespec="microseconds")},  # rsyslog
        {"stamp": NOW.astimezone().strftime("%b %e %H:%M:%S")},  # syslog of old
        {"orig": " orig_to=<Jane@example.org>,"},
    ],
)
def test_whatever_form_the_line_has(fields):
    [attempt] = read(line(JANE, **fields))
    assert attempt is not None
    assert attempt.recipient.lower() == JANE
    assert attempt.at == int(NOW.timestamp())


@pytest.mark.parametrize(
    "said",
    [
        "",
        "status=sent",
        line(JANE, "deferred"),
        line(JANE, relay="127.0.0.1[127.0.0.1]:10024"),  # a filter of this machine
        line(JANE, process="postfix/discard[1]", relay="none"),
        f"{NOW.isoformat()} mail sshd[1]: {line(JANE).partition(': ')[2]}",
        "x" * 100_000 + " status=sent (",
    ],
)
def test_all_other_lines_say_nothing(said):
    assert read(said) == [None]


def test_a_line_without_a_year_is_of_the_last_such_day():
    for days in (1, 100, 360):
        moment = (NOW - timedelta(days=days)).astimezone()
        [attempt] = read(line(JANE, stamp=moment.strftime("%b %e %H:%M:%S")))
        assert attempt is not None
        assert attempt.at is not None
        assert abs(attempt.at - int(moment.timestamp())) <= 86400


@pytest.mark.parametrize(
    "feigned", [line(JOE), line(JOE, "bounced", UNKNOWN), "x, dsn=5.1.1, status=bounced (x)"]
)
def test_the_refusing_server_cannot_feign_another_line(feigned):
    words = f"host mx[192.0.2.1] said: 450 no {feigned} (in reply to RCPT TO command)"
    deferred, refused = read(line(JANE, "deferred", words), line(JANE, "bounced", words))
    assert deferred is None
    assert refused is not None
    assert (refused.recipient, refused.sent) == (JANE, False)


def soft(url: str, address: str, count: int, at: datetime) -> None:
    changes = [
        Change(address, What.SOFT, f"m{n}", at=int(at.timestamp()), category=Category.FULL_MAILBOX)
        for n in range(count)
    ]

    async def record() -> None:
        store = await Store.open(url, "bounced", Policy(), Path("unused"))
        try:
            await store.record(changes)
        finally:
            await store.close()

    asyncio.run(record())


def follow(url: str, *lines: str, bounces: bool = False) -> "subprocess.CompletedProcess[str]":
    options = ["--bounces"] if bounces else []
    text = "".join(f"{each}\n" for each in lines)
    done = run(["follow", "--format", "postfix", f"--set=redis.url={url}", *options, "-"], stdin=text)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def store(valkey):
    with redis.Redis.from_url(valkey, decode_responses=True) as client:
        yield client


def test_a_delivery_breaks_the_row_and_an_older_one_does_not(valkey, store):
    before = NOW - timedelta(hours=1)
    soft(valkey, JANE, 3, at=before)
    soft(valkey, JOE, 3, at=before)
    older = (NOW - timedelta(hours=2)).isoformat()
    follow(valkey, line(JANE), line(JOE, stamp=older), line("new@example.org"))
    assert store.hget(f"bounced:addr:{JANE}", "soft") == "0"
    assert store.hget(f"bounced:addr:{JOE}", "soft") == "3"
    assert not store.exists("bounced:addr:new@example.org")


def test_a_delivery_breaks_the_row_of_an_address_that_a_forwarder_hid(valkey, store):
    hidden = hidden_name(JANE)
    soft(valkey, hidden, 3, at=NOW - timedelta(hours=1))
    follow(valkey, line(JANE, stamp=(NOW - timedelta(hours=2)).isoformat()))
    assert store.hget(f"bounced:addr:{hidden}", "soft") == "3"
    follow(valkey, line(JANE))
    assert store.hget(f"bounced:addr:{hidden}", "soft") == "0"
    assert not store.exists(f"bounced:addr:{JANE}")


def test_refusals_count_only_when_asked_for_and_once(valkey, store):
    refused = [
        line(JANE, "bounced", UNKNOWN),
        line(JOE, "bounced", FULL, dsn="5.2.2", queue_id="4F1D2A7B9D"),
    ]
    follow(valkey, *refused)
    assert store.keys("bounced:*") == []
    for _ in range(2):
        follow(valkey, *refused, bounces=True)
    assert store.exists(f"bounced:hard:{JANE}")
    assert store.hmget(f"bounced:addr:{JANE}", "category", "hard_total") == ["invalid-mailbox", "1"]
    assert store.hmget(f"bounced:addr:{JOE}", "category", "soft") == ["full-mailbox", "1"]


def test_what_happened_later_is_applied_later(valkey, store):
    early, late = ((NOW - timedelta(minutes=n)).isoformat() for n in (10, 5))
    soft(valkey, JANE, 2, at=NOW - timedelta(hours=1))
    follow(
        valkey,
        line(JANE, stamp=early),
        line(JANE, "bounced", FULL, stamp=late, queue_id="4F1D2A7B9D"),
        bounces=True,
    )
    assert store.hget(f"bounced:addr:{JANE}", "soft") == "1"


class Following:
    """`bounced follow` on a file."""

    def __init__(self, url: str, file: Path) -> None:
        words = [sys.executable, "-m", "bounced", "follow", f"--set=redis.url={url}", "--bounces", str(file)]
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)

    def stop(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        self.process.stderr.close()
        assert self.process.wait(20) == 0
        return said


def append(file: Path, *lines: str) -> None:
    with file.open("a") as log:
        log.writelines(f"{each}\n" for each in lines)


def refusal(name: str) -> str:
    return line(f"{name}@example.org", "bounced", UNKNOWN, queue_id=f"4F1D2A{name.upper()}")


def test_a_file_is_followed_across_rotation(valkey, store, tmp_path):
    file = tmp_path / "mail.log"
    append(file, refusal("a"))
    following = Following(valkey, file)

    def arrives(name: str) -> None:
        wait_for(lambda: store.exists(f"bounced:hard:{name}@example.org"), 20)

    arrives("a")
    append(file, refusal("b"))
    arrives("b")
    file.rename(tmp_path / "mail.log.1")
    append(tmp_path / "mail.log.1", refusal("c"))  # Postfix writes on until it is told
    arrives("c")
    append(file, "a line of something else", refusal("d"))
    arrives("d")
    os.truncate(file, 0)  # copytruncate
    append(file, refusal("e"))
    arrives("e")
    with file.open("a") as log:
        half = refusal("f")
        log.write(half[:50])
        log.flush()
        log.write(half[50:] + "\n")
    arrives("f")
    assert "6 bounces" in following.stop()


def test_it_ends_on_sigterm_while_its_pipe_is_idle(valkey):
    process = subprocess.Popen(
        [sys.executable, "-m", "bounced", "follow", f"--set=redis.url={valkey}", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    with redis.Redis.from_url(valkey) as client:
        wait_for(lambda: len(client.client_list()) > 1, 20)
    started = time.monotonic()
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            assert time.monotonic() - started < 20
    process.stdin.close()
    process.stderr.close()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["/none/mail.log"], 66, "No such file"),
        (["--set=redis.url=redis://127.0.0.1:1/0", "-"], 69, "the store does not answer"),
    ],
)
def test_what_goes_wrong_is_said(words, status, said):
    done = run(["follow", *words])
    assert done.returncode == status
    assert re.search(said, done.stderr)
