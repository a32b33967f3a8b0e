"""`bounced serve`: settings, then the daemon."""

import argparse
import asyncio
import shlex
import shutil
import sys
from collections.abc import Coroutine
from pathlib import Path

from bounced.commands import Exit, complain
from bounced.process import CannotStart
from bounced.settings import Effective, SettingsError, load, mask


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    try:
        asyncio.run(_serve(args))
    except SettingsError as error:
        complain(*error.problems)
        return Exit.CONFIG
    except CannotStart as error:
        complain(*str(error).splitlines())
        return error.status
    return Exit.OK


def _serve(args: argparse.Namespace) -> Coroutine[None, None, None]:
    """Serve by ourselves, as one of several workers, or as their parent, which needs no more than itself."""

    def again() -> Effective:
        return load(args.config, args.set)

    effective = again()
    if effective.settings.workers > 1 and not args.worker:
        from bounced import workers  # noqa: PLC0415

        command = [sys.executable, "-m", "bounced", "serve", "--worker", *_options(args)]
        return workers.run(effective.settings, command, _how_to_show(args))
    from bounced import daemon  # noqa: PLC0415

    if args.worker:
        return daemon.work(effective, again)
    return daemon.run(effective, again, _how_to_show(args))


def _options(args: argparse.Namespace) -> list[str]:
    """Return what on the command line names the settings."""
    options = ["--config", str(args.config)] if args.config else []
    return options + [word for assignment in args.set for word in ("--set", assignment)]


def _how_to_show(args: argparse.Namespace) -> str:
    """Return the words that call `bounced show` on the same settings, from this directory."""
    program = sys.argv[0]
    if program.endswith("__main__.py"):
        words = [sys.executable, "-m", "bounced"]
    elif (on_path := shutil.which("bounced")) and Path(on_path).resolve() == Path(program).resolve():
        words = ["bounced"]
    else:
        words = [program]
    return shlex.join(mask(word) for word in [*words, "show", *_options(args)])  # it may end in a journal
