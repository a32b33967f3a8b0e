"""`bounced check-config`: every error of the settings, or the settings."""

import argparse
import itertools
import sys

from bounced.commands import Exit, say
from bounced.core.printable import printable
from bounced.settings import SettingsError, load, shown


def run(args: argparse.Namespace) -> int:
    """Print all errors, or all settings as TOML, each with where it was set."""
    try:
        effective = load(args.config, args.set)
    except SettingsError as error:
        for problem in error.problems:
            sys.stderr.write(f"{printable(problem)}\n")
        return Exit.CONFIG
    lines = [(key.rpartition("."), value, origin) for key, value, origin in shown(effective)]
    for section, entries in itertools.groupby(lines, key=lambda line: line[0][0]):
        if section:
            say(f"\n[{section}]")
        for (_, _, name), value, origin in entries:
            say(f"{f'{name} = {value}':<56} # {printable(origin)}")
    return Exit.OK
