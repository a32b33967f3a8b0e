"""Every line that the daemon logs: one function an event, with fields that stay as they are.

Names and fields are an interface, listed in docs/log-events.md. Values that come from outside are cut to
`LENGTH` characters and cannot move a terminal or break a line. A log that cannot be written turns no mail
away: what was recorded is recorded.
"""

import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, BinaryIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor

from bounced.core.model import Reading, Verdict
from bounced.core.policy import Outcome
from bounced.core.printable import printable

LENGTH = 512

# What JSON leaves as it is and a terminal obeys: C1 controls, line separators, changes of direction.
_UNSAFE_UTF8 = re.compile(rb"\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\x7f")
_encode = msgspec.json.Encoder(enc_hook=str).encode
_log: Any = structlog.get_logger()

Facts = dict[str, Any]  # of the message: peer, took_ms, proven

# The daemon's life


def daemon_listening(address: str, protocol: str = "smtp") -> None:
    """Note that connections are taken at `address`, of "smtp" or "lmtp"."""
    _log.info("daemon.listening", address=address, protocol=protocol)


def daemon_started(version: str, store: str) -> None:
    """Note that all is open. `store` is the store's URL without secrets."""
    _log.info("daemon.started", version=version, store=store)


def daemon_reloaded(what: str, needs_restart: list[str] | None = None) -> None:
    """Note that "settings", "rules", "keys" or "certificate" were read again; which settings wait for a restart."""
    _log.info("daemon.reloaded", what=what, needs_restart=needs_restart or [])


def reload_failed(what: str, cause: str) -> None:
    """Note that one of these could not be read; what was known before still holds."""
    _log.error("reload.failed", what=what, cause=cause)


def daemon_draining(signal: str) -> None:
    """Note a signal that asked for the end; no new mail is taken."""
    _log.info("daemon.draining", signal=signal)


def daemon_stopped() -> None:
    """Note that all that was accepted is done."""
    _log.info("daemon.stopped")


# What a returned mail says, one event a recipient


def bounce_recorded(facts: Facts, reading: Reading, verdict: Verdict, outcome: Outcome) -> None:
    """Note a failure that was written to the recipient's record, counted or only noted."""
    _log.info("bounce.recorded", **_failure(facts, reading, verdict, outcome))


def bounce_duplicate(facts: Facts, reading: Reading, verdict: Verdict, outcome: Outcome) -> None:
    """Note a failure that had been recorded before: nothing changed."""
    _log.info("bounce.duplicate", **_failure(facts, reading, verdict, outcome))


def bounce_delayed(facts: Facts, reading: Reading, verdict: Verdict) -> None:
    """Note a message that is still being tried: nothing is counted."""
    _log.info("bounce.delayed", **_report(facts, reading, verdict))


def bounce_delivered(facts: Facts, reading: Reading, verdict: Verdict, outcome: Outcome | None) -> None:
    """Note a message that got through; only delivered, not relayed or expanded, breaks the row."""
    soft = None if outcome is None else outcome.soft
    result = None if outcome is None else outcome.result
    _log.info("bounce.delivered", **_report(facts, reading, verdict), soft=soft, result=result)


def bounce_ignored(facts: Facts, reading: Reading) -> None:
    """Note a message of a kind that changes nothing: an autoreply or an abuse complaint."""
    recipients = [verdict.recipient for verdict in reading.verdicts]
    _log.info("bounce.ignored", kind=reading.report.kind, recipients=recipients, **facts)


def bounce_unrecognised(facts: Facts, reason: str, file: str) -> None:
    """Note mail that could not be read, now in quarantine in `file`."""
    _log.warning("bounce.unrecognised", reason=reason, file=file, **facts)


def bounce_forged(peer: str, recipient: str, reason: str, unlogged: int, *, refused: bool) -> None:
    """Note a return path that proves nothing, refused or only marked."""
    _log.warning(
        "bounce.forged", peer=peer, return_path=recipient, reason=reason, refused=refused, unlogged=unlogged
    )


def postmaster_kept(facts: Facts, file: str) -> None:
    """Note mail for the postmaster or abuse mailbox, now in `file` for a person."""
    _log.info("postmaster.kept", file=file, **facts)


# What went wrong


def smtp_refused(peer: str, reply: str, unlogged: int = 0) -> None:
    """Note a command or connection that was refused; `unlogged`: of that network, in the minute before."""
    _log.info("smtp.refused", peer=peer, reply=reply, unlogged=unlogged)


def descriptors_exhausted(cause: str) -> None:
    """Note that there is no file descriptor left for another connection; it waits."""
    _log.error("descriptors.exhausted", cause=cause)


def store_unavailable(cause: str, peer: str = "") -> None:
    """Note that the store did not confirm; the peer was told to try again."""
    _log.error("store.unavailable", cause=cause, peer=peer)


def quarantine_dropped(reason: str, messages: int, octets: int) -> None:
    """Note that the oldest mail in quarantine made room."""
    _log.warning("quarantine.dropped", reason=reason, messages=messages, octets=octets)


def store_warning(problem: str) -> None:
    """Note what is wrong with the store's configuration, or why an embedded one does not start again."""
    _log.warning("store.warning", problem=problem)


def quarantine_failed(cause: str, peer: str) -> None:
    """Note mail that could not be put into quarantine; the peer was told to try again."""
    _log.error("quarantine.failed", cause=cause, peer=peer)


def internal_error(peer: str, error: BaseException) -> None:
    """Note a fault of ours; the peer was told to try again."""
    where = traceback.extract_tb(error.__traceback__)[-4:]
    trace = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in where]
    _log.error("internal.error", error=type(error).__name__, detail=str(error), trace=trace, peer=peer)


# Fields


def _report(facts: Facts, reading: Reading, verdict: Verdict) -> dict[str, Any]:
    return {
        "recipient": verdict.recipient,
        "final_recipient": verdict.final_recipient,
        "action": verdict.action,
        "category": verdict.category,
        "severity": verdict.severity,
        "status": verdict.status,
        "diagnostic": verdict.diagnostic,
        "rule": verdict.rule,
        "message_identity": reading.identity,
        "reporting_mta": reading.report.reporting_mta,
        "remote_mta": verdict.remote_mta,
        **facts,
    }


def _failure(facts: Facts, reading: Reading, verdict: Verdict, outcome: Outcome) -> dict[str, Any]:
    fields = _report(facts, reading, verdict)
    fields["soft"] = outcome.soft
    fields["hard_until"] = outcome.hard_until
    fields["result"] = outcome.result
    return fields


# The form of a line


class _Lines:
    """Writes finished lines; structlog calls it by the name of the level."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, line: bytes) -> None:
        try:
            self._stream.write(line + b"\n")
            self._stream.flush()
        except OSError:
            pass  # nobody reads the log, or its disk is full; the mail goes on

    info = warning = error = write


def configure(stream: BinaryIO | None = None) -> None:
    """Log to `stream`, stdout if None: in colour for a person at a terminal, else as JSON lines."""
    stream = sys.stdout.buffer if stream is None else stream
    structlog.configure(
        processors=[_for_terminal() if stream.isatty() else _as_json],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=True,
    )


def _as_json(_logger: object, level: str, event: EventDict) -> bytes:
    line = {"time": _now(), "level": level, "event": event.pop("event")}
    for name, value in event.items():
        line[name] = _cut(value)
    try:
        encoded = _encode(line)
    except UnicodeEncodeError:  # a lone surrogate: octets that were no UTF-8
        encoded = _encode({name: _printable(value) for name, value in line.items()})
    return _UNSAFE_UTF8.sub(_escape, encoded)


def _escape(unsafe: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(unsafe[0].decode())


def _for_terminal() -> Processor:
    render = structlog.dev.ConsoleRenderer()

    def processor(logger: object, level: str, event: EventDict) -> bytes:
        shown = {name: _printable(_cut(value)) for name, value in event.items() if value not in (None, "")}
        line = render(logger, level, {"timestamp": _now(), "level": level, **shown})
        return str(line).encode()

    return processor


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _cut(value: object) -> object:
    if isinstance(value, str):
        return value if len(value) <= LENGTH else value[: LENGTH - 1] + "…"
    return [_cut(item) for item in value[:LENGTH]] if isinstance(value, list) else value


def _printable(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    return [_printable(item) for item in value] if isinstance(value, list) else value
