"""`bounced review`: what no rule, or only a weak one, could judge, as the beginning of rules.

Takes returned mail like `parse`, or on standard input the JSON lines of the log or of `parse --json`. Diagnostics
that differ in names only are one group; the most frequent group comes first. The output is TOML.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from bounced.commands import Exit, complain, say
from bounced.commands.judging import judged_by
from bounced.commands.sources import sources
from bounced.core import pipeline, recipients
from bounced.core.classify import matches
from bounced.core.model import Action, Evidence
from bounced.core.policy import Policy
from bounced.core.printable import printable
from bounced.core.rulefile import RulesError
from bounced.core.ruleset import WEAK, Ruleset
from bounced.core.text import mask
from bounced.settings import SettingsError

_EXAMPLES = 3
_PATTERN_SIGNS = re.compile(r"([\\.+*?()|\[\]{}^$])")


@dataclass(slots=True)
class Group:
    """Diagnostics that are one when nobody is named."""

    now: str  # what is said of it today
    examples: list[str] = field(default_factory=list)


def run(args: argparse.Namespace) -> int:
    """Print the groups of all that `args.files` hold; 1 when something could not be read."""
    try:
        known, _ = judged_by(args, args.rules)
    except (SettingsError, RulesError) as error:
        complain(*error.problems)
        return Exit.CONFIG
    status = Exit.OK
    groups: dict[str, Group] = {}
    counts: Counter[str] = Counter()
    for evidence in _evidence(args.files, known):
        if isinstance(evidence, str):
            complain(evidence)
            status = Exit.NO
        elif (now := _weakly(evidence, known.rules)) is not None:
            text = evidence.text or evidence.explanation
            masked = mask(text)
            counts[masked] += 1
            examples = groups.setdefault(masked, Group(now)).examples
            if len(examples) < _EXAMPLES and text not in examples:
                examples.append(text)
    for masked, count in counts.most_common():
        say(_beginning(masked, count, groups[masked]))
    return status


def _weakly(evidence: Evidence, rules: Ruleset) -> str | None:
    """Return who decides today, None when it is a rule to rely on or there is nothing to match."""
    if not mask(evidence.text or evidence.explanation):
        return None
    first = next(iter(matches(evidence, rules)), None)
    if first is None:
        return "nothing"
    return f"{first.category} by {first.id}" if first.layer in WEAK else None


def _beginning(masked: str, count: int, group: Group) -> str:
    pattern = _PATTERN_SIGNS.sub(r"\\\1", masked[:200].strip())
    times = "once" if count == 1 else f"{count} times"
    identifier = "-".join(re.findall(r"[a-z]+", masked)[:5]) or "unnamed"
    return "\n".join(
        (
            f"# {times}; now {group.now}",
            "[[rule]]",
            f"id = {_string(identifier)}",
            'category = "other"',
            f"text = [{_string(pattern)}]",
            'why = ""',
            'source = ""',
            f"examples = [{', '.join(_string(' '.join(example.split())[:500]) for example in group.examples)}]",
            "",
        )
    )


def _string(text: str) -> str:
    """Return a TOML basic string; control characters are escaped twice, so that no terminal obeys them."""
    return json.dumps(printable(text), ensure_ascii=False)


def _evidence(names: list[str], known: pipeline.Knowledge) -> Iterator[Evidence | str]:
    """Return what each recipient is judged by, or in words why something could not be read."""
    for name in names:
        if name == "-":
            yield from _in_lines()
            continue
        for source in sources([name]):
            if source.error is not None:
                yield f"{source.name}: {source.error}"
                continue
            report = pipeline.read(source.raw, known, Policy()).report
            for entry in report.recipients:
                if entry.action in (Action.FAILED, Action.DELAYED):
                    yield recipients.evidence(entry, report)


def _in_lines() -> Iterator[Evidence | str]:
    for number, line in enumerate(sys.stdin, 1):
        try:
            found = json.loads(line)
        except ValueError:
            yield f"line {number}: no JSON"
            continue
        if isinstance(found, dict):
            for one in found.get("recipients", [found]):
                yield Evidence(
                    text=str(one.get("diagnostic") or ""),
                    status=one.get("status"),
                    remote_mta=one.get("remote_mta"),
                )
