"""`bounced check-config`: every error of the settings and of the files that they name, or the settings."""

import argparse
import itertools
import sys

from bounced.commands import Exit, say
from bounced.commands.named_files import problems
from bounced.core.printable import printable
from bounced.settings import SettingsError, load, shown


def run(args: argparse.Namespace) -> int:
    """Print all errors, or all settings as TOML, each with where it was set."""
    try:
        effective = load(args.config, args.set)
        wrong = list(problems(effective.settings))
    except SettingsError as error:
        wrong = list(error.problems)
    for problem in wrong:
        sys.stderr.write(f"{printable(problem)}\n")
    if wrong:
        return Exit.CONFIG
    lines = [(key.rpartition("."), value, origin) for key, value, origin in shown(effective)]
    for section, entries in itertools.groupby(lines, key=lambda line: line[0][0]):
        if section:
            say(f"\n[{section}]")
        for (_, _, name), value, origin in entries:
            say(f"{f'{name} = {value}':<56} # {printable(origin)}")
    return Exit.OK
