"""A bar on the terminal of whoever waits for a command that goes through millions of lines."""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(
    what: str, descriptor: int | None = None, *, total: int | None = None
) -> Iterator[Callable[[int], None]]:
    """Show how far a command is; yield what tells it that so many more are done.

    `descriptor` is the file that is read: if it is a regular one, its size says how much is left. `total` is how
    many there are, of a command that prints its answer when it is done. Without a terminal nothing is shown, nor
    when the command prints its answer to one as it goes.
    """
    if not sys.stderr.isatty() or (sys.stdout.isatty() and total is None):
        yield lambda _: None
        return
    from rich import progress as bars  # noqa: PLC0415 - only for a terminal, as it takes its time
    from rich.console import Console  # noqa: PLC0415

    size = total
    if descriptor is not None:
        status = os.fstat(descriptor)
        size = status.st_size if stat.S_ISREG(status.st_mode) else None
    columns = (
        bars.TextColumn("{task.fields[done]:,} {task.description}"),
        bars.BarColumn(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=size, done=0)
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            read = done if descriptor is None else 0 if size is None else os.lseek(descriptor, 0, os.SEEK_CUR)
            bar.update(task, completed=read, done=done)

        yield advance
