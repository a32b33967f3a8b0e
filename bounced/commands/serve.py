"""`bounced serve`: settings, then the daemon."""

import argparse
import asyncio
import shlex
import shutil
import sys
from pathlib import Path

from bounced import daemon
from bounced.commands import Exit, complain
from bounced.settings import SettingsError, load, mask
from bounced.store import StoreUnavailable


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    try:
        effective = load(args.config, args.set)
        asyncio.run(daemon.run(effective, lambda: load(args.config, args.set), _how_to_show(args)))
    except SettingsError as error:
        complain(*error.problems)
        return Exit.CONFIG
    except StoreUnavailable as error:
        complain(f"the store does not start: {error.cause}")
        return Exit.UNAVAILABLE
    except daemon.CannotStart as error:
        complain(str(error))
        return error.status
    return Exit.OK


def _how_to_show(args: argparse.Namespace) -> str:
    """Return the words that call `bounced show` on the same settings, from this directory."""
    program = sys.argv[0]
    if program.endswith("__main__.py"):
        words = [sys.executable, "-m", "bounced"]
    elif (on_path := shutil.which("bounced")) and Path(on_path).resolve() == Path(program).resolve():
        words = ["bounced"]
    else:
        words = [program]
    words.append("show")
    if args.config:
        words += ["--config", str(args.config)]
    for assignment in args.set:
        words += ["--set", mask(assignment)]  # this is printed, and may end in a journal
    return shlex.join(words)
