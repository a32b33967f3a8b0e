"""`bounced rules`: list the rules, prove them by their examples, find those that are wrong or in the way."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from bounced import knowledge
from bounced.commands import Exit, complain, say
from bounced.core.classify import matches
from bounced.core.model import Evidence
from bounced.core.printable import printable
from bounced.core.rulefile import RulesError
from bounced.core.ruleset import Layer, Rule, Ruleset


def run(args: argparse.Namespace) -> int:
    """List, test or lint the rules of `args.directory` together with ours; 1 when something is wrong."""
    directory: Path | None = args.directory
    try:
        if directory is not None:
            next(directory.iterdir(), None)
    except OSError as error:
        complain(f"{directory}: {error.strerror}")
        return Exit.USAGE
    try:
        rules = knowledge.load(directory).rules
    except RulesError as error:
        complain(*error.problems)
        return Exit.NO
    found = {"list": listed, "test": failures, "lint": lint}[args.what](rules)
    lines = [printable(line) for line in found]
    for line in lines:
        say(line)
    if args.what == "list":
        return Exit.OK
    examples = sum(len(rule.examples) + len(rule.counter_examples) for rule in rules.rules)
    proof = (
        f"{examples} examples run" if args.what == "test" else f"{examples} examples (rules test runs them)"
    )
    say(f"{len(rules.rules)} rules, {proof}, {len(lines) or 'no'} problems")
    return Exit.NO if lines else Exit.OK


def listed(rules: Ruleset) -> Iterator[str]:
    """Return a line a rule, in the order in which they are consulted."""
    for rule in rules.rules:
        yield f"{rule.id:<32} {rule.category:<24} {rule.layer:<11} {rule.file}:{rule.line}"


def failures(rules: Ruleset) -> Iterator[str]:
    """Return a line for each example that another rule decides, and each counter-example that its own does."""
    for rule in rules.rules:
        for example in rule.examples:
            first = _first(example, rules)
            if first is not rule:
                yield f"{_at(rule)}: example {_shown(example)} is decided by {_named(first)}"
        for example in rule.counter_examples:
            if _first(example, rules) is rule:
                yield f"{_at(rule)}: counter-example {_shown(example)} is decided by this rule"


def lint(rules: Ruleset) -> Iterator[str]:
    """Return a line for each rule without proof, out of reach, written twice, or in the way of another."""
    seen: dict[tuple[object, ...], Rule] = {}
    for rule in rules.rules:
        firsts = [_first(example, rules) for example in rule.examples]
        if not rule.examples:
            yield f"{_at(rule)}: no examples; add one reply that it is meant for"
        elif rule not in firsts:
            yield f"{_at(rule)}: unreachable: {_named(firsts[0])} decides its examples; move it up or narrow that"
        for pattern in rule.text:
            fields = (
                pattern,
                rule.status,
                rule.reply_code,
                rule.remote_mta,
                rule.reporting_mta,
                rule.command,
            )
            if (other := seen.setdefault(fields, rule)) is not rule:
                yield f"{_at(rule)}: overlaps {_named(other)}: both have the text {pattern!r}"
        in_the_way = {
            first.id: first
            for first in firsts
            if first and first.layer is Layer.OPERATOR and first is not rule
        }
        for first in in_the_way.values():
            yield f"{_at(first)}: overlaps {_named(rule)}: it decides some of that rule's examples"


def _first(evidence: Evidence, rules: Ruleset) -> Rule | None:
    return next(iter(matches(evidence, rules)), None)


def _at(rule: Rule) -> str:
    return f"{rule.file}:{rule.line}: rule {rule.id!r}"


def _named(rule: Rule | None) -> str:
    return f"{rule.id!r} ({rule.category}, {rule.file}:{rule.line})" if rule else "no rule"


def _shown(example: Evidence) -> str:
    said = example.text or example.explanation
    return (
        repr(said) if said else repr({k: v for k in example.__struct_fields__ if (v := getattr(example, k))})
    )
