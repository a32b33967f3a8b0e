"""Good, hostile and half-dead clients together, at a steady rate: python -m tests.torture.soak [MINUTES [RATE [SEED]]]

Good clients send so many distinct reports a second, one connection each, and one in ten a second time; in the end
each must have been counted, once. The others come from many addresses, to which the limits apply. Prints memory, open
files and latency every minute, and a line in the end. A wait counts from when the report was due, not from when this
program came to send it.
"""

# ruff: noqa: T201 - printing is what it is for

import random
import smtplib
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tests import certificates, process, reports
from tests.daemon.running import Daemon, give
from tests.torture import dialogues

NOTED = "250 2.0.0 Noted"
RECIPIENTS = 2000
# The first minutes fill what is kept; the slope is that of the others.
WARM = 5


class Soak:
    def __init__(self, daemon: Daemon, seed: int) -> None:
        self.daemon = daemon
        self.seed = seed
        self.counted: Counter[str] = Counter()
        self.waits: list[float] = []
        self.refused: Counter[str] = Counter()
        self.faults: list[str] = []
        self.stop = threading.Event()
        self._lock = threading.Lock()

    def good(self, number: int, due: float) -> None:
        recipient = f"user{number % RECIPIENTS}@example.org"
        report = reports.soft(recipient, f"letter-{number}")
        for _ in range(2 if number % 10 == 0 else 1):
            while True:
                try:
                    with self.daemon.smtp() as client:
                        reply = give(client, report)
                except OSError as error:
                    reply = type(error).__name__
                now = time.monotonic()
                self.waits.append(now - due)
                due = now
                if reply == NOTED:
                    break
                self.refused[reply[:9]] += 1
        with self._lock:
            self.counted[recipient] += 1

    def hostile(self, worker: int) -> None:
        seed = self.seed + worker * 10**9
        while not self.stop.is_set():
            fault = dialogues.session(self.daemon.port, seed, f"127.9.{seed % 250}.{worker + 1}")
            if fault:
                self.faults.append(fault)
            seed += 1

    def half_dead(self, worker: int) -> None:
        """Begin messages and let them hang."""
        chance = random.Random(self.seed + worker)
        while not self.stop.is_set():
            source = f"127.8.{chance.randrange(250)}.{worker + 1}"
            try:
                with smtplib.SMTP("127.0.0.1", self.daemon.port, source_address=(source, 0)) as client:
                    client.ehlo()
                    for command in ("MAIL FROM:<>", "RCPT TO:<b@bounces.example.com>", "DATA"):
                        client.docmd(command)
                    client.send(b"x" * chance.randrange(100_000))
                    self.stop.wait(chance.choice((0.1, 10, 70)))
            except OSError:
                self.stop.wait(0.1)


def main(minutes: float, rate: float, seed: int) -> int:
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        settings = (
            "policy.soft_limit=1000000000",
            "smtp.limits.exempt=127.0.0.1/32",
            *certificates.settings(Path(directory)),
        )
        with Daemon(Path(directory), *settings) as daemon, ThreadPoolExecutor(60) as pool:
            soak = Soak(daemon, seed)
            pool.submit(discard_log, daemon, soak)
            for worker in range(4):
                pool.submit(soak.hostile, worker)
            for worker in range(20):
                pool.submit(soak.half_dead, worker)
            began = time.monotonic()
            memory = send(soak, pool, minutes, rate)
            took = time.monotonic() - began
            soak.stop.set()
            with daemon.store() as store:
                keys = [f"bounced:addr:{recipient}" for recipient in soak.counted]
                soft = [int(store.hget(key, "soft") or 0) for key in keys]
            lost = sum(max(0, want - kept) for kept, want in zip(soft, soak.counted.values(), strict=True))
            double = sum(max(0, kept - want) for kept, want in zip(soft, soak.counted.values(), strict=True))
    later = memory[WARM:]
    slope = statistics.linear_regression(range(len(later)), later).slope * 60 if len(later) > 1 else 0
    print(
        f"{soak.counted.total()} reports in {took:.0f} s, {lost} lost, {double} double; {told(soak.waits)}; "
        f"memory {memory[0] >> 20} to {memory[-1] >> 20} MiB, {slope / 1024**2:+.1f} MiB an hour after minute {WARM}; "
        f"not noted at once: {dict(soak.refused)}; {len(soak.faults)} wrong replies; "
        f"exit status {daemon.process.returncode}"
    )
    print(*soak.faults, sep="\n")
    return int(bool(lost or double or soak.faults) or daemon.process.returncode != 0)


def told(waits: list[float]) -> str:
    """The waits in words."""
    ordered = sorted(waits) or [0]
    return ", ".join(
        f"{name} {ordered[int((len(ordered) - 1) * part)] * 1000:.0f} ms"
        for name, part in (("p50", 0.5), ("p99", 0.99), ("longest", 1))
    )


def send(soak: Soak, pool: ThreadPoolExecutor, minutes: float, rate: float) -> list[int]:
    """Send at the rate; return the daemon's memory at the start of each minute."""
    began, number = time.monotonic(), 0
    memory: list[int] = []
    sent: deque[Future[None]] = deque()
    number_of_process = soak.daemon.process.pid
    told_of = 0
    while (now := time.monotonic() - began) < 60 * minutes:
        if now >= 60 * len(memory):
            memory.append(process.memory(number_of_process))
            files = process.open_files(number_of_process)
            used = process.seconds(number_of_process)
            print(
                f"{now:.0f} s: {memory[-1] >> 20} MiB, {files} open files, {used:.0f} s of a processor; "
                f"{len(soak.waits)} sent; {told(soak.waits[told_of:])}",
                flush=True,
            )
            told_of = len(soak.waits)
        if number < now * rate:
            sent.append(pool.submit(soak.good, number, began + number / rate))
            number += 1
            while (
                sent and sent[0].done()
            ):  # kept, they make each collection of garbage longer, and what waits for it late
                sent.popleft().result()
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
    sys.exit(
        main(
            chosen[0] if chosen else 5,
            chosen[1] if len(chosen) > 1 else 200,
            int(chosen[2]) if len(chosen) > 2 else random.randrange(10**9),
        )
    )
