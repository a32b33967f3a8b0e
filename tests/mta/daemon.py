"""`bounced serve` as a return path: what it logged and what it keeps."""

import json
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

from redis import Redis

from .server import free_port

Event = dict[str, Any]


class Daemon:
    """The daemon with its embedded store, in `directory`; a context manager. A `rig.ReturnPath`."""

    domain = "bounces.example.com"

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.events: list[Event] = []
        self.reported: queue.Queue[str] = queue.Queue()
        self._started: queue.Queue[str] = queue.Queue()
        self._config = directory / "bounced.toml"
        self._config.write_text(
            f'return_path_domains = ["{self.domain}"]\n'
            f'state_dir = "{directory / "state"}"\n'
            f'[smtp]\nlisten = ["127.0.0.1:{self.port}"]\n'
            "[metrics]\nlisten = []\n"
        )
        self._errors = directory / "stderr"

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "bounced", "serve", "--config", str(self._config)]
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            url = self._started.get(timeout=20)
        except queue.Empty:
            url = ""
        if not url:
            self._stop()
            raise RuntimeError(f"the daemon does not start: {self._errors.read_text()}")
        self.store = Redis.from_url(url, decode_responses=True)
        return self

    def __exit__(self, *_error: object) -> None:
        self.store.close()
        self._stop()

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        finally:
            self._process.kill()
            self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as log:
            for line in log:
                if not line.startswith(b"{"):  # the greeting for a person
                    continue
                event = json.loads(line)
                self.events.append(event)
                if event["event"] == "daemon.started":
                    self._started.put(event["store"])
                if "recipient" in event:
                    self.reported.put(event["recipient"])
        self._started.put("")  # it ended: no need to wait any longer
