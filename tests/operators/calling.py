"""Commands called in this process: as a terminal would, but without the time that Python takes to start."""

import contextlib
import io
from typing import NamedTuple

from bounced import cli


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def call(*words: str) -> Done:
    """Run one command whose output is no terminal."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main(words)
        except SystemExit as left:
            status = int(left.code or 0)
    return Done(status, out.getvalue(), err.getvalue())
