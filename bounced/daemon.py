"""The composition root: opens everything in order, waits for the end, and closes it in reverse.

    settings → keys, certificate → rules → store (an embedded one is started) → quarantine → intake → listener

SIGTERM and SIGINT drain it; SIGHUP has what can change read again (reloading.py). It runs by itself (`run`), or as
one of several workers (`work`), which workers.py has started.

Nothing here decides anything about mail.
"""

import asyncio
import ctypes
import errno
import faulthandler
import gc
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from bounced import __version__, events, knowledge, sockets
from bounced.core.rulefile import RulesError
from bounced.greeting import greet
from bounced.intake import Intake
from bounced.keeping import Keeping
from bounced.listener import Listener
from bounced.process import CannotStart, stop_on_signal
from bounced.quarantine import Quarantine
from bounced.reader import Reader
from bounced.reloading import Operation
from bounced.settings import Effective, Settings
from bounced.sockets import Listening
from bounced.store import Store, StoreUnavailable
from bounced.supervisor import DRAINING, Supervisor
from bounced.vitals import Vitals, watched
from bounced.watching import Report, Watch
from bounced.workers import Parent

# What has not come in whole within so many seconds of the signal, its sender will send again.
PATIENCE = 15.0
LARGE = 32 * 1024  # octets
YOUNG = 5_000  # objects that may come before garbage is looked for among them; CPython's own choice is 700
_MMAP_THRESHOLD = -3  # malloc.h: M_MMAP_THRESHOLD


async def run(effective: Effective, load: Callable[[], Effective], show: str) -> None:
    """Serve until SIGTERM or SIGINT. `load` reads the settings again; `show` is how to call `bounced show` here.

    Raises CannotStart.
    """
    supervisor = Supervisor.of_environment()
    stop = stop_on_signal()
    settings = effective.settings
    events.configure(settings)
    with sockets.opened(settings.smtp, loopback_only=not settings.return_path_domains) as listening:
        async with (
            Watch(settings).answering(),
            _serving(effective, load, listening, supervisor) as store,
        ):
            for one in listening:
                events.daemon_listening(str(one.endpoint), one.protocol)
            events.daemon_started(__version__, store.url)
            bound = [one.endpoint for one in listening]
            greet(settings, bound, store.url, show)
            supervisor.ready(f"Takes mail on {', '.join(map(str, bound))}, keeps what it says in {store.url}")
            events.daemon_draining(await stop)
            supervisor.stopping(DRAINING)
    events.daemon_stopped()


async def work(effective: Effective, load: Callable[[], Effective]) -> None:
    """Serve as a worker, until SIGTERM or until the parent is gone. Raises CannotStart."""
    parent = Parent.of_stdin()
    stop = stop_on_signal()
    parent.end_with(stop)
    events.configure(effective.settings)
    tell = Report(parent.told).send
    async with _serving(effective, load, parent.listening, parent, tell, counts=parent.number == 1):
        parent.ready()
        await stop


@asynccontextmanager
async def _serving(
    effective: Effective,
    load: Callable[[], Effective],
    listening: Sequence[Listening],
    supervisor: Supervisor,
    tell: Callable[[], None] = lambda: None,
    *,
    counts: bool = True,
) -> AsyncIterator[Store]:
    """Take mail; at the end take no more, and finish what was accepted. `tell` and `counts` as `watched` has them."""
    settings = effective.settings
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to read again
    faulthandler.enable()  # whoever kills us because we are stuck does it with SIGABRT, and sees where
    _allow_descriptors()
    _keep_heap_whole()
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
        keep = settings.keep
        keeping = Keeping(settings.state_dir, days=keep.days, size=keep.size) if keep.days else None
        intake = Intake(reader, store, quarantine, keeping)
        listener = Listener(intake.accept, hostname=socket.gethostname(), terms=operation.terms)
        _spare_what_stays()
        for one in listening:
            await listener.listen(one)

        def renew() -> None:
            supervisor.reloading()
            operation.renew(listener, reader)
            _spare_what_stays()
            supervisor.ready()

        loop.add_signal_handler(signal.SIGHUP, renew)
        informing = asyncio.create_task(supervisor.keep_informed())
        vitals = Vitals(store, lambda: not listener.is_draining, lambda: len(listener.sessions))
        async with watched(vitals, tell, counts=counts):
            yield store
            await listener.drain(PATIENCE)
        reader.close()
        informing.cancel()


def _allow_descriptors() -> None:
    """Ask for all file descriptors that this process may have: each connection needs one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # a sandbox may forbid to ask
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _keep_heap_whole() -> None:
    """Have LARGE pieces of memory taken from the system and given back to it, instead of cut from the heap.

    As soon as one is freed, glibc takes all of that size from the heap, up to 32 MiB (mallopt(3)): messages lie between
    what stays, and what they leave is too small for the next. Other C libraries have no such switch.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, LARGE)


def _spare_what_stays() -> None:
    """Have the search for cyclic garbage leave out what there is by now: 30 ms each time, and nobody is answered.

    And have it begin seldom: what it finds young is mostly mail on its way, which is no garbage.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)


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


@asynccontextmanager
async def _opened_store(settings: Settings) -> AsyncIterator[Store]:
    try:
        store = await Store.open(
            settings.redis.url,
            settings.redis.prefix,
            settings.decisions(),
            settings.state_dir,
            settings.redis.key_form,
            settings=settings.redis,
        )
    except StoreUnavailable as error:
        raise CannotStart(f"the store does not start: {error.cause}", status=69) from error
    watch = asyncio.create_task(store.watch(events.store_warning))
    try:
        await store.ping()
    except StoreUnavailable as error:  # mail that comes before it is back gets 451
        events.store_unavailable(error.cause)
    try:
        yield store
    finally:
        watch.cancel()
        await asyncio.wait({watch})  # it may be starting a server
        await store.close()
