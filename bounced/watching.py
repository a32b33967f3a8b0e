"""What is done once a second beside the mail: tallies added up, alarms looked at, questions of /metrics answered.

A Watch is in one process, which answers for all. Where several workers take mail it is in their parent, and each of
them tells its tally (`Report`, `Watch.hear`); a daemon that runs by itself has its own. How a process that takes mail
is, it finds out itself: vitals.py.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import islice

import msgspec

from bounced import __version__, events, metrics
from bounced.alarms import ADVICE, Alarm, Alarms, Failure
from bounced.health import Answer, Endpoints
from bounced.metrics import Tally
from bounced.settings import Settings

EVERY = 1.0  # seconds
# What a worker sends goes into one packet.
PACKET = 150_000
FAILURES = 2000  # in a packet


class Watch:
    """Knows how all processes are, and answers for them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._alarms = Alarms(settings.alarms, time.time())
        self._workers: dict[int, Tally] = {}
        self._gone = Tally()  # of workers that have ended
        events.tally.set(metrics.STARTED, time.time())
        events.tally.set(metrics.BUILD, 1, __version__)

    # Workers

    def hear(self, worker: int, packet: bytes) -> None:
        """Take what a worker has sent."""
        message = _decode(packet)
        if message.tally:
            self._workers[worker] = Tally.decode(message.tally)
        self._alarms.failed(message.failures)

    def forget(self, worker: int) -> None:
        """Keep what a worker has counted that has ended; what it had is gone with it."""
        if tally := self._workers.pop(worker, None):
            self._gone.merge(tally.without_gauges())

    def tally(self) -> Tally:
        """Return what all have counted."""
        total = Tally()
        for one in (events.tally, self._gone, *self._workers.values()):
            total.merge(one)
        return total

    # Once a second

    def look(self) -> None:
        """Take the failures of this process, and note which alarms are raised or cleared."""
        while events.failures:
            self._alarms.failed([events.failures.popleft()])
        now = time.time()
        self._alarms.bounced(self.tally().gauges.get((metrics.LAST_BOUNCE.name,), 0.0))
        raised, cleared = self._alarms.look(now)
        for alarm in raised:
            events.alarm_raised(alarm, ADVICE[alarm.name])
        for alarm in cleared:
            events.alarm_cleared(alarm, now - alarm.since)
        for alarm in (*raised, *cleared):
            alike = sum(_labels(one) == _labels(alarm) for one in self._alarms.raised.values())
            events.tally.set(metrics.ALARM, alike, *_labels(alarm))

    # Questions

    async def respond(self, path: str, accept: str) -> Answer:
        """Answer /metrics, /healthz and /readyz."""
        tally = self.tally()
        if path == "/metrics":
            # In a thread, as it takes some milliseconds, in which nobody else would be served.
            return Answer(200, *await asyncio.to_thread(metrics.page, tally, accept))
        if path == "/healthz":
            return _yes_or_no(tally, metrics.PROCESSES, "alive", "no process takes mail")
        if path == "/readyz":
            return _yes_or_no(
                tally, metrics.READY, "ready", "not ready: draining, or the store does not answer"
            )
        return Answer(404, b"/metrics, /healthz or /readyz\n")

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Answer where the settings say, and look once a second."""
        endpoints = Endpoints(self.respond)
        for endpoint in self._settings.metrics.listen:
            await endpoints.listen(endpoint)
        looking = asyncio.create_task(for_ever(self.look))
        try:
            yield
        finally:
            looking.cancel()
            endpoints.close()


class _Packet(msgspec.Struct, array_like=True):
    """What a worker tells."""

    tally: bytes  # of all that it has counted since it began; b"": not in this packet
    failures: list[Failure]


_decode = msgspec.msgpack.Decoder(_Packet).decode


class Report:
    """What a worker tells its parent, through one end of a pair of sockets of type SEQPACKET."""

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)  # noqa: FBT003 - its only parameter
        self._channel = channel

    def send(self) -> None:
        """Tell what there is. What the parent does not take now it gets later."""
        self._send(msgspec.msgpack.encode(_Packet(events.tally.encode(), [])))
        most = FAILURES
        while failures := list(islice(events.failures, most)):
            packet = msgspec.msgpack.encode(_Packet(b"", failures))
            if len(packet) > PACKET:  # strangers choose the domains
                most //= 2
                continue
            if not self._send(packet):
                return
            for _ in failures:
                events.failures.popleft()

    def _send(self, packet: bytes) -> bool:
        try:
            self._channel.send(packet)
        except OSError:  # it is full, or the parent is gone
            return False
        return True


async def for_ever(step: Callable[[], None]) -> None:
    """Take a step a second. A fault in one is noted, and the next one is taken all the same."""
    while True:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - said above
            events.internal_error("", error)
        await asyncio.sleep(EVERY)


def _labels(alarm: Alarm) -> tuple[str, str]:
    return alarm.name, alarm.provider


def _yes_or_no(tally: Tally, gauge: metrics.Metric, yes: str, no: str) -> Answer:
    is_so = tally.gauges.get((gauge.name,), 0) > 0
    return Answer(200, f"{yes}\n".encode()) if is_so else Answer(503, f"{no}\n".encode())
