"""Load the data that reading and judging go by: the marks and rules of the package, the operator's rules."""

from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from bounced.core import marks, rulefile
from bounced.core.pipeline import Knowledge

# Files of rules: the name and the text of each.
Sources = Sequence[tuple[str, str]]


def read(rules_dir: Path | None) -> Sources:
    """The operator's rules: the `*.toml` of a directory, in order of name. Raises rulefile.RulesError."""
    if rules_dir is None:
        return ()
    try:
        return [_source(path) for path in sorted(rules_dir.iterdir()) if path.suffix == ".toml"]
    except OSError as error:
        raise rulefile.RulesError([f"{error.filename}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise rulefile.RulesError([f"{rules_dir}: a file is not UTF-8: {error}"]) from error


def load(rules_dir: Path | None = None) -> Knowledge:
    """Compile everything, the rules of a directory too. Raises rulefile.RulesError."""
    return compiled(read(rules_dir))


def compiled(own: Sources) -> Knowledge:
    """Compile everything; the operator's rules are consulted before ours.

    Raises rulefile.RulesError, naming every rule that is wrong with its file.
    """
    shipped = files("bounced.core")
    rules = sorted(
        (path for path in shipped.joinpath("rules").iterdir() if path.name.endswith(".toml")),
        key=lambda path: path.name,
    )
    return Knowledge(
        rules=rulefile.compile_rules([*own, *(_source(path) for path in rules)]),
        marks=marks.load(shipped.joinpath("notices.toml").read_text("utf-8")),
    )


def _source(path: Path | Traversable) -> tuple[str, str]:
    return path.name, path.read_text("utf-8")
