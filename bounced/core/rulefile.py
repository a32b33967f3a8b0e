"""Rules read from TOML: files become a `Ruleset`, or a list of all that is wrong with them.

A rule matches typed fields of the evidence, each on its own, and every field that it names must match:

    [[rule]]
    id = "user-unknown"               letters, digits and hyphens; unique
    category = "invalid-mailbox"      one of the fifteen
    text = ["user (is )?unknown"]     RE2 syntax, any of them, found in the masked text (core/text.py)
    status = ["5.1.1", "*.2.*"]       enhanced status code; "*" is any number
    reply_code = ["550", "45*"]       SMTP reply code; "*" is any digit
    remote_mta = ["outlook.com"]      who refused: this domain or a host in it; reporting_mta likewise
    command = ["RCPT"]                the SMTP command that was refused
    extensions = { x-field = ["..."] }  an X- field with exactly this value, any case
    why = "..."                       what the reply means
    source = "RFC 3463 section 3.2"   where that is written
    examples = ["550 5.1.1 <jane@example.org>: user unknown", { text = "...", remote_mta = "..." }]
    counter_examples = ["..."]        what this rule must not decide

A file says above its rules which layer they belong to (`layer = "words"`). Layers are consulted in the order of
`Layer`, within a layer files in the order given, within a file rules from top to bottom: the first that matches
decides.

A file may name the words that its patterns share: `[words]` with `who = "(?:user|mailbox)"` lets them say
"{who} unknown". In every pattern "{2 words}" stands for up to two words, whatever they are, and "{..}" for anything
within a sentence. A long pattern may be broken over lines: a line break and the blanks around it are no part of it.

Patterns that RE2 cannot run in linear time are refused, so no pattern and no mail can make matching slow.
"""

import itertools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import re2

from bounced.core import patterns
from bounced.core.model import Category, Evidence
from bounced.core.ruleset import Layer, Rule, Ruleset, comparable


class RulesError(ValueError):
    """Rules that cannot be used. `problems` has every one of them as "file:line: what, and what to do"."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def compile_rules(files: Iterable[tuple[str, str]]) -> Ruleset:
    """Compile (name, TOML text) pairs, in order of priority, into a Ruleset.

    Raises RulesError with every problem of every file; nothing is half loaded.
    """
    problems: list[str] = []
    rules: list[Rule] = []
    for name, content in files:
        rules += _read_file(name, content, problems)
    first: dict[str, Rule] = {}
    problems += [
        f"{rule.file}:{rule.line}: rule {rule.id!r} is already in {other.file}:{other.line}; rename one"
        for rule in rules
        if (other := first.setdefault(rule.id, rule)) is not rule
    ]
    if problems:
        raise RulesError(problems)
    return Ruleset(rules)


_LISTS = ("text", "status", "reply_code", "remote_mta", "reporting_mta", "command")
_WORDS = ("id", "category", "why", "source")
_OTHERS = ("extensions", "examples", "counter_examples")
_CODE_FORMS = {
    "status": (re.compile(r"[245*]\.(?:\d{1,3}|\*)\.(?:\d{1,3}|\*)"), 'write "5.1.1" or "*.1.1"'),
    "reply_code": (re.compile(r"[245*][0-57*][0-9*]"), 'write "550" or "45*"'),
    "id": (re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*"), "use lower-case letters, digits and hyphens"),
}


_WORD = re.compile(r"\{([a-z]\w*)\}")
_GAP = re.compile(r"\{(\d{1,2}) words?\}")


def _read_file(name: str, content: str, problems: list[str]) -> list[Rule]:
    try:
        table = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        problems.append(f"{name}:{line[1] if line else 1}: no TOML: {error}")
        return []
    layer = table.pop("layer", Layer.OPERATOR)
    if layer not in tuple(Layer):
        problems.append(f"{name}:1: no layer {layer!r}; there are: {', '.join(Layer)}")
        layer = Layer.OPERATOR
    rows = table.pop("rule", [])
    words = table.pop("words", {})
    if not isinstance(words, dict) or not all(isinstance(word, str) for word in words.values()):
        problems.append(f"{name}:1: words must be a table of strings")
        words = {}
    problems += [
        f"{name}:1: unknown key {key!r}; a file has a layer, words and [[rule]] tables" for key in table
    ]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        problems.append(f"{name}:1: rule is no array of tables; write [[rule]] above each")
        return []
    lines = _lines_of_rules(content, len(rows))
    found = (
        _Row(name, line, Layer(layer), row, words, problems).rule()
        for line, row in zip(lines, rows, strict=True)
    )
    return [rule for rule in found if rule]


def _lines_of_rules(content: str, count: int) -> list[int]:
    """Return where each [[rule]] stands; TOML readers do not tell."""
    numbers = [n for n, line in enumerate(content.split("\n"), 1) if re.match(r"\s*\[\[\s*rule\s*\]\]", line)]
    return list(itertools.islice(itertools.chain(numbers, itertools.repeat(1)), count))


@dataclass(frozen=True, slots=True)
class _Row:
    """One [[rule]] table on its way to a Rule; what is wrong with it goes to `problems`."""

    file: str
    line: int
    layer: Layer
    row: Mapping[str, Any]
    shared: Mapping[str, str]  # the file's [words]
    problems: list[str]

    def wrong(self, what: str) -> None:
        self.problems.append(f"{self.file}:{self.line}: rule {self.row.get('id', 'without id')!r}: {what}")

    def rule(self) -> Rule | None:
        before = len(self.problems)
        for key in self.row.keys() - {*_LISTS, *_WORDS, *_OTHERS}:
            self.wrong(f"unknown key {key!r}; there are: {', '.join((*_WORDS, *_LISTS, *_OTHERS))}")
        words = {key: self.word(key) for key in _WORDS}
        lists = {key: self.as_strings(key, self.row.get(key, [])) for key in _LISTS}
        lists["text"] = tuple(map(self.spelled_out, lists["text"]))
        self.check(words, lists)
        rule = Rule(
            id=words["id"],
            category=Category.OTHER,
            layer=self.layer,
            file=self.file,
            line=self.line,
            why=words["why"],
            source=words["source"],
            extensions=self.extensions(),
            examples=tuple(self.examples("examples")),
            counter_examples=tuple(self.examples("counter_examples")),
            **lists,
        )
        if not any(lists.values()) and not rule.extensions:
            self.wrong(f"matches everything; name at least one of {', '.join(_LISTS)}, extensions")
        if len(self.problems) > before:
            return None
        return replace(rule, category=Category(words["category"]))

    def check(self, words: Mapping[str, str], lists: Mapping[str, tuple[str, ...]]) -> None:
        if words["category"] not in tuple(Category):
            self.wrong(f"no category {words['category']!r}; there are: {', '.join(Category)}")
        for key, (form, advice) in _CODE_FORMS.items():
            for value in lists.get(key) or [words.get(key, "")] * (key in words):
                if not form.fullmatch(value):
                    self.wrong(f"{key} {value!r} has the wrong form; {advice}")
        for pattern in lists["text"]:
            try:
                patterns.compiled(comparable(pattern))
            except re2.error:
                self.wrong(
                    f"text {pattern!r} is no RE2 pattern; it has no look-around and no back-references, and fits 1 MiB"
                )

    def word(self, key: str) -> str:
        value = self.row.get(key, "")
        if not isinstance(value, str):
            self.wrong(f"{key} must be a string")
            return ""
        return value

    def spelled_out(self, pattern: str) -> str:
        """Put the file's shared words and the gaps into a pattern, on one line; "{1,3}" is neither."""
        for name in set(_WORD.findall(pattern)):
            if name in self.shared:
                pattern = pattern.replace(f"{{{name}}}", _unbroken(self.shared[name]))
            else:
                self.wrong(f"text has {{{name}}}, which is not among the [words] of its file")
        return _GAP.sub(r"(?:[^\\s.:;]+ ){0,\1}", _unbroken(pattern)).replace("{..}", "[^.;。]*")

    def as_strings(self, key: str, value: object) -> tuple[str, ...]:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(one, str) and one for one in values):
            self.wrong(f"{key} must be a string or a list of strings, none of them empty")
            return ()
        return tuple(values)

    def extensions(self) -> dict[str, tuple[str, ...]]:
        table = self.row.get("extensions", {})
        if not isinstance(table, dict):
            self.wrong('extensions must be a table: { x-field = "value" }')
            return {}
        return {
            key.lower(): tuple(value.lower() for value in self.as_strings(key, values))
            for key, values in table.items()
        }

    def examples(self, key: str) -> Iterator[Evidence]:
        rows = self.row.get(key, [])
        for row in rows if isinstance(rows, list) else [rows]:
            try:
                yield Evidence(text=row) if isinstance(row, str) else Evidence(**row)
            except TypeError:
                fields = ", ".join(Evidence.__struct_fields__)
                self.wrong(f"{key} holds strings, or tables with some of: {fields}")


def _unbroken(pattern: str) -> str:
    return "".join(map(str.strip, pattern.split("\n"))) if "\n" in pattern else pattern
