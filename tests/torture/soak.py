"""Good, hostile and half-dead clients together, at a steady rate: python -m tests.torture.soak [MINUTES [RATE]]

Good clients send so many distinct reports a second, one connection each, and one in ten a second time; in the end
each must have been counted, once. Prints memory, open files and latency every minute, and a line in the end.
"""

# ruff: noqa: T201 - printing is what it is for

import random
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tests import process, reports
from tests.daemon.running import Daemon, give
from tests.torture import dialogues

NOTED = "250 2.0.0 Noted"
RECIPIENTS = 2000


class Soak:
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.counted: Counter[str] = Counter()
        self.waits: list[float] = []
        self.refused: Counter[str] = Counter()
        self.stop = threading.Event()
        self._lock = threading.Lock()

    def good(self, number: int) -> None:
        recipient = f"user{number % RECIPIENTS}@example.org"
        report = reports.soft(recipient, f"letter-{number}")
        for _ in range(2 if number % 10 == 0 else 1):
            while True:
                started = time.perf_counter()
                try:
                    with self.daemon.smtp() as client:
                        reply = give(client, report)
                except OSError as error:
                    reply = type(error).__name__
                self.waits.append(time.perf_counter() - started)
                if reply == NOTED:
                    break
                self.refused[reply[:9]] += 1
        with self._lock:
            self.counted[recipient] += 1

    def hostile(self, worker: int) -> None:
        seed = worker * 10**9
        while not self.stop.is_set():
            dialogues.session(self.daemon.port, seed, f"127.9.0.{worker + 1}")
            seed += 1

    def half_dead(self) -> None:
        """Begin messages and let them hang."""
        while not self.stop.is_set():
            try:
                with self.daemon.smtp() as client:
                    client.ehlo()
                    for command in ("MAIL FROM:<>", "RCPT TO:<b@bounces.example.com>", "DATA"):
                        client.docmd(command)
                    client.send(b"x" * random.randrange(100_000))
                    self.stop.wait(random.choice((0.1, 10, 70)))
            except OSError:
                self.stop.wait(0.1)


def main(minutes: float, rate: float) -> int:
    with tempfile.TemporaryDirectory() as directory:
        settings = ("policy.soft_limit=1000000000",)
        with Daemon(Path(directory), *settings) as daemon, ThreadPoolExecutor(60) as pool:
            soak = Soak(daemon)
            pool.submit(discard_log, daemon, soak)
            for worker in range(4):
                pool.submit(soak.hostile, worker)
            for _ in range(20):
                pool.submit(soak.half_dead)
            memory = send(soak, pool, minutes, rate)
            soak.stop.set()
            with daemon.store() as store:
                keys = [f"bounced:addr:{recipient}" for recipient in soak.counted]
                soft = [int(store.hget(key, "soft") or 0) for key in keys]
            wrong = sum(kept != want for kept, want in zip(soft, soak.counted.values(), strict=True))
        waits = sorted(soak.waits)
        print(
            f"{soak.counted.total()} reports in {minutes} minutes, {wrong} recipients miscounted; "
            f"p50 {waits[len(waits) // 2] * 1000:.0f} ms, p99 {waits[int(len(waits) * 0.99)] * 1000:.0f} ms, "
            f"longest {waits[-1] * 1000:.0f} ms; memory {memory[0] >> 20} to {memory[-1] >> 20} MiB; "
            f"not noted at once: {dict(soak.refused)}; exit status {daemon.process.returncode}"
        )
        return int(wrong != 0 or daemon.process.returncode != 0)


def send(soak: Soak, pool: ThreadPoolExecutor, minutes: float, rate: float) -> list[int]:
    """Send at the rate; return the daemon's memory at the start of each minute."""
    began, number = time.monotonic(), 0
    memory: list[int] = []
    sent: list[Future[None]] = []
    number_of_process = soak.daemon.process.pid
    while (now := time.monotonic() - began) < 60 * minutes:
        if now >= 60 * len(memory):
            memory.append(process.memory(number_of_process))
            files = process.open_files(number_of_process)
            print(f"{now:.0f} s: {memory[-1] >> 20} MiB, {files} open files", flush=True)
        if number < now * rate:
            sent.append(pool.submit(soak.good, number))
            number += 1
        else:
            time.sleep(0.002)
    for future in sent:
        future.result()
    return [*memory, process.memory(number_of_process)]


def discard_log(daemon: Daemon, soak: Soak) -> None:
    while not soak.stop.is_set():
        entries = daemon.log_so_far()
        for entry in entries:
            if entry["event"] == "internal.error":
                print(entry, flush=True)
        entries.clear()


if __name__ == "__main__":
    chosen = [float(word) for word in sys.argv[1:]]
    sys.exit(main(chosen[0] if chosen else 5, chosen[1] if len(chosen) > 1 else 200))
