"""Writes the reports of real mail servers to files, to be looked at.

python -m tests.mta.collect DIRECTORY [SERVER ...]
"""

import sys
import time
from pathlib import Path

from .rig import run
from .servers import SERVERS
from .sink import Sink


def main(directory: Path, names: list[str]) -> int:
    """DIRECTORY/<server>/<number>.eml, for all servers that are installed or those named."""
    for name in names or SERVERS:
        server = SERVERS[name]
        if reason := server.missing():
            sys.stdout.write(f"{name}: {reason}\n")
            continue
        started = time.monotonic()
        with Sink() as sink:
            log = run(server, [sink])
        target = directory / name
        target.mkdir(parents=True, exist_ok=True)
        for number, report in enumerate(sink.reports, 1):
            (target / f"{number:02}.eml").write_bytes(report)
        (target / "log").write_text(log)
        took = time.monotonic() - started
        sys.stdout.write(f"{name}: {len(sink.reports)} reports in {took:.1f} s\n")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
