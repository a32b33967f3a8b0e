"""Does the same with many messages, on all processors, and gives the results in the order of the messages.

Few are done in the process that asks: others cost 50 ms to start, which begins to pay after HEAD_START seconds. They
are forked, so that they have the rules compiled already.
"""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar, cast

from bounced.commands.sources import Source

T = TypeVar("T")

HEAD_START = 0.2
# So many messages or octets travel together. One message may be larger.
MESSAGES, OCTETS = 64, 1 << 20
# So many octets may be on their way, whatever the number of processors.
ON_THEIR_WAY = 64 << 20


def in_order(work: Callable[[Source], T], messages: Iterable[Source]) -> Iterator[T]:
    """Yield `work` of each message; what it returns is pickled. At most ON_THEIR_WAY octets are held."""
    processors = len(os.sched_getaffinity(0))
    begun = time.monotonic()
    left = iter(messages)
    for message in left:
        yield work(message)
        if processors > 1 and time.monotonic() - begun > HEAD_START:
            yield from _by_others(work, left, processors)


def _by_others(work: Callable[[Source], T], messages: Iterator[Source], processors: int) -> Iterator[T]:
    from concurrent.futures import Future, ProcessPoolExecutor  # noqa: PLC0415 - these take their time
    from multiprocessing import get_context  # noqa: PLC0415

    pool = ProcessPoolExecutor(processors, get_context("fork"), initializer=_begin, initargs=(work,))
    pending: deque[tuple[int, Future[list[T]]]] = deque()
    octets = 0
    do = cast("Callable[[list[Source]], list[T]]", _do)
    try:
        for size, batch in _batches(messages):
            while pending and (len(pending) >= 2 * processors or octets + size > ON_THEIR_WAY):
                octets -= pending[0][0]
                yield from pending.popleft()[1].result()
            octets += size
            # Those who are started by it inherit the mask: Ctrl-C is for us, and at no moment for them.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                pending.append((size, pool.submit(do, batch)))
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        while pending:
            yield from pending.popleft()[1].result()
    finally:
        pool.shutdown(cancel_futures=True)


def _batches(messages: Iterator[Source]) -> Iterator[tuple[int, list[Source]]]:
    """Yield messages that travel together, with their octets."""
    batch: list[Source] = []
    octets = 0
    for message in messages:
        if batch and (len(batch) == MESSAGES or octets + len(message.raw) > OCTETS):
            yield octets, batch
            batch, octets = [], 0
        batch.append(message)
        octets += len(message.raw)
    if batch:
        yield octets, batch


# In the other processes

_work: Callable[[Source], object]


def _begin(work: Callable[[Source], object]) -> None:
    global _work  # noqa: PLW0603 - one process, one work
    _work = work
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    from multiprocessing import parent_process  # noqa: PLC0415 - imported in the process that forked us

    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(batch: list[Source]) -> list[object]:
    return [_work(message) for message in batch]
