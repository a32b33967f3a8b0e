"""How many lines of Postfix's log a second `bounced follow` takes, from stdin into a store.

    python -m benchmarks.follow

Each message is five lines, as Postfix writes them; one recipient in fifty has a row to break, one in fifty is
refused (counted with --bounces).
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis

from tests.redis_server import BINARIES, RedisServer

MESSAGES = 100_000
LINES = (
    "postfix/smtpd[811]: {q}: client=app.example.com[192.0.2.9]",
    "postfix/cleanup[812]: {q}: message-id=<{n}@example.com>",
    "postfix/qmgr[813]: {q}: from=<news@bounces.example.com>, size=4321, nrcpt=1 (queue active)",
    "postfix/smtp[814]: {q}: to=<user{n}@example{d}.org>, relay=mx.example{d}.org[192.0.2.1]:25, delay=1.2, {fate}",
    "postfix/qmgr[813]: {q}: removed",
)
SENT = "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4BxYz)"
REFUSED = (
    "dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 <user{n}@example.org>:"
    " Recipient address rejected: User unknown (in reply to RCPT TO command))"
)


def log() -> str:
    lines = []
    for n in range(MESSAGES):
        stamp = f"2026-06-01T10:{n // 6000 % 60:02}:{n // 100 % 60:02}.{n % 100:02}0000+00:00 mail "
        fate = REFUSED.format(n=n) if n % 50 == 7 else SENT
        lines += [stamp + line.format(q=f"4{n:010X}", n=n, d=n % 50, fate=fate) for line in LINES]
    return "\n".join(lines) + "\n"


def main() -> None:
    text = log()
    with tempfile.TemporaryDirectory() as directory:
        server = RedisServer(BINARIES["valkey"], Path(directory))
        try:
            for options in ([], ["--bounces"]):
                with redis.Redis.from_url(server.url, protocol=2) as store, store.pipeline() as pipeline:
                    store.flushall()
                    for n in range(0, MESSAGES, 50):
                        pipeline.hset(f"bounced:addr:user{n}@example{n % 50}.org", "soft", 2)
                    pipeline.execute()
                command = [
                    sys.executable,
                    "-m",
                    "bounced",
                    "follow",
                    f"--set=redis.url={server.url}",
                    *options,
                    "-",
                ]
                started = time.perf_counter()
                done = subprocess.run(command, input=text, text=True, stderr=subprocess.PIPE, check=True)
                seconds = time.perf_counter() - started
                print(
                    f"{MESSAGES * len(LINES) / seconds:8.0f} lines/s {' '.join(options)}  {done.stderr.strip()}"
                )
        finally:
            server.kill()


if __name__ == "__main__":
    main()
