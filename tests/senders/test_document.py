"""What docs/senders.md prints for Python runs, and does what it says."""

import re
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.senders.test_client import hard, record

DOCUMENT = (Path(__file__).parents[2] / "docs" / "senders.md").read_text("utf-8")
[CLIENT, STREAM] = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
JANE, JOE = "jane@example.org", "joe@example.org"


def test_the_client_is_used_so(valkey, capsys):
    record(valkey, hard(JANE))
    exec(CLIENT.replace("redis://127.0.0.1:6379/0", valkey), {})
    assert capsys.readouterr().out == f"{JOE}\n"


def test_a_consumer_group_gets_every_change_also_after_a_crash(valkey):
    names: dict[str, Any] = {}
    exec(STREAM.replace("redis.Redis(", f"redis.Redis.from_url({valkey!r}, "), names)
    work = names["work"]
    record(valkey, hard(JANE), hard(JOE))
    handled: list[tuple[str, str]] = []

    def crash(event: dict[str, str]) -> None:
        raise RuntimeError(event["address"])

    def handle(event: dict[str, str]) -> None:
        handled.append((event["address"], event["what"]))

    with pytest.raises(RuntimeError):
        work("reader", crash)
    work("reader", handle)
    assert handled == [(JANE, "hard"), (JOE, "hard")]
    work("reader", handle, 1)
    assert len(handled) == 2
    with redis.Redis.from_url(valkey) as store:
        assert store.xpending("bounced:events", "crm")["pending"] == 0
    names["store"].close()
