"""Everything that the daemon notes: one function an event, with fields that stay as they are.

Here an event becomes a line of the log, a number of the metrics and what the alarms watch; no other file knows of
these. Names and fields are an interface, listed in docs/log-events.md. A log that cannot be written turns no mail
away: what was recorded is recorded.

    forms.py       how a line looks
    addresses.py   how addresses of people stand in it
    repetition.py  which lines are left out when too many are alike
    writer.py      how lines get out, off the event loop
"""

import atexit
import sys
import time
import traceback
from collections import deque
from collections.abc import Hashable
from typing import Any, BinaryIO
from zlib import crc32

import structlog

from bounced import metrics
from bounced.alarms import Alarm, Failure
from bounced.core.model import Kind, Reading, Verdict
from bounced.core.policy import Outcome, Result, State
from bounced.events import forms
from bounced.events.addresses import Concealer, key_of
from bounced.events.repetition import Damper
from bounced.events.writer import Writer
from bounced.metrics import Tally
from bounced.providers import provider_of
from bounced.settings import Addresses, Settings

_log: Any = structlog.get_logger()  # `configure` binds it
_damper = Damper()

# What this process has counted, and the failures that the alarms have not taken yet.
tally = Tally()
failures: deque[Failure] = deque(maxlen=100_000)

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


def worker_started(worker: int, pid: int) -> None:
    """Note that a worker takes mail: at the start, or in place of one that has died."""
    _log.info("worker.started", worker=worker, pid=pid)


def worker_stuck(worker: int, pid: int, silent: float) -> None:
    """Note that a worker has given no sign of life for so many seconds, and is killed for it."""
    _log.error("worker.stuck", worker=worker, pid=pid, silent=silent)


def worker_died(worker: int, pid: int | None, how: str, age: float, again_in: float) -> None:
    """Note the end of a worker that nobody has asked for: `age` and `again_in` are seconds."""
    _log.error("worker.died", worker=worker, pid=pid, how=how, age=age, again_in=again_in)


def metrics_listening(address: str) -> None:
    """Note where /metrics, /healthz and /readyz are answered."""
    _log.info("metrics.listening", address=address)


def metrics_unavailable(address: str, cause: str) -> None:
    """Note that they are not answered there; mail is taken all the same."""
    _log.error("metrics.unavailable", address=address, cause=cause)


# What a returned mail says, one event a recipient


def bounce_recorded(facts: Facts, reading: Reading, verdict: Verdict, outcome: Outcome) -> None:
    """Note a failure that was written to the recipient's record, counted or only noted."""
    domain = verdict.recipient.rpartition("@")[2]
    provider = provider_of(domain, verdict.remote_mta)
    category = verdict.category
    tally.count(metrics.RECIPIENTS, outcome.result)
    tally.count(metrics.FAILURES, category, verdict.severity, provider)
    if outcome.after is State.HARD and outcome.before is not State.HARD:
        tally.count(metrics.SUPPRESSIONS, category, provider)
    if outcome.result is Result.NEW:
        address = crc32(verdict.recipient.encode("utf-8", "surrogatepass"))
        failures.append(Failure(address, domain, provider, category))
    _log.info("bounce.recorded", **_failure(facts, reading, verdict, outcome))


def bounce_duplicate(facts: Facts, reading: Reading, verdict: Verdict, outcome: Outcome) -> None:
    """Note a failure that had been recorded before: nothing changed."""
    tally.count(metrics.RECIPIENTS, outcome.result)
    _log.info("bounce.duplicate", **_failure(facts, reading, verdict, outcome))


def bounce_delayed(facts: Facts, reading: Reading, verdict: Verdict) -> None:
    """Note a message that is still being tried: nothing is counted."""
    tally.count(metrics.RECIPIENTS, "delayed")
    _log.info("bounce.delayed", **_report(facts, reading, verdict))


def bounce_delivered(facts: Facts, reading: Reading, verdict: Verdict, outcome: Outcome | None) -> None:
    """Note a message that got through; only delivered, not relayed or expanded, breaks the row."""
    tally.count(metrics.RECIPIENTS, "delivered")
    soft = None if outcome is None else outcome.soft
    result = None if outcome is None else outcome.result
    _log.info("bounce.delivered", **_report(facts, reading, verdict), soft=soft, result=result)


def bounce_ignored(facts: Facts, reading: Reading) -> None:
    """Note a message of a kind that changes nothing: an autoreply or an abuse complaint."""
    recipients = [verdict.recipient for verdict in reading.verdicts]
    _log.info("bounce.ignored", kind=reading.report.kind, recipients=recipients, **facts)


def bounce_unrecognised(facts: Facts, reason: str, file: str) -> None:
    """Note mail that could not be read, now in quarantine in `file`."""
    tally.count(metrics.UNRECOGNISED, reason)
    _log.warning("bounce.unrecognised", reason=reason, file=file, **facts)


def bounce_forged(peer: str, recipient: str, reason: str, *, refused: bool, network: Hashable = None) -> None:
    """Note a return path that proves nothing, refused or only marked. `network`: which peers count as one."""
    tally.count(metrics.FORGED, str(refused).lower())
    unlogged = _repeated("bounce.forged", network)
    if unlogged is not None:
        _log.warning(
            "bounce.forged",
            peer=peer,
            return_path=recipient,
            reason=reason,
            refused=refused,
            unlogged=unlogged,
        )


def postmaster_kept(facts: Facts, file: str) -> None:
    """Note mail for the postmaster or abuse mailbox, now in `file` for a person."""
    tally.count(metrics.POSTMASTER)
    _log.info("postmaster.kept", file=file, **facts)


# What is only counted: a line for each would say nothing that another does not


def report_read(kind: Kind, *, read: float, store: float | None, whole: float) -> None:
    """Count a message that was read, with the seconds that its stages took; `store` None: nothing was written."""
    tally.count(metrics.REPORTS, kind)
    if kind is Kind.BOUNCE:
        tally.set(metrics.LAST_BOUNCE, time.time())
    tally.time(metrics.STAGE, read, "read")
    if store is not None:
        tally.time(metrics.STAGE, store, "store")
    tally.time(metrics.STAGE, whole, "whole")


def connection_opened() -> None:
    """Count a connection, whatever becomes of it."""
    tally.count(metrics.CONNECTIONS)


def batch_committed(changes: int, seconds: float) -> None:
    """Count a batch that the store was given, and how long it took."""
    tally.count(metrics.STORE_CHANGES, by=changes)
    tally.time(metrics.STORE_BATCH, seconds)


# What went wrong


def smtp_refused(peer: str, reply: str, network: Hashable = None) -> None:
    """Note a command or connection that was refused. `network`: which peers count as one."""
    code = reply[:3]
    tally.count(metrics.REFUSED, code if code.isdecimal() else "none")
    unlogged = _repeated("smtp.refused", network)
    if unlogged is not None:
        _log.info("smtp.refused", peer=peer, reply=reply, unlogged=unlogged)


def descriptors_exhausted(cause: str) -> None:
    """Note that there is no file descriptor left for another connection; it waits."""
    _log.error("descriptors.exhausted", cause=cause)


def store_unavailable(cause: str, peer: str = "") -> None:
    """Note that the store did not confirm; the peer was told to try again."""
    if peer:
        tally.count(metrics.STORE_UNAVAILABLE)
    unlogged = _repeated("store.unavailable")
    if unlogged is not None:
        _log.error("store.unavailable", cause=cause, peer=peer, unlogged=unlogged)


def quarantine_dropped(reason: str, messages: int, octets: int) -> None:
    """Note that the oldest mail in quarantine made room."""
    tally.count(metrics.QUARANTINE_DROPPED, reason, by=messages)
    _log.warning("quarantine.dropped", reason=reason, messages=messages, octets=octets)


def store_warning(problem: str) -> None:
    """Note what is wrong with the store's configuration, or why an embedded one does not start again."""
    _log.warning("store.warning", problem=problem)


def quarantine_failed(cause: str, peer: str) -> None:
    """Note mail that could not be put into quarantine; the peer was told to try again."""
    tally.count(metrics.QUARANTINE_FAILED)
    unlogged = _repeated("quarantine.failed")
    if unlogged is not None:
        _log.error("quarantine.failed", cause=cause, peer=peer, unlogged=unlogged)


def keep_failed(cause: str) -> None:
    """Note that a report could not be kept for bounced replay; it was recorded all the same."""
    unlogged = _repeated("keep.failed")
    if unlogged is not None:
        _log.warning("keep.failed", cause=cause, unlogged=unlogged)


def internal_error(peer: str, error: BaseException) -> None:
    """Note a fault of ours; the peer was told to try again."""
    tally.count(metrics.INTERNAL_ERRORS)
    name = type(error).__name__
    unlogged = _repeated("internal.error", name)
    if unlogged is not None:
        where = traceback.extract_tb(error.__traceback__)[-4:]
        trace = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in where]
        _log.error("internal.error", error=name, detail=str(error), trace=trace, peer=peer, unlogged=unlogged)


# Alarms


def alarm_raised(alarm: Alarm, advice: str) -> None:
    """Note that something is going on that a person should look at."""
    _log.warning("alarm.raised", **_alarm(alarm), advice=advice)


def alarm_cleared(alarm: Alarm, lasted: float) -> None:
    """Note that it is over, after so many seconds."""
    _log.info("alarm.cleared", **_alarm(alarm), lasted=round(lasted))


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


def _alarm(alarm: Alarm) -> dict[str, Any]:
    return {
        "alarm": alarm.name,
        "provider": alarm.provider or None,
        "domain": alarm.domain or None,
        "category": alarm.category or None,
        "recipients": alarm.recipients,
        "failures": alarm.failures,
        "usual": round(alarm.usual, 1),
    }


# Where lines go


def _repeated(event: str, who: Hashable = None) -> int | None:
    """How many lines like this one were left out in the minute before; None: this one is left out too."""
    unlogged = _damper.line(event, who, time.monotonic())
    if unlogged is None:
        tally.count(metrics.LOG_REPEATED, event)
    return unlogged


class _Lines:
    """Takes finished lines; structlog calls it by the name of the level."""

    def __init__(self, writer: Writer) -> None:
        self.info = self.warning = self.error = writer.put


def configure(settings: Settings | None = None, stream: BinaryIO | None = None) -> Writer:
    """Log to `stream`, stdout if None, in the form that `settings.log` asks for. `close` ends it, and so does exit.

    Raises OSError when addresses are not to be logged and the key that hides them cannot be read or made.
    """
    global _log  # noqa: PLW0603 - bound once, not for each line
    settings = settings or Settings()
    stream = sys.stdout.buffer if stream is None else stream
    processors: list[Any] = [forms.renderer(settings.log.format, at_terminal=stream.isatty())]
    if settings.log.addresses is not Addresses.PLAIN:
        concealer = Concealer(settings.log.addresses, key_of(settings.state_dir))

        def conceal(_logger: object, _level: str, event: dict[str, Any]) -> dict[str, Any]:
            concealer.conceal(event)
            return event

        processors.insert(0, conceal)

    def dropped(lines: int) -> None:
        tally.count(metrics.LOG_DROPPED, by=lines)

    def told(lines: int) -> bytes:
        line: bytes = processors[-1](None, "warning", {"event": "log.dropped", "lines": lines})
        return line

    writer = Writer(stream, dropped, told)
    atexit.register(_close, writer)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=lambda *_: _Lines(writer),
    )
    _log = structlog.get_logger().bind()
    return writer


def _close(writer: Writer) -> None:
    if lines := writer.close():
        sys.stderr.write(f"bounced: {lines} lines of the log were not taken: whoever reads it stands still\n")
