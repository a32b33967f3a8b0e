"""The rules that ship: each is proven by its own examples, and the registry of status codes is covered."""

import csv
import itertools
from importlib.resources import files

import pytest

from bounced.core.classify import classify, matches
from bounced.core.model import Category, Evidence
from bounced.core.rulefile import compile_rules
from bounced.core.ruleset import Layer

FOLDER = files("bounced.core").joinpath("rules")
RULES = compile_rules(
    (path.name, path.read_text("utf-8"))
    for path in sorted(FOLDER.iterdir(), key=lambda path: path.name)
    if path.name.endswith(".toml")
)
EXAMPLES = [(rule.id, example) for rule in RULES.rules for example in rule.examples]
COUNTER_EXAMPLES = [(rule.id, example) for rule in RULES.rules for example in rule.counter_examples]
REGISTRY = list(csv.DictReader(FOLDER.joinpath("iana.csv").read_text("utf-8").splitlines()))


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_an_example_is_decided_by_its_rule(rule, example):
    assert classify(example, RULES).rule == rule


@pytest.mark.parametrize(("rule", "example"), COUNTER_EXAMPLES)
def test_a_counter_example_is_not_decided_by_its_rule(rule, example):
    assert classify(example, RULES).rule != rule


def test_every_rule_has_examples_a_reason_and_a_source():
    assert [rule.id for rule in RULES.rules if not (rule.examples and rule.why and rule.source)] == []


def test_there_are_hundreds_of_examples():
    assert len(EXAMPLES) >= 400


def test_every_category_can_be_reached():
    assert {rule.category for rule in RULES.rules} == set(Category)


def test_layers_follow_each_other():
    assert [layer for layer, _ in itertools.groupby(rule.layer for rule in RULES.rules)] == list(Layer)[1:]


@pytest.mark.parametrize("row", REGISTRY, ids=lambda row: row["code"])
def test_every_registered_status_code_is_mapped_or_says_nothing(row):
    codes = [row["code"].replace("X", klass) for klass in "45"]
    decided = [
        bool([rule for rule in matches(Evidence(status=code), RULES) if rule.layer is not Layer.CODES])
        for code in codes
    ]
    assert any(decided) is (row["says"] == "something")
