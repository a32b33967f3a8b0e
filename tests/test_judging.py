"""explain, classify, review, rules: what a person sees of the judgement, and how rules are begun and proven."""

import io
import json
import sys
import tomllib
from pathlib import Path

import pytest

from bounced.cli import main
from tests.reports import SOFT, Fate, postfix_style

OWN = """\
[[rule]]
id = "own-refusal"
category = "policy-related"
text = ["the captain says no"]
why = "our partner's words"
source = "a letter"
examples = ["550 The captain says no"]
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A directory with one rule of the operator's."""
    directory = tmp_path / "rules.d"
    directory.mkdir()
    (directory / "own.toml").write_text(OWN)
    return directory


@pytest.fixture
def returned(tmp_path: Path) -> Path:
    path = tmp_path / "returned.eml"
    fates = [
        Fate("jane@example.org"),
        Fate("joe@example.org", *SOFT),
        Fate("ann@example.org", "5.0.0", "smtp; 550 \x1b[2Jxyzzy"),
    ]
    path.write_bytes(postfix_style(fates, "m1"))
    return path


def test_explain_shows_evidence_rule_effect_and_advice(returned, capsys):
    assert main(["explain", str(returned)]) == 0
    said = capsys.readouterr().out
    for expected in (
        "kind        bounce",
        "recipient   jane@example.org: failed",
        "category    invalid-mailbox: there is no such mailbox",
        "said        550 5.1.1 User unknown",
        "rule        user-unknown (32-invalid-mailbox.toml:",
        "else        invalid-mailbox by status-no-mailbox (status)",
        "severity    hard: the address rests for 6 months",
        "category    full-mailbox",
        "severity    soft: one more soft bounce in a row; after 5 the address rests",
        "to act      recipient: Wait",
    ):
        assert expected in said


def test_nothing_of_a_stranger_reaches_the_terminal_unescaped(returned, capsys):
    for command in ("explain", "review"):
        main([command, str(returned)])
        assert "\x1b" not in capsys.readouterr().out


def test_explain_goes_on_after_a_file_that_cannot_be_read(returned, capsys):
    assert main(["explain", "/nonexistent.eml", str(returned)]) == 1
    out, err = capsys.readouterr()
    assert "/nonexistent.eml" in err
    assert "jane@example.org" in out


def test_classify_judges_one_reply(capsys):
    assert (
        main(["classify", "550 5.4.1 Access denied", "--remote-mta", "mx.mail.protection.outlook.com"]) == 0
    )
    assert capsys.readouterr().out.startswith("category    invalid-mailbox")


def test_own_rules_are_consulted_first(own, capsys):
    assert main(["classify", "550 5.1.1 user unknown, the captain says no", "--rules", str(own)]) == 0
    assert "rule        own-refusal (own.toml:1, operator)" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["classify", "x"], ["explain", "x"], ["review", "x"]])
def test_rules_that_are_wrong_are_named(own, command, capsys):
    (own / "bad.toml").write_text('[[rule]]\nid = "x"\ncategory = "other"\ntext = "("\n')
    assert main([*command, "--rules", str(own)]) == 78
    assert "bad.toml:1: rule 'x': text '(' is no RE2 pattern" in capsys.readouterr().err


def test_rules_are_listed_in_order(own, capsys):
    assert main(["rules", "list", str(own)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["own-refusal", "policy-related", "operator", "own.toml:1"]
    assert len(lines) > 100


@pytest.mark.parametrize("what", ["test", "lint"])
def test_good_rules_have_no_problems(own, what, capsys):
    assert main(["rules", what, str(own)]) == 0
    assert "no problems" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("what", "toml", "problem"),
    [
        ("test", OWN.replace('captain says no"]\nwhy', 'mate says no"]\nwhy'), "is decided by"),
        (
            "test",
            OWN + 'counter_examples = ["550 the captain says no, sir"]',
            "counter-example '550 the captain says no, sir'",
        ),
        (
            "test",
            OWN.replace('"550 The captain says no"', '{ status = "5.1.1" }'),
            "example {'status': '5.1.1'} is decided by",
        ),
        (
            "lint",
            OWN.replace('examples = ["550 The captain says no"]', ""),
            "own.toml:1: rule 'own-refusal': no examples",
        ),
        (
            "lint",
            OWN + OWN.replace("own-refusal", "again"),
            "own.toml:8: rule 'again': unreachable: 'own-refusal' (policy-related, own.toml:1)",
        ),
        ("lint", OWN + OWN.replace("own-refusal", "again"), "overlaps 'own-refusal'"),
        (
            "lint",
            OWN.replace("the captain says no", "mailbox does not exist|captain"),
            "overlaps 'user-unknown' (invalid-mailbox",
        ),
        ("lint", "x = [", "own.toml:1: no TOML"),
    ],
)
def test_problems_of_rules_are_named_with_file_and_line(own, what, toml, problem, capsys):
    (own / "own.toml").write_text(toml)
    assert main(["rules", what, str(own)]) == 1
    out, err = capsys.readouterr()
    assert problem in out + err


def test_a_directory_that_is_not_there(capsys):
    assert main(["rules", "lint", "/nonexistent"]) == 64
    assert "No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["classify", "explain", "review", "parse"])
def test_rules_dir_and_policy_of_the_settings_are_gone_by(own, returned, command, capsys):
    what = "550 our captain says no" if command == "classify" else str(returned)
    assert main([command, what, "--set", "rules_dir=/nonexistent"]) == 78
    assert capsys.readouterr().err == "bounced: /nonexistent: No such file or directory\n"
    assert main([command, what, "--set", f"rules_dir={own}"]) == 0


def test_parse_goes_by_the_policy(returned, capsys):
    main(["parse", str(returned), "--set", "policy.severity.invalid-mailbox=record"])
    assert "\trecord\t" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["classify", "explain", "review"])
def test_the_directory_of_the_command_line_must_be_there_too(command, capsys):
    assert main([command, "550 no", "--rules", "/nonexistent"]) == 78
    assert "/nonexistent" in capsys.readouterr().err


def test_review_begins_a_rule_for_each_group(tmp_path, capsys):
    for number, text in enumerate(
        ["550 xyzzy <a@example.org> (x) 7", "550 xyzzy <b@example.org> (x) 7", "550 plugh"]
    ):
        path = tmp_path / f"{number}.eml"
        path.write_bytes(postfix_style([Fate("jane@example.org", "5.0.0", f"smtp; {text}")], f"m{number}"))
    assert main(["review", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("# 2 times; now ")
    rules = tomllib.loads(said)["rule"]
    assert [rule["examples"] for rule in rules] == [
        ["550 xyzzy <a@example.org> (x) 7", "550 xyzzy <b@example.org> (x) 7"],
        ["550 plugh"],
    ]


def test_what_review_prints_is_a_rule_that_works(tmp_path, capsys, monkeypatch):
    line = {"diagnostic": "550 xyzzy (jane@example.org)! 1+1", "recipient": "jane@example.org"}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(line) + "\n"))
    assert main(["review", "-"]) == 0
    (tmp_path / "new.toml").write_text(capsys.readouterr().out)
    assert main(["rules", "test", str(tmp_path)]) == 0


def test_review_reads_lines_of_parse_and_of_the_log(capsys, monkeypatch):
    lines = [
        {"recipients": [{"diagnostic": "550 plugh"}, {"diagnostic": "550 5.1.1 user unknown"}]},
        {"event": "bounce.recorded", "diagnostic": "550 plugh"},
        {"event": "started", "diagnostic": None},
        [1],
    ]
    monkeypatch.setattr(
        sys, "stdin", io.StringIO("".join(json.dumps(line) + "\n" for line in lines) + "no json\n")
    )
    assert main(["review", "-"]) == 1
    out, err = capsys.readouterr()
    assert [rule["examples"] for rule in tomllib.loads(out)["rule"]] == [["550 plugh"]]
    assert out.startswith("# 2 times; now nothing")
    assert "line 5: no JSON" in err


def test_review_names_a_file_that_cannot_be_read(capsys):
    assert main(["review", "/nonexistent.eml"]) == 1
    assert "/nonexistent.eml" in capsys.readouterr().err
