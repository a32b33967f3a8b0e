"""Several workers that share the port, and the parent that keeps them: workers = N.

The parent opens the sockets and starts each worker, `bounced serve --worker`, with one channel as its standard
input. Through it the worker gets the sockets, and tells the parent how it is as a daemon tells systemd
(supervisor.py): ready, reloading, alive. It ends when its parent does, however that ends. Workers know nothing of
each other and share nothing but the sockets and the store; what comes to a port goes to the one that is free first.

A worker that dies is replaced. One that is stuck is killed first: its mail, not confirmed, comes again.

    SIGTERM, SIGINT  to all workers: each takes no more and finishes what it has accepted
    SIGHUP           to one worker after the other, so that there is always one that takes mail
"""

import asyncio
import os
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from bounced import __version__, events, sockets
from bounced.greeting import greet
from bounced.process import CannotStart, stop_on_signal
from bounced.settings import Settings
from bounced.settings.places import Place
from bounced.sockets import Listening
from bounced.supervisor import DRAINING, Supervisor
from bounced.watching import PACKET, Watch

BEAT = 1.0  # seconds between two signs of life
# A worker that gave no sign for so many seconds is stuck. What is known to keep it busy takes a tenth of one.
DEADLINE = 10.0
# The same while it starts, or reads its settings and rules again.
START_DEADLINE = 60.0
# A traceback of where it is stuck takes no longer; SIGKILL follows.
ABORT_SECONDS = 1.0
# Until a worker that has died is replaced: the first, doubled each time up to the last, and the first again for
# one that had worked for STEADY seconds.
FIRST_DELAY, LAST_DELAY, STEADY = 0.1, 30.0, 60.0
# What a worker may need to finish: 15 s for mail that is coming in, and what the store takes.
STOP_SECONDS = 30.0


class Parent(Supervisor):
    """The parent, as its worker sees it."""

    def __init__(
        self, channel: socket.socket, number: int, listening: Sequence[Listening], told: socket.socket
    ) -> None:
        super().__init__(channel, BEAT)
        self.number = number  # which of the workers we are
        self.listening = listening
        self.told = told  # what watching.py has to tell goes here
        self._socket = channel

    @classmethod
    def of_stdin(cls) -> Self:
        """Return the parent at the other end of standard input, which is empty from now on."""
        channel = socket.socket(fileno=os.dup(0))
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is all that is wanted
            os.dup2(nothing.fileno(), 0)
        words, descriptors, _, _ = socket.recv_fds(channel, 4096, 253)
        channel.settimeout(0)  # a parent that is stopped must not stop us
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - its only parameter
        number, *protocols = words.decode().split()
        *descriptors, told = descriptors
        listening = [
            Listening(socket.socket(fileno=descriptor), protocol == "lmtp")
            for descriptor, protocol in zip(descriptors, protocols, strict=True)
        ]
        return cls(channel, int(number), listening, socket.socket(fileno=told))

    def end_with(self, stop: asyncio.Future[str]) -> None:
        """Complete `stop` when the parent is gone; end on the spot if it had asked for the end before."""

        def gone() -> None:
            asyncio.get_running_loop().remove_reader(self._socket)
            if stop.done():
                os._exit(1)
            stop.set_result("")

        asyncio.get_running_loop().add_reader(self._socket, gone)


class Worker:
    """One worker, as its parent sees it."""

    def __init__(
        self, number: int, process: Process, channel: socket.socket, told: socket.socket, watch: Watch
    ) -> None:
        self.number = number
        self.pid = process.pid
        self.ready = asyncio.Event()
        self.was_ready = False
        self._process = process
        self._channel = channel
        self._told = told
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._started = self._heard = self._loop.time()
        self._aborted = False
        # Its exit status, or minus the signal that killed it.
        self.ended = asyncio.create_task(self._end())
        self._loop.add_reader(channel, self._hear)
        self._loop.add_reader(told, self._take)

    @classmethod
    async def start(
        cls, number: int, command: Sequence[str], listening: Sequence[Listening], watch: Watch
    ) -> Self:
        """Start one. Raises OSError when the machine has no room for it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        told, tells = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, tells:
            ours.settimeout(0)
            told.settimeout(0)
            try:
                words = " ".join([str(number), *(one.protocol for one in listening)])
                descriptors = [*(one.socket.fileno() for one in listening), tells.fileno()]
                socket.send_fds(ours, [words.encode()], descriptors)
                process = await asyncio.create_subprocess_exec(*command, stdin=theirs.fileno())
            except BaseException:
                ours.close()
                told.close()
                raise
        return cls(number, process, ours, told, watch)

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return self._loop.time() - self._started

    @property
    def silent(self) -> float:
        """Seconds since its last sign of life."""
        return self._loop.time() - self._heard

    @property
    def is_stuck(self) -> bool:
        """Whether it must be taken for dead."""
        return self.silent > (DEADLINE if self.ready.is_set() else START_DEADLINE)

    def forgive(self) -> None:
        """Count its silence from now: it was we who did not listen."""
        self._heard = self._loop.time()

    async def becomes_ready(self) -> bool:
        """Wait until it is ready, or will not be any more: it has ended, or is stuck and will be killed for that."""
        ready = asyncio.create_task(self.ready.wait())
        happened: set[asyncio.Future[Any]] = {ready, self.ended}
        await asyncio.wait(happened, timeout=START_DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        return self.ready.is_set() and not self.ended.done()

    def reload(self) -> None:
        """Have it read its settings again; it is ready when it has."""
        self.ready.clear()
        self.signal(signal.SIGHUP)

    def kill(self) -> None:
        """End it, and let it say where it hangs, if it can. Doing so again does nothing."""
        if not self._aborted:
            self._aborted = True
            events.worker_stuck(self.number, self.pid, round(self.silent, 1))
            self.signal(signal.SIGABRT)
            self._loop.call_later(ABORT_SECONDS, self.signal, signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _end(self) -> int:
        status = await self._process.wait()
        self._loop.remove_reader(self._channel)
        self._channel.close()
        self._take()
        self._loop.remove_reader(self._told)
        self._told.close()
        self._watch.forget(self.number)
        return status

    def _take(self) -> None:
        """Take what it tells of its counts, all that has come."""
        with suppress(OSError):
            while packet := self._told.recv(PACKET):
                self._watch.hear(self.number, packet)
            self._loop.remove_reader(self._told)

    def _hear(self) -> None:
        try:
            words = self._channel.recv(4096)
        except OSError:  # it has died with something unread
            words = b""
        if not words:
            self._loop.remove_reader(self._channel)
            return
        self._heard = self._loop.time()
        if b"READY=1" in words:
            if not self.was_ready:
                events.worker_started(self.number, self.pid)
            self.was_ready = True
            self.ready.set()


class Workers:
    """All of them."""

    def __init__(
        self,
        count: int,
        command: Sequence[str],
        listening: Sequence[Listening],
        stop: asyncio.Future[str],
        watch: Watch,
    ) -> None:
        """Each is started with `command`; none is any more when `stop` is complete."""
        self._numbers = range(1, count + 1)
        self._command = command
        self._listening = listening
        self._stop = stop
        self._watch = watch
        self._workers: dict[int, Worker] = {}
        self._keeping: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the first, as what keeps it from starting keeps all; then the others. Raises CannotStart."""
        first = await self._start(1)
        ready = asyncio.create_task(first.ready.wait())
        happened: set[asyncio.Future[Any]] = {ready, first.ended, self._stop}
        await asyncio.wait(happened, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if first.ended.done() and not self._stop.done():
            status = first.ended.result()
            # One that ends by itself has said why.
            words = f"a worker cannot start: {_how(status)}" if status < 0 else ""
            raise CannotStart(words, status=max(status, 1))
        self._keeping = [asyncio.create_task(self._keep(number)) for number in self._numbers]

    async def reload(self) -> None:
        """Have one after the other read its settings again."""
        for number in self._numbers:
            worker = self._workers.get(number)
            # One that is starting may have read them already; one that has ended is replaced by one that reads them.
            if worker is not None and await worker.becomes_ready():
                worker.reload()
                await worker.becomes_ready()

    async def watch(self) -> None:
        """Kill what is stuck, for ever. Run it as a task."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(BEAT)
            late = loop.time() - before > 2 * BEAT  # the machine was stopped, or we were
            for worker in self._workers.values():
                if late:
                    worker.forgive()
                elif worker.is_stuck:
                    worker.kill()

    def are_well(self) -> bool:
        """Whether any of them takes mail."""
        return any(worker.ready.is_set() and not worker.is_stuck for worker in self._workers.values())

    async def drain(self) -> None:
        """Have all finish what they have accepted, and wait for it. `stop` is complete."""
        for worker in self._workers.values():
            worker.signal(signal.SIGTERM)
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=STOP_SECONDS)
        for worker in self._workers.values():
            worker.signal(signal.SIGKILL)
        await asyncio.gather(*self._keeping)

    async def _start(self, number: int) -> Worker:
        worker = await Worker.start(number, self._command, self._listening, self._watch)
        self._workers[number] = worker
        if self._stop.done():
            worker.signal(signal.SIGTERM)
        return worker

    async def _keep(self, number: int) -> None:
        """Have a worker of this number, until the end."""
        delay = 0.0
        while number in self._workers or not self._stop.done():  # the end may come while the first starts
            pid, age = None, 0.0
            try:
                worker = self._workers.get(number) or await self._start(number)
                how = _how(await worker.ended)
                pid, age = worker.pid, worker.age
            except OSError as error:
                how = f"cannot be started: {error.strerror}"
            self._workers.pop(number, None)
            if not self._stop.done():
                delay = FIRST_DELAY if age > STEADY else min(2 * delay, LAST_DELAY) or FIRST_DELAY
                events.worker_died(number, pid, how, round(age, 1), delay)
                await asyncio.wait({self._stop}, timeout=delay)


async def run(settings: Settings, command: Sequence[str], show: str) -> None:
    """Serve with settings.workers workers until SIGTERM or SIGINT.

    `command` starts a worker; `show` is how to call `bounced show` here. Raises CannotStart.
    """
    supervisor = Supervisor.of_environment()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is somebody to pass it to
    stop = stop_on_signal()
    events.configure(settings)
    watch = Watch(settings)
    with sockets.opened(settings.smtp, loopback_only=not settings.return_path_domains) as listening:
        async with watch.answering(), _store(settings) as store:
            workers = Workers(settings.workers, command, listening, stop, watch)
            await workers.start()
            bound = [one.endpoint for one in listening]
            for one in listening:
                events.daemon_listening(str(one.endpoint), one.protocol)
            events.daemon_started(__version__, store)
            greet(settings, bound, store, show)
            beside = [
                asyncio.create_task(task)
                for task in (
                    workers.watch(),
                    supervisor.keep_informed(workers.are_well),
                    _reload_on_signal(workers, supervisor),
                )
            ]
            supervisor.ready(
                f"{settings.workers} workers take mail on {', '.join(map(str, bound))}, keep what it says in {store}"
            )
            events.daemon_draining(await stop)
            supervisor.stopping(DRAINING)
            for one in listening:
                one.socket.close()
            await workers.drain()
            for task in beside:
                task.cancel()
    events.daemon_stopped()


async def _reload_on_signal(workers: Workers, supervisor: Supervisor) -> None:
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    while True:
        await asked.wait()
        asked.clear()
        supervisor.reloading()
        await workers.reload()
        supervisor.ready()


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[str]:
    """Use the embedded store as long as any worker may, so that none starts and stops it; yield where it is."""
    if settings.redis.url != "embedded":
        yield Place.parse(settings.redis.url).shown
        return
    from bounced.store import StoreUnavailable  # noqa: PLC0415 - the client of Redis takes memory
    from bounced.store.embedded import Embedded  # noqa: PLC0415

    try:
        embedded = await Embedded.enter(settings.state_dir)
    except StoreUnavailable as error:
        raise CannotStart(f"the store does not start: {error.cause}", status=69) from error
    try:
        yield embedded.url
    finally:
        await embedded.leave()


def _how(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
