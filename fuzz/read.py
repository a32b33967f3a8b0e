# ruff: noqa: INP001
"""Fuzz the reader, guided by coverage: no exception leaves `pipeline.read`, and no message takes long.

    python -m pip install atheris && python fuzz/read.py [-max_total_time=600] WORK_DIR tests/core/messages

WORK_DIR collects what reaches new code. A message that crashes or takes more than two seconds is written to the
current directory: make it small and add it to tests/core/test_hostile.py.
"""

import sys
import time

import atheris

with atheris.instrument_imports(include=["bounced"]):
    from bounced import knowledge
    from bounced.core import pipeline
    from bounced.core.policy import Policy

KNOWN = knowledge.load()
POLICY = Policy()
SECONDS = 2.0


def read_one(raw: bytes) -> None:
    """Read `raw` and fail when that takes long."""
    began = time.process_time()
    reading = pipeline.read(raw, KNOWN, POLICY)
    took = time.process_time() - began
    if took > SECONDS:
        raise TimeoutError(f"{len(raw)} octets took {took:.1f} s")
    for verdict in reading.verdicts:
        if "@" not in verdict.recipient:
            raise ValueError(f"not an address: {verdict.recipient!r}")


if __name__ == "__main__":
    atheris.Setup([*sys.argv, "-max_len=16384", "-timeout=10"], read_one)
    atheris.Fuzz()
