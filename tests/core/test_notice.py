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

from bounced.core import marks, pipeline, ruleset
from bounced.core.model import Reading
from bounced.core.policy import Policy

HERE = Path(__file__).parent / "notices"
MARKS = marks.load(files("bounced.core").joinpath("notices.toml").read_text("utf-8"))
KNOWLEDGE = pipeline.Knowledge(rules=ruleset.compile_rules([]), marks=MARKS)


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
