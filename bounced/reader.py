"""Has mail read: small mail at once, large mail by a process of its own, which may be killed.

Reading costs time in proportion to a message's size, and hostile mail some times more: 250 ms for 5 MiB, in which
nobody else would be served. A process also bounds what reading may take of memory and time, and what kills it kills
only it: the mail then goes to quarantine. It ends with the daemon, whose pipe it reads from.

    at first  length (4 octets, big-endian), pickle of the operator's rules: the files may be others by now
    request   length, pickle of (content, policy, max_recipients, proof, reported_to)
    answer    length, pickle of a Reading, or of the words for what went wrong
"""

import asyncio
import contextlib
import pickle
import resource
import signal
import struct
import sys
from asyncio.subprocess import PIPE, Process
from typing import BinaryIO, cast

from bounced import knowledge
from bounced.core import pipeline
from bounced.core.model import Reading
from bounced.core.policy import Policy
from bounced.core.returnpath import Proof
from bounced.knowledge import Sources

# Mail up to this size is read at once: the worst that is known takes 85 ms of it.
LARGE = 256 * 1024
# For each large message, on a busy machine; the worst that is known needs a quarter of a second.
SECONDS = 10.0
# What a process may map, octets. The worst that is known needs 200 MiB.
ADDRESS_SPACE = 512 * 1024**2
# Large messages that are read at the same time.
PROCESSES = 2


class ReaderFailed(Exception):  # noqa: N818 - it says what is the case
    """The message could not be read, and will not be if it is tried again."""


class Reader:
    """What reads for the daemon."""

    def __init__(self, own: Sources, policy: Policy, *, max_recipients: int) -> None:
        """`own`: the operator's rules. `max_recipients` of a report are believed, 0: all. Raises RulesError."""
        self._own = own
        self._knowledge = knowledge.compiled(own)
        self._policy = policy
        self.max_recipients = max_recipients
        self._free: list[Process] = []
        self._turn = asyncio.Semaphore(PROCESSES)

    async def read(self, content: bytes, proof: Proof | None, reported_to: str = "") -> Reading:
        """Read one message. Raises ReaderFailed."""
        if len(content) > LARGE:
            return await self._read_elsewhere(content, proof, reported_to)
        try:
            return pipeline.read(
                content,
                self._knowledge,
                self._policy,
                max_recipients=self.max_recipients,
                proof=proof,
                reported_to=reported_to,
            )
        except Exception as error:  # the same mail would fail the same way for ever
            raise ReaderFailed from error

    def learn(self, own: Sources) -> None:
        """Go by other rules of the operator's from now on. Raises RulesError, and nothing changes."""
        self._knowledge = knowledge.compiled(own)
        self._own = own
        self.close()

    def close(self) -> None:
        """End the processes that nothing waits for."""
        while self._free:
            _kill(self._free.pop())

    async def _read_elsewhere(self, content: bytes, proof: Proof | None, reported_to: str) -> Reading:
        request = _framed((content, self._policy, self.max_recipients, proof, reported_to))
        async with self._turn:
            try:
                try:
                    if self._free:
                        return await self._read_by(self._free.pop(), self._own, request)
                except (ConnectionError, asyncio.IncompleteReadError):
                    pass  # it may have died while it had nothing to do, which is not the mail's fault
                own = self._own  # they may be others by the time that it has started
                return await self._read_by(await _start(own), own, request)
            except (TimeoutError, ConnectionError, asyncio.IncompleteReadError) as error:
                raise ReaderFailed("the reading process hung or died") from error

    async def _read_by(self, process: Process, own: Sources, request: bytes) -> Reading:
        """Have a process work that goes by these rules; it is killed unless the work ends well."""
        try:
            async with asyncio.timeout(SECONDS):
                answer = await _ask(process, request)
        except BaseException:
            _kill(process)
            raise
        if own is self._own:
            self._free.append(process)
        else:
            _kill(process)
        if isinstance(answer, Reading):
            return answer
        raise ReaderFailed(str(answer))


async def _start(own: Sources) -> Process:
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bounced.reader", stdin=PIPE, stdout=PIPE, limit=1024**2
        )
    except OSError as error:  # not the mail's fault: it may come again
        raise RuntimeError("a reading process does not start") from error
    cast("asyncio.StreamWriter", process.stdin).write(_framed(own))
    return process


async def _ask(process: Process, request: bytes) -> object:
    requests, answers = (
        cast("asyncio.StreamWriter", process.stdin),
        cast("asyncio.StreamReader", process.stdout),
    )
    requests.write(request)
    await requests.drain()
    (length,) = struct.unpack("!I", await answers.readexactly(4))
    return pickle.loads(await answers.readexactly(length))  # noqa: S301 - from our own process


def _framed(value: object) -> bytes:
    encoded = pickle.dumps(value)
    return struct.pack("!I", len(encoded)) + encoded


def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def main(requests: BinaryIO, answers: BinaryIO) -> None:
    """Be such a process, until there are no more requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the daemon, which ends us in its time
    with contextlib.suppress(ValueError, OSError):  # a sandbox may forbid it, and has a limit of its own
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    known = knowledge.compiled(pickle.loads(requests.read(*struct.unpack("!I", requests.read(4)))))  # noqa: S301
    while head := requests.read(4):
        request = pickle.loads(requests.read(*struct.unpack("!I", head)))  # noqa: S301
        content, policy, max_recipients, proof, reported_to = request
        answer: object
        try:
            answer = pipeline.read(
                content, known, policy, max_recipients=max_recipients, proof=proof, reported_to=reported_to
            )
        except Exception as error:  # noqa: BLE001 - the daemon logs it
            answer = f"{type(error).__name__}: {error}"
        answers.write(_framed(answer))
        answers.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
