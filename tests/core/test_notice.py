"""Returned mail as servers write it, in our own wording, read from bytes to recipients.

`notices/*.toml` hold a family of servers each: the mail, and what must be read out of it. A diagnostic is
compared whole, so that nothing but the reason gets into it.
"""

import base64
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from bounced.core import marks, pipeline, rulefile
from bounced.core.model import Kind, Reading
from bounced.core.policy import Policy
from bounced.core.quoted import explanation_of

HERE = Path(__file__).parent / "notices"
MARKS = marks.load(files("bounced.core").joinpath("notices.toml").read_text("utf-8"))
KNOWLEDGE = pipeline.Knowledge(rules=rulefile.compile_rules([]), marks=MARKS)


def families() -> Iterator[Any]:
    for path in sorted(HERE.glob("*.toml")):
        for entry in tomllib.loads(path.read_text("utf-8"))["mail"]:
            yield pytest.param(entry, id=f"{path.stem}: {entry['name']}")


def read(entry: dict[str, Any]) -> Reading:
    header, _, body = entry["text"].lstrip("\n").partition("\n\n")
    content = body.encode(entry.get("charset", "utf-8"))
    if "content-transfer-encoding: base64" in header.lower():
        content = base64.encodebytes(content)
    return pipeline.read(f"{header}\n\n".encode() + content, KNOWLEDGE, Policy())


def notice(text: str) -> Reading:
    return read({"text": f"From: MAILER-DAEMON@relay.example.net\nSubject: failure notice\n\n{text}"})


@pytest.mark.parametrize("entry", list(families()))
def test_what_servers_write(entry):
    reading = read(entry)
    assert reading.report.kind == entry["kind"]
    if entry["kind"] in ("bounce", "delayed", "delivered"):
        found = {verdict.recipient: verdict.diagnostic or "" for verdict in reading.verdicts}
        assert found == entry.get("recipients", {})
    for name in ("remote_mta", "command", "status"):
        if name in entry:
            assert getattr(reading.report.recipients[0], name) == entry[name]


def test_a_recipient_named_very_often_is_one():
    lines = "".join(f"jane@example.org: attempt {number}\n" for number in range(50))
    (verdict,) = notice(f"Your message could not be delivered.\n{lines}").verdicts
    assert verdict.diagnostic == "attempt 0"


@pytest.mark.parametrize(
    ("address", "explained"),
    [
        ("jane@example.org", "jane@example.org: mailbox full"),
        ("joe@example.org", "joe@example.org: unknown"),
        ("jim@example.org", ""),
    ],
)
def test_what_is_said_of_one_recipient_of_several(address, explained):
    text = "failed:\n\njane@example.org:\n  mailbox full\n\njoe@example.org: unknown"
    assert explanation_of(address, text) == explained


@pytest.mark.parametrize(
    "text",
    [
        "<" * 65_536,
        "@" * 65_536,
        ":" * 65_536,
        "\n" * 65_536,
        " " * 65_536,
        "550 " * 16_384,
        "a." * 32_768,
        "jane@example.org\n" * 4_000,
        "x jane@example.org y\n" * 4_000,
        "host (generated from " * 3_000,
        "宛a" * 16_384,
    ],
    ids=lambda text: repr(text[:12]),
)
@pytest.mark.timeout(2)
def test_hostile_text_takes_linear_time(text):
    assert notice(f"Your message could not be delivered.\n\n{text}").report.kind is Kind.BOUNCE
