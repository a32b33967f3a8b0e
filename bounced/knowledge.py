"""Load the data that reading and judging go by: the marks and rules of the package, the operator's rules."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from bounced.core import marks, ruleset
from bounced.core.pipeline import Knowledge


def load(rules_dir: Path | None = None) -> Knowledge:
    """Compile everything; the operator's `*.toml` in `rules_dir` are consulted before ours, in order of name.

    Raises ruleset.RulesError, naming every rule that is wrong with its file, and OSError.
    """
    shipped = files("bounced.core")
    sources = [_source(path) for path in sorted(rules_dir.glob("*.toml"))] if rules_dir else []
    rules = sorted(
        (path for path in shipped.joinpath("rules").iterdir() if path.name.endswith(".toml")),
        key=lambda path: path.name,
    )
    sources += [_source(path) for path in rules]
    return Knowledge(
        rules=ruleset.compile_rules(sources),
        marks=marks.load(shipped.joinpath("notices.toml").read_text("utf-8")),
    )


def _source(path: Path | Traversable) -> tuple[str, str]:
    return path.name, path.read_text("utf-8")
