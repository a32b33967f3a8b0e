"""The composition root: opens everything in order, waits for a signal, and closes it in reverse.

    settings → keys, certificate → rules → store (an embedded one is started) → quarantine → intake → listener

SIGTERM and SIGINT drain it; SIGHUP has what can change read again (reloading.py).

Nothing here decides anything about mail.
"""

import asyncio
import errno
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from bounced import __version__, events, knowledge
from bounced.core.ruleset import RulesError
from bounced.intake import Intake
from bounced.listener import Listener
from bounced.listener.activation import inherited
from bounced.quarantine import Quarantine
from bounced.reader import Reader
from bounced.reloading import Operation
from bounced.settings import Effective, Endpoint, Settings
from bounced.store import Store, StoreUnavailable

# What has not come in whole within so many seconds of the signal, its sender will send again.
PATIENCE = 15.0

# A report as short as RFC 3464 lets it be, on one line between the double quotes of a Python string.
SAMPLE = (
    r"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
    r"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n"
    r"Final-Recipient: rfc822; jane@example.org\nAction: failed\nStatus: 5.1.1\n"
    r"Diagnostic-Code: smtp; 550 5.1.1 User unknown\n\n--b--\n"
)
GREETING = """\
bounced takes returned mail on {listening}
and keeps what it says in {store}

Try it from another terminal. This sends a sample bounce:

python3 -c 'import smtplib; smtplib.SMTP("{host}", {port}).sendmail("", "{bounces}", "{report}")'

and this shows what is now known of its recipient:

{show} jane@example.org
"""


class CannotStart(Exception):  # noqa: N818 - it says what is the case
    """The daemon cannot run; the words say what to do."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


async def run(effective: Effective, load: Callable[[], Effective], show: str) -> None:
    """Serve until SIGTERM or SIGINT. `load` reads the settings again; `show` is how to call `bounced show` here.

    Raises CannotStart, and StoreUnavailable when an embedded store does not start.
    """
    settings = effective.settings
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to read again
    stop = _stop_on_signal()
    events.configure()
    _allow_descriptors()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_unforeseen())
    try:
        operation = Operation(effective, load)
    except OSError as error:
        raise CannotStart(f"smtp.tls: the certificate cannot be used: {error}", status=78) from error
    try:
        reader = Reader(
            knowledge.read(settings.rules_dir),
            settings.decisions(),
            max_recipients=settings.smtp.limits.recipients,
        )
    except RulesError as error:
        raise CannotStart(f"rules_dir: {error}", status=78) from error
    async with _opened_store(settings) as store:
        kept = settings.quarantine
        quarantine = Quarantine(settings.state_dir, messages=kept.messages, size=kept.size)
        intake = Intake(reader, store, quarantine)
        listener = Listener(intake.accept, hostname=socket.gethostname(), terms=operation.terms)
        bound = await _open(listener, settings)
        loop.add_signal_handler(signal.SIGHUP, operation.renew, listener, reader)
        events.daemon_started(__version__, store.url)
        sys.stderr.write(_greeting(settings, store, bound, show))
        events.daemon_draining(await stop)
        await listener.drain(PATIENCE)
        reader.close()
    events.daemon_stopped()


def _allow_descriptors() -> None:
    """Ask for all file descriptors that this process may have: each connection needs one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # a sandbox may forbid to ask
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _unforeseen() -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """Return what the loop calls for an exception that nobody catches."""
    quiet_until = 0.0

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal quiet_until
        error = context.get("exception") or RuntimeError(context["message"])
        if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
            events.internal_error("", error)
        elif loop.time() >= quiet_until:
            # asyncio tells of each connection that it cannot accept, tries again in a second and tells again.
            quiet_until = loop.time() + 60
            events.descriptors_exhausted(str(error))

    return handle


def _stop_on_signal() -> asyncio.Future[str]:
    """Return what the first SIGTERM or SIGINT completes; a second SIGINT ends the process on the spot."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()

    def on_signal(number: signal.Signals) -> None:
        if not stop.done():
            stop.set_result(number.name)
        elif number is signal.SIGINT:
            os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop


@asynccontextmanager
async def _opened_store(settings: Settings) -> AsyncIterator[Store]:
    store = await Store.open(
        settings.redis.url,
        settings.redis.prefix,
        settings.decisions(),
        settings.state_dir,
        settings.redis.key_form,
        settings=settings.redis,
    )
    watch = asyncio.create_task(store.watch(events.store_warning))
    try:
        await store.ping()
    except StoreUnavailable as error:  # mail that comes before it is back gets 451
        events.store_unavailable(error.cause)
    try:
        yield store
    finally:
        watch.cancel()
        await store.close()


async def _open(listener: Listener, settings: Settings) -> list[Endpoint]:
    """Listen on the sockets that systemd has passed, else where the settings say; return where."""
    passed = inherited()
    bound = [await listener.adopt(one.socket, lmtp=one.lmtp) for one in passed]
    protocols = ["lmtp" if one.lmtp else "smtp" for one in passed]
    if not passed:
        wanted = [(endpoint, False) for endpoint in settings.smtp.listen]
        wanted += [(endpoint, True) for endpoint in settings.smtp.lmtp]
        bound = [await _listen(listener, endpoint, lmtp=lmtp) for endpoint, lmtp in wanted]
        protocols = ["lmtp" if lmtp else "smtp" for _, lmtp in wanted]
    for endpoint, protocol in zip(bound, protocols, strict=True):
        events.daemon_listening(str(endpoint), protocol)
    return bound


async def _listen(listener: Listener, endpoint: Endpoint, *, lmtp: bool) -> Endpoint:
    try:
        return await listener.listen(endpoint, lmtp=lmtp)
    except OSError as error:
        raise _explained(endpoint, error) from error


def _explained(endpoint: Endpoint, error: OSError) -> CannotStart:
    if error.errno == errno.EADDRINUSE:
        return CannotStart(
            f"{endpoint} is in use: stop what listens there (ss -ltnp shows it), or set smtp.listen", status=1
        )
    if error.errno == errno.EACCES:
        return CannotStart(
            f"no permission to listen on {endpoint}: ports below 1024 need CAP_NET_BIND_SERVICE "
            f"(the systemd unit gives it), or set smtp.listen",
            status=77,
        )
    return CannotStart(f"cannot listen on {endpoint}: {error.strerror or error}; see smtp.listen", status=1)


def _greeting(settings: Settings, store: Store, bound: Sequence[Endpoint], show: str) -> str:
    first = bound[0]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(first.host, first.host)  # noqa: S104 - compared, not bound
    domain = settings.return_path_domains[0] if settings.return_path_domains else "bounces.example.com"
    return GREETING.format(
        listening=", ".join(map(str, bound)),
        store=store.url,
        host=host,
        port=first.port,
        bounces=f"bounces@{domain}",
        report=SAMPLE,
        show=show,
    )
