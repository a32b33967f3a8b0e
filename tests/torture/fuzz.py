"""Throw random sessions at a daemon for a while: python -m tests.torture.fuzz [MINUTES [FIRST_SEED]]

Exit status 1 when it died, stalled for a second, replied nonsense, or logged a fault of its own. On a machine that
others use too, a long wait may be theirs: what the daemon computed while somebody waited is told beside it.
"""

# ruff: noqa: T201 - printing is what it is for

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import certificates, process
from tests.daemon.running import Daemon
from tests.torture import dialogues

BATCH = 200
TELL = 300  # seconds


def main(minutes: float, seed: int) -> int:
    print(f"first seed {seed}", flush=True)
    until, began, worst, busiest = time.monotonic() + 60 * minutes, seed, 0.0, 0.0
    told_at = time.monotonic()
    faults: list[str] = []
    with (
        tempfile.TemporaryDirectory() as directory,
        Daemon(Path(directory), *certificates.settings(Path(directory))) as daemon,
    ):
        dialogues.answers(daemon.port)
        before = process.memory(daemon.process.pid)
        with ThreadPoolExecutor(8) as pool:
            while time.monotonic() < until and not faults:
                told = pool.map(lambda n: dialogues.session(daemon.port, n), range(seed, seed + BATCH))
                used = process.seconds(daemon.process.pid)
                worst = max(worst, dialogues.answers(daemon.port))
                busiest = max(busiest, process.seconds(daemon.process.pid) - used)
                faults += filter(None, told)
                seed += BATCH
                entries = daemon.log_so_far()
                faults += [str(entry) for entry in entries if entry["event"] == "internal.error"]
                entries.clear()
                if time.monotonic() - told_at > TELL:
                    told_at = time.monotonic()
                    print(f"{seed - began} sessions, longest wait {worst * 1000:.0f} ms", flush=True)
        grown = process.memory(daemon.process.pid) - before
        left = process.open_files(daemon.process.pid)
    print(
        f"{seed - began} sessions in {minutes} minutes: longest wait of others {worst * 1000:.0f} ms, "
        f"in which the daemon computed at most {busiest * 1000:.0f} ms, "
        f"memory {grown / 1024**2:+.1f} MiB, {left} open files, exit status {daemon.process.returncode}"
    )
    print(*faults, sep="\n")
    return int(bool(faults) or worst > 1 or daemon.process.returncode != 0)


if __name__ == "__main__":
    chosen = [float(word) for word in sys.argv[1:]]
    sys.exit(main(chosen[0] if chosen else 1, int(chosen[1]) if len(chosen) > 1 else time.time_ns() // 10**6))
