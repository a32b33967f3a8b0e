"""Write the shell completions, from the program's own arguments, by shtab.

python tools/completions.py DIRECTORY      bounced.bash, _bounced (zsh) and bounced.fish
"""

import argparse
import sys
from pathlib import Path

import shtab

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # whose arguments these are, wherever this is run

from bounced import cli  # noqa: E402

FILES = {"bash": "bounced.bash", "zsh": "_bounced", "fish": "bounced.fish"}


def write(directory: Path) -> None:
    """Write one file a shell into the directory."""
    parser = cli.parser()
    _name_files(parser)
    for shell, file in FILES.items():
        (directory / file).write_text(f"{shtab.complete(parser, shell)}\n", "utf-8")


def _name_files(parser: argparse.ArgumentParser) -> None:
    """Say which arguments are files and directories, by the words that stand for them in the help."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        words = str(action.metavar).split("|")
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                _name_files(command)
        elif "FILE" in words:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif "DIR" in words:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]


if __name__ == "__main__":
    write(Path(sys.argv[1]))
