"""Rule files become a ruleset, or a list of every error with file, line and what to do."""

from typing import Any

import pytest

from bounced.core.classify import classify
from bounced.core.model import Category, Evidence
from bounced.core.rulefile import RulesError, compile_rules
from bounced.core.ruleset import Layer


def rule(body: str, head: str = "") -> str:
    return f'{head}\n[[rule]]\nid = "r"\ncategory = "other"\n{body}\n'


def decided(toml: str, **fields: Any) -> bool:
    return classify(Evidence(**fields), compile_rules([("a.toml", toml)])).rule == "r"


@pytest.mark.parametrize(
    ("body", "fields", "matches"),
    [
        ('text = "gone fishing"', {"text": "550 He is Gone Fishing!"}, True),
        ('text = "gone fishing"', {"text": "550 he is here"}, False),
        ('text = "gone"', {"explanation": "he is gone"}, True),
        ('text = "boîte"', {"text": "550 la boite"}, True),
        ('text = ["a{2}b", "c{who}d"]', {"text": "cxxd"}, True),
        ('text = "gone {2 words}fishing"', {"text": "he is gone all day fishing"}, True),
        ('text = "gone {2 words}fishing"', {"text": "he is gone. now fishing"}, False),
        ("text = '''\n  (?:gone|\n  left)\n'''", {"text": "he left"}, True),
        ('text = "x"\nstatus = "5.1.1"', {"text": "x", "status": "5.1.1"}, True),
        ('text = "x"\nstatus = "5.1.1"', {"text": "x", "status": "5.1.2"}, False),
        ('status = "*.2.2"', {"status": "4.2.2"}, True),
        ('status = "5.7.2"', {"status": "5.7.23"}, False),
        ('status = "5.7.*"', {"text": "550 5.7.23"}, True),
        ('status = "5.1.1"', {}, False),
        ('reply_code = ["550", "45*"]', {"reply_code": "452"}, True),
        ('reply_code = "550"', {"text": "host said: 550 no"}, True),
        ('reply_code = "550"', {"reply_code": "551"}, False),
        ('status = "5.1.1"\nreply_code = "550"', {"status": "5.1.1", "reply_code": "551"}, False),
        ('command = "RCPT"', {"command": "RCPT"}, True),
        ('command = "RCPT"', {"text": "550 no (in reply to RCPT TO command)"}, True),
        ('command = "RCPT"', {"command": "DATA"}, False),
        ('remote_mta = "outlook.com"', {"remote_mta": "MX.Outlook.com."}, True),
        ('remote_mta = "outlook.com"', {"remote_mta": "notoutlook.com"}, False),
        ('remote_mta = "outlook.com"', {}, False),
        ('reporting_mta = "outlook.com"', {"reporting_mta": "outlook.com"}, True),
        ('reporting_mta = "outlook.com"', {"reporting_mta": "example.org"}, False),
        ('extensions = { X-Kind = "Bad" }', {"extensions": {"x-kind": " bad"}}, True),
        ('extensions = { X-Kind = "Bad" }', {"extensions": {"x-kind": "good"}}, False),
        ('extensions = { X-Kind = "Bad" }', {}, False),
        ('text = "x"\nextensions = { x-kind = "bad" }', {"text": "x"}, False),
    ],
)
def test_a_rule_matches_typed_fields(body, fields, matches):
    head = '[words]\nwho = "x+"' if "{who}" in body else ""
    assert decided(rule(body, head), **fields) is matches


def test_files_and_rules_are_consulted_in_order():
    def named(name: str, layer: str = "") -> str:
        head = f'layer = "{layer}"' if layer else ""
        return rule('text = "x"', head).replace('"r"', f'"{name}"')

    rules = compile_rules(
        [
            ("1", named("weak", "weak words")),
            ("2", named("first")),
            ("3", named("second")),
            ("4", named("word", "words")),
        ]
    )
    assert [one.id for one in rules.rules] == ["first", "second", "word", "weak"]
    assert rules.rules[0].layer is Layer.OPERATOR


def test_a_rule_knows_where_it_stands_and_what_proves_it():
    toml = rule(
        'text = "x"\nexamples = ["550 x", { status = "5.1.1" }]\ncounter_examples = "550 y"', "# note"
    )
    one = compile_rules([("a.toml", toml)]).rules[0]
    assert (one.file, one.line, one.category) == ("a.toml", 2, Category.OTHER)
    assert one.examples == (Evidence(text="550 x"), Evidence(status="5.1.1"))
    assert one.counter_examples == (Evidence(text="550 y"),)


def test_no_rules_decide_nothing():
    assert classify(Evidence(text="550 5.1.1 user unknown"), compile_rules([])).rule == ""


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("x = [", "f:1: no TOML"),
        ('a = 1\nlayer = "words"', "f:1: unknown key 'a'"),
        ('layer = "best"', "f:1: no layer 'best'; there are: operator"),
        ('layer = ["words"]', "f:1: no layer ['words']"),
        ("rule = 5", "f:1: rule is no array of tables"),
        ("rule = [5]", "f:1: rule is no array of tables"),
        ('words = "x"', "f:1: words must be a table of strings"),
        ("words = { a = 1 }", "f:1: words must be a table of strings"),
        (rule('text = "x"\nfoo = 1'), "f:2: rule 'r': unknown key 'foo'"),
        (rule('text = "x"').replace('"other"', '"none"'), "f:2: rule 'r': no category 'none'"),
        (rule('text = "x"').replace('"r"', '"A b"'), "id 'A b' has the wrong form; use lower-case"),
        (rule('text = "x"').replace('id = "r"', ""), "f:2: rule 'without id': id '' has the wrong form"),
        (rule('text = "x"').replace('"other"', "5"), "f:2: rule 'r': category must be a string"),
        (rule('text = "("'), "f:2: rule 'r': text '(' is no RE2 pattern"),
        (rule('text = "(?=x)"'), "is no RE2 pattern; it has no look-around"),
        (rule('text = "{who} gone"'), "text has {who}, which is not among the [words]"),
        (rule('text = ""'), "text must be a string or a list of strings, none of them empty"),
        (rule("text = 5"), "text must be a string or a list of strings"),
        (rule('status = "5.1"'), "status '5.1' has the wrong form; write \"5.1.1\""),
        (rule('reply_code = "55"'), "reply_code '55' has the wrong form"),
        (rule("extensions = 5"), "extensions must be a table"),
        (
            rule('text = "x"\nexamples = [{ txt = "x" }]'),
            "examples holds strings, or tables with some of: text",
        ),
        (rule('text = "x"\nexamples = [5]'), "examples holds strings, or tables with some of: text"),
        (rule(""), "f:2: rule 'r': matches everything; name at least one of text"),
        (rule('text = "x"') * 2, "f:7: rule 'r' is already in f:2; rename one"),
    ],
)
def test_a_problem_is_named_with_its_place_and_remedy(toml, problem):
    with pytest.raises(RulesError) as caught:
        compile_rules([("f", toml)])
    assert any(problem in one for one in caught.value.problems), caught.value.problems


def test_all_problems_are_named_at_once():
    with pytest.raises(RulesError) as caught:
        compile_rules([("f", rule('text = "("\nstatus = "x"')), ("g", "x = [")])
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["f", "f", "g"]
    assert str(caught.value).count("\n") == 2
