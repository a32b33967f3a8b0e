"""A `bounced serve` in a process of its own, seen only from outside: SMTP, Redis, log, exit status."""

import json
import os
import queue
import signal
import smtplib
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

import redis

START = 40.0


class Daemon:
    """Start it with `with`; settings are "key=value"."""

    def __init__(
        self, state_dir: Path, *settings: str, listen: str = "127.0.0.1:0", config: Path | None = None
    ) -> None:
        """Without `config` no file is read; `listen` does not go with it."""
        self.state_dir = state_dir
        self.settings = (f"state_dir={state_dir}", "metrics.listen=", *settings)
        if config is None:
            self.settings += (f"smtp.listen={listen}",)
        self.config = ["--config", str(config)] if config else []
        self.log: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bounced", "serve", *self.options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if not name.startswith("BOUNCED_")},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.address = self.wait_for("daemon.listening")["address"]
            self.store_url = self.wait_for("daemon.started")["store"]
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self._end()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self._end()

    def _end(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.wait(40)
        self.greeting = self.process.stderr.read().decode()
        self.process.stderr.close()
        self._reader.join()
        self.process.stdout.close()

    @property
    def options(self) -> list[str]:
        """What makes another command use the same store."""
        return [*self.config, *(word for setting in self.settings for word in ("--set", setting))]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, event: str, timeout: float = START, **fields: object) -> dict[str, Any]:
        """Return the next such line of the log; all lines go to `log`."""
        deadline = time.monotonic() + timeout
        while True:
            line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            if line is None:
                assert self.process.stderr is not None
                raise AssertionError(f"no {event} before the end: {self.process.stderr.read().decode()}")
            entry: dict[str, Any] = json.loads(line)
            self.log.append(entry)
            if entry["event"] == event and fields.items() <= entry.items():
                return entry

    def log_so_far(self) -> list[dict[str, Any]]:
        """Return all lines that have come by now."""
        while True:
            try:
                line = self._lines.get(timeout=0.2)
            except queue.Empty:
                return self.log
            assert line is not None
            self.log.append(json.loads(line))

    def rest_of_log(self) -> list[dict[str, Any]]:
        """Return all lines, after the end."""
        while (line := self._lines.get(timeout=5)) is not None:
            self.log.append(json.loads(line))
        return self.log

    @property
    def port(self) -> int:
        """The port of its first address."""
        return int(self.address.rpartition(":")[2])

    def smtp(self, timeout: float = 30) -> smtplib.SMTP:
        """Return a connection of one's own."""
        host, _, port = self.address.rpartition(":")
        return smtplib.SMTP(host, int(port), timeout=timeout)

    def send(self, *messages: bytes, to: str = "bounces@bounces.example.com") -> list[str]:
        """Send over one connection; return the reply to each final dot."""
        with self.smtp() as client:
            return [give(client, message, to) for message in messages]

    def store(self) -> redis.Redis:
        """Return a client of the daemon's store."""
        return redis.Redis.from_url(self.store_url, decode_responses=True)

    def store_process(self) -> int:
        """Return the process id of an embedded store, as soon as it answers."""
        deadline = time.monotonic() + START
        while True:
            try:
                with self.store() as store:
                    return int(store.info("server")["process_id"])
            except redis.exceptions.ConnectionError:
                if time.monotonic() > deadline:
                    raise

    def command(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run another `bounced` on the same store."""
        return run([words[0], *self.options, *words[1:]], stdin=stdin)


def give(client: smtplib.SMTP, message: bytes, to: str = "bounces@bounces.example.com") -> str:
    """Send one message from the null reverse-path; return the whole reply."""
    client.ehlo_or_helo_if_needed()
    for command in ("MAIL FROM:<>", f"RCPT TO:<{to}>"):
        code, text = client.docmd(command)
        if code != 250:
            return f"{code} {text.decode()}"
    code, text = client.data(message)
    return f"{code} {text.decode()}"


def run(words: list[str], stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a `bounced` command."""
    return subprocess.run(
        [sys.executable, "-m", "bounced", *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | environment,
        check=False,
    )
