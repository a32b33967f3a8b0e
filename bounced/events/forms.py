"""The form of a line: JSON for programs, colour for people, ECS for those who keep logs in Elasticsearch.

Values from outside are cut to LENGTH characters, and nothing in them can end a line or move a terminal. No line is
longer than LINE octets: where many values are long, all are cut shorter.
"""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from structlog.typing import EventDict

from bounced import __version__
from bounced.core.printable import printable
from bounced.events.writer import LINE
from bounced.settings import LogForm

LENGTH = 512  # characters of one value
ITEMS = 100  # of a list

# What JSON leaves as it is and a terminal obeys: C1 controls, line separators, changes of direction.
_UNSAFE_UTF8 = re.compile(rb"\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\x7f")
_encode = msgspec.json.Encoder(enc_hook=str).encode

Render = Callable[[object, str, EventDict], bytes]


def renderer(form: LogForm, *, at_terminal: bool) -> Render:
    """Return what makes a line, its newline included, of an event; structlog calls it."""
    if form is LogForm.ECS:
        return as_ecs
    if form is LogForm.CONSOLE or (form is LogForm.AUTO and at_terminal):
        return _for_people(colours=at_terminal)
    return as_json


def as_json(_logger: object, level: str, event: EventDict) -> bytes:
    """One object: time, level, event, and the event's fields."""
    return _line({"time": _now(), "level": level, "event": event.pop("event"), **event})


def _line(fields: dict[str, Any]) -> bytes:
    is_long = max(map(len, map(str, fields.values()))) > LENGTH
    encoded = _shortened(fields, LENGTH) if is_long else _encoded(fields)
    length = LENGTH
    while len(encoded) >= LINE:
        length //= 2
        encoded = _shortened(fields, length)
    return encoded + b"\n"


def _encoded(fields: dict[str, Any]) -> bytes:
    try:
        encoded = _encode(fields)
    except UnicodeEncodeError:  # a lone surrogate: octets that were no UTF-8
        encoded = _encode({name: _printable(value) for name, value in fields.items()})
    if encoded.isascii() and b"\x7f" not in encoded:
        return encoded
    return _UNSAFE_UTF8.sub(_escape, encoded)


def _shortened(fields: dict[str, Any], length: int) -> bytes:
    return _encoded({name: _cut(value, length) for name, value in fields.items()})


def _escape(unsafe: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(unsafe[0].decode())


def _for_people(*, colours: bool) -> Render:
    render = structlog.dev.ConsoleRenderer(colors=colours)

    def processor(logger: object, level: str, event: EventDict) -> bytes:
        length, line = LENGTH, b""
        while not line or len(line) > LINE:
            shown = {
                name: _printable(_cut(value, length))
                for name, value in event.items()
                if value not in (None, "", [])
            }
            line = f"{render(logger, level, {'timestamp': _now(), 'level': level, **shown})}\n".encode()
            length //= 2
        return line

    return processor


_second, _prefix = 0, ""


def _now() -> str:
    """Return the time, as RFC 3339 writes it, to the millisecond."""
    global _second, _prefix  # noqa: PLW0603 - most lines share their second with the one before
    now = time.time()
    second = int(now)
    if second != _second:
        _prefix = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        _second = second
    return f"{_prefix}.{int((now - second) * 1000):03d}+00:00"


def _cut(value: object, length: int) -> object:
    if isinstance(value, str):
        return value if len(value) <= length else value[: length - 1] + "…"
    if isinstance(value, list):
        return [_cut(item, length) for item in value[: min(ITEMS, length)]]
    return value


def _printable(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    return [_printable(item) for item in value] if isinstance(value, list) else value


# The Elastic Common Schema, https://www.elastic.co/guide/en/ecs/8.11/

ECS_VERSION = "8.11"
# Our field: theirs. All others are below "bounced.".
_ECS = {
    "recipient": "email.to.address",
    "return_path": "email.to.address",
    "message_identity": "email.message_id",
    "reason": "event.reason",
    "rule": "rule.name",
    "error": "error.type",
    "detail": "error.message",
    "cause": "error.message",
    "trace": "error.stack_trace",
    "file": "file.path",
}
_ALERTS = frozenset({"alarm.raised", "alarm.cleared"})


def as_ecs(_logger: object, level: str, event: EventDict) -> bytes:
    """One object with the names of the Elastic Common Schema; what has none there is below "bounced."."""
    name = event.pop("event")
    fields: dict[str, Any] = {
        "@timestamp": _now(),
        "log.level": level,
        "message": name,
        "ecs.version": ECS_VERSION,
        "service.name": "bounced",
        "service.version": __version__,
        "event.dataset": "bounced.log",
        "event.kind": "alert" if name in _ALERTS else "event",
        "event.action": name,
    }
    for ours, value in event.items():
        if value is None:
            continue
        if ours == "peer":
            fields |= _source(str(value))
        elif ours == "took_ms":
            fields["event.duration"] = int(value * 1_000_000)  # nanoseconds
        elif ours == "trace":
            fields[_ECS[ours]] = "\n".join(value)
        else:
            fields[_ECS.get(ours) or f"bounced.{ours}"] = value
    return _line(fields)


def _source(peer: str) -> dict[str, Any]:
    """Take "192.0.2.1:25" or "[2001:db8::1]:25" apart; "local" has neither."""
    host, _, port = peer.rpartition(":")
    if not port.isdigit():
        return {"source.address": peer} if peer else {}
    return {"source.ip": host.strip("[]"), "source.port": int(port)}
