"""The whole job beside others, on the same machine, in one run.

    python -m benchmarks.end_to_end [--quick] [PART ...]

One core belongs to the server, the other to whoever sends and to Redis. Parts: rates, workers, profile, waiting,
growth, start; all of them without one. --quick takes two minutes and only shows that it works; without it, ten, on a
quiet machine.
Needs two cores, taskset, and uvloop (in the development dependencies).
"""

import argparse
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from redis import Redis

from benchmarks.end_to_end.load import report
from benchmarks.end_to_end.running import (
    BOTH_CORES,
    SERVER_CORE,
    Running,
    free_port,
    load,
    pinned,
    redis,
    running,
    settings_of,
    wait_for,
)
from bounced import knowledge
from bounced.core import pipeline
from bounced.core.policy import Policy
from tests.process import memory

NAMES = ("bounced", "discard", "discard-uvloop", "afternoon")
MODES = (1, 20)  # messages a connection


def say(text: str = "") -> None:
    print(text, flush=True)


def rates(*, quick: bool) -> None:
    """Messages a second, each server in turn, several rounds."""
    rounds, messages = (3, 500) if quick else (5, 4000)
    say(f"\nRates: median of {rounds} rounds of {messages} messages; us: of the processor, a message")
    with ExitStack() as stack:
        servers = [stack.enter_context(running(name)) for name in NAMES]
        for server in servers:  # what is done once, at the first message, does not count
            load(server, messages=200)
        for mode in MODES:
            told: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
            for number in range(rounds):
                for server in servers:
                    told[server.name].append(load(server, messages=messages, per_connection=mode))
                print(f"  round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            middle = {name: {key: median(each, key) for key in each[0]} for name, each in told.items()}
            say(f"\n{mode} a connection     messages/s       us  Redis us   p99 ms   bounced / it   by us")
            for name, each in middle.items():
                ratio, by_us = middle["bounced"]["rate"] / each["rate"], each["us"] / middle["bounced"]["us"]
                say(
                    f"{name:16} {each['rate']:14.0f} {each['us']:8.0f} {each['redis_us']:9.0f}"
                    f" {each['p99_ms']:8.1f} {ratio:14.2f} {by_us:7.2f}"
                )


def median(rounds: list[dict[str, float]], key: str) -> float:
    return statistics.median(each[key] for each in rounds)


def workers(*, quick: bool) -> None:
    """What a second worker on a second core adds, although whoever sends, and Redis, have no core left then.

    With so many connections at a time that neither worker has to wait for the other's turn. The others may take either
    core: kept to one, they would hold up the worker there, and the other would have nothing to do.
    """
    rounds, messages, connections = (3, 1000, 100) if quick else (5, 8000, 300)
    say(f"\nWorkers: median of {rounds} rounds of {messages} messages, {connections} connections at a time")
    with ExitStack() as stack:
        one = stack.enter_context(running("bounced", "workers=1"))
        two = stack.enter_context(running("bounced", "workers=2", core=BOTH_CORES, others=BOTH_CORES))
        for server in (one, two):
            load(server, messages=400)
        for mode in MODES:
            told: dict[int, list[dict[str, float]]] = {1: [], 2: []}
            for _ in range(rounds):
                for number, server in ((1, one), (2, two)):
                    told[number].append(
                        load(server, messages=messages, per_connection=mode, connections=connections)
                    )
            say(
                f"\n{mode} a connection   messages/s       us   Redis us   load us   had both cores   so many times"
            )
            alone = median(told[1], "rate")
            for number, each in told.items():
                rate, others = median(each, "rate"), median(each, "redis_us") + median(each, "load_us")
                # Of two cores the others took so much; one worker had a core to itself.
                whole = rate if number == 1 else rate * 2 / (2 - others * rate / 1e6)
                say(
                    f"{number} of them {rate:18.0f} {median(each, 'us'):8.0f} {median(each, 'redis_us'):10.0f}"
                    f" {median(each, 'load_us'):9.0f} {whole:16.0f} {whole / alone:15.2f}"
                )


def profile(*, quick: bool) -> None:
    """Where the time of one message goes."""
    messages = 1000 if quick else 10_000
    for mode in MODES:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "samples")
            with running("bounced", sampled=file) as server:
                load(server, messages=500, per_connection=mode)
                told = load(server, messages=messages, per_connection=mode)
            counts = json.loads(file.read_text())
        whole = sum(counts.values())
        say(f"\nOne message's way, {mode} a connection: {told['us']:.0f} us of the server's processor")
        for name, count in sorted(counts.items(), key=lambda each: -each[1]):
            say(f"{name:16} {told['us'] * count / whole:6.0f} us {count / whole:5.0%}")


def waiting(*, quick: bool) -> None:
    """How long the answer takes at half of the maximum rate, alone and among 2,000 connections held open."""
    held = 500 if quick else 2000
    say("\nAt half of the maximum rate, from the final dot to 250")
    with running("bounced") as server:
        for mode in MODES:
            most = load(server, messages=500 if quick else 4000, per_connection=mode)["rate"]
            options = {
                "messages": int(most / 2 * (2 if quick else 10)),
                "rate": most / 2,
                "per_connection": mode,
            }
            alone = load(server, **options)
            before = memory(server.process.pid)
            with holding(server, held):
                each = (memory(server.process.pid) - before) / held
                among = load(server, **options)
            say(f"{mode} a connection, {most / 2:.0f} a second: {answers_in(alone)}")
            say(f"  with {held} connections open, of {each / 1024:.1f} KiB each: {answers_in(among)}")


def answers_in(told: dict[str, float]) -> str:
    return f"p50 {told['p50_ms']:.1f} ms, p99 {told['p99_ms']:.1f} ms"


@contextlib.contextmanager
def holding(server: Running, number: int) -> Iterator[None]:
    """Connections that have said EHLO and no more."""
    with ExitStack() as stack:
        for _ in range(number):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            peer.recv(1000)
            peer.sendall(b"EHLO idle.example\r\n")
            peer.recv(1000)
        yield


def growth(*, quick: bool) -> None:
    """What a message costs by its size, its recipients, the number of rules and of addresses in Redis."""
    with running("bounced", "smtp.limits.message_size=10 MiB") as server:
        load(server, messages=200)
        load(server, messages=1, size=1_000_000)  # has the process started that reads what is large
        say("\nsize          us a message   ms from dot to 250")
        for size in (2_000, 20_000, 200_000, 1_000_000, 5_000_000):
            told = load(
                server, messages=max(5, 100_000_000 // (size * 10 + 100_000)), connections=1, size=size
            )
            say(f"{told['octets']:9.0f} {told['us']:13.0f} {told['p50_ms']:14.1f}")
        say("\nrecipients    us a message   us a recipient")
        for recipients in (1, 10, 50, 100):
            told = load(server, messages=400 // recipients + 10, connections=10, recipients=recipients)
            say(f"{recipients:9} {told['us']:13.0f} {told['us'] / recipients:14.0f}")
        say("\naddresses in Redis   us a message   Redis us")
        there = 0
        for addresses in (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000, 10_000_000):
            if addresses * OCTETS > available():
                say(f"{addresses:9} need more memory than there is")
                break
            fill(server, there, addresses)
            there = addresses
            told = load(server, messages=500 if quick else 3000)
            say(f"{addresses:9} {told['us']:20.0f} {told['redis_us']:10.0f}")
    say("\nrules of one's own   us to read a message   ms to load")
    for rules in (0, 100, 1000) if quick else (0, 100, 1000, 5000):
        started = time.perf_counter()
        known = knowledge.compiled([("own.toml", own_rules(rules))] if rules else ())
        loaded = time.perf_counter() - started
        messages = [report(i, "rules") for i in range(500)]
        started = time.process_time()
        for message in messages:
            pipeline.read(message, known, Policy())
        say(f"{rules:9} {(time.process_time() - started) / len(messages) * 1e6:20.0f} {loaded * 1000:12.0f}")


def own_rules(number: int) -> str:
    rules = (
        f'[[rule]]\nid = "own-{i}"\ncategory = "policy-related"\ntext = [\'\\bour gateway says code{i}x\\b\']\n'
        f'why = "Made to measure."\nexamples = ["550 our gateway says code{i}x"]\n'
        for i in range(number)
    )
    return 'layer = "words"\n' + "\n".join(rules)


FILL = """
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do
  local address = string.format('filler%08d@example.org', i)
  redis.call('HSET', 'bounced:addr:' .. address, 'soft', 0, 'hard_until', 4102444800, 'category', 'invalid-mailbox',
    'status', '5.1.1', 'diagnostic', '550 5.1.1 User unknown', 'seen', 'abcdefghijkh.', 'hard_total', 1)
  redis.call('SET', 'bounced:hard:' .. address, 4102444800)
end
"""


OCTETS = 1_200  # of memory for one address, what Redis needs beside included


def available() -> int:
    """Return how many octets of memory nobody uses."""
    told = Path("/proc/meminfo").read_text()
    return int(told.partition("MemAvailable:")[2].split()[0]) * 1024


def fill(server: Running, start: int, end: int) -> None:
    """Put addresses into Redis, some at a time: a script holds everybody up."""
    with Redis(port=server.redis_port) as client:
        for some in range(start, end, 10_000):
            client.eval(FILL, 0, some, min(some + 10_000, end))


def start(*, quick: bool) -> None:
    """From the start of the program to its first connection and its first reply, and what --help takes."""
    times, replied = [], []
    for _ in range(3 if quick else 9):
        port = free_port()
        with redis() as (redis_port, _), tempfile.TemporaryDirectory() as folder:
            words = settings_of(folder, port, redis_port)
            began = time.perf_counter()
            process = subprocess.Popen(
                pinned(SERVER_CORE, sys.executable, "-m", "bounced", "serve", *words),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            wait_for(port, process)
            times.append(time.perf_counter() - began)
            with socket.create_connection(("127.0.0.1", port)) as peer:
                peer.recv(100)
            replied.append(time.perf_counter() - began)
            process.terminate()
            process.wait()
    say(f"\nStart to listening: {statistics.median(times) * 1000:.0f} ms")
    say(f"Start to the first greeting: {statistics.median(replied) * 1000:.0f} ms")
    for words in (["--help"], ["check", "--help"]):
        times = []
        for _ in range(3 if quick else 9):
            began = time.perf_counter()
            command = [sys.executable, "-m", "bounced", *words]
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            times.append(time.perf_counter() - began)
        say(f"bounced {' '.join(words)}: {statistics.median(times) * 1000:.0f} ms")


PARTS = {
    "rates": rates,
    "workers": workers,
    "profile": profile,
    "waiting": waiting,
    "growth": growth,
    "start": start,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.end_to_end")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART")
    args = parser.parse_args()
    for name in args.parts or PARTS:
        began = time.monotonic()
        PARTS[name](quick=args.quick)
        print(f"  {name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
