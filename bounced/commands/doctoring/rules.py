"""The operator's rules."""

from collections.abc import Iterator

from bounced import knowledge
from bounced.commands import named_files
from bounced.commands.doctoring import Finding, error, ok, warning
from bounced.commands.rules import failures, lint
from bounced.settings import Settings

ABOUT = "rules"


def findings(settings: Settings) -> Iterator[Finding]:
    """Compile, test and lint them."""
    wrong = list(named_files.rule_problems(settings.rules_dir))
    if wrong:
        advice = "correct it: the daemon does not start with it, and does not take it with a reload"
        yield from (error(ABOUT, problem, advice) for problem in wrong)
        return
    rules = knowledge.load(settings.rules_dir).rules
    if settings.rules_dir is None:
        yield ok(ABOUT, f"{len(rules.rules)}, none of your own")
        return
    doubtful = [*failures(rules), *lint(rules)]
    for problem in doubtful:
        yield warning(ABOUT, problem, f"bounced rules lint {settings.rules_dir}")
    if not doubtful:
        yield ok(ABOUT, f"{len(rules.rules)}, with those of {settings.rules_dir}")
