"""Rules as data: TOML files become one table of rules, whose patterns are looked for in one pass.

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

import functools
import itertools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import re2

from bounced.core import patterns, text
from bounced.core.model import Category, Classification, Evidence
from bounced.core.patterns import LENGTH, REMEMBERED, Patterns


class Layer(StrEnum):
    """How much a rule's evidence says, strongest first."""

    OPERATOR = "operator"  # what the operator knows better: the layer of a file that names none
    WORDS = "words"  # specific words, and who said them
    STATUS = "status"  # an enhanced status code that says something
    WEAK_WORDS = "weak words"  # words that say little: "mailbox unavailable", "rejected"
    EXPIRED = "expired"  # the message was too old, and nothing above says why
    CODES = "codes"  # reply code and SMTP command: little more than a guess


_RANK = {layer: rank for rank, layer in enumerate(Layer)}
WEAK = (Layer.WEAK_WORDS, Layer.CODES)


class RulesError(ValueError):
    """Rules that cannot be used. `problems` has every one of them as "file:line: what, and what to do"."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: what must match, what it means and the proof."""

    id: str
    category: Category
    layer: Layer
    file: str
    line: int
    text: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    reply_code: tuple[str, ...] = ()
    remote_mta: tuple[str, ...] = ()
    reporting_mta: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    extensions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    why: str = ""
    source: str = ""
    examples: tuple[Evidence, ...] = ()
    counter_examples: tuple[Evidence, ...] = ()

    def fields_match(self, evidence: Evidence) -> bool:
        """Tell whether all that this rule asks for besides text is there."""
        return (
            (not self.status or _any_code(self.status, evidence.status))
            and (not self.reply_code or _any_code(self.reply_code, evidence.reply_code))
            and (not self.command or evidence.command in self.command)
            and (not self.remote_mta or _in_domains(evidence.remote_mta, self.remote_mta))
            and (not self.reporting_mta or _in_domains(evidence.reporting_mta, self.reporting_mta))
            and (not self.extensions or _all_extensions(self.extensions, evidence.extensions or {}))
        )


# Status, reply code, remote and reporting MTA, command, X- fields.
_Fields = tuple[str | None, str | None, str | None, str | None, str | None, tuple[tuple[str, str], ...]]


class Ruleset:
    """Compiled rules: immutable once made, so that a reload is one assignment."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(sorted(rules, key=lambda rule: _RANK[rule.layer]))
        self._rank = tuple(_RANK[rule.layer] for rule in self.rules)
        self._number_of_rule: list[int] = []  # by number of pattern
        # A rule without text waits under one of its fields; one that has hosts or a command only is always tried.
        self._by_status: dict[str, list[int]] = {}
        self._by_reply_code: dict[str, list[int]] = {}
        self._by_extension: list[int] = []
        self._others: list[int] = []
        self._domains = frozenset(
            domain for rule in self.rules for domain in (*rule.remote_mta, *rule.reporting_mta)
        )
        self._values: dict[str, set[str]] = {}  # that rules ask for, by name of an X- field
        for number, rule in enumerate(self.rules):
            self._add(number, rule)
        self._remembered = functools.lru_cache(REMEMBERED)(self._judged)
        self._patterns = Patterns(_comparable(pattern) for rule in self.rules for pattern in rule.text)

    def _add(self, number: int, rule: Rule) -> None:
        self._number_of_rule += [number] * len(rule.text)
        for name, values in rule.extensions.items():
            self._values.setdefault(name, set()).update(values)
        if rule.text:
            return
        for code in rule.status:
            self._by_status.setdefault(code, []).append(number)
        for code in () if rule.status else rule.reply_code:
            self._by_reply_code.setdefault(code, []).append(number)
        if not rule.status and not rule.reply_code:
            (self._by_extension if rule.extensions else self._others).append(number)

    def judge(self, texts: tuple[str, ...], evidence: Evidence) -> Classification:
        """Return what the strongest rule says of these masked texts and the evidence's other fields.

        And what weaker ones would have said. Without any match the category is "other" and the rule is "".
        """
        fields = self._asked(evidence)
        if sum(map(len, texts)) > LENGTH:
            return self._judged(texts, fields)
        return self._remembered(texts, fields)

    def matching(self, texts: Sequence[str], evidence: Evidence) -> list[Rule]:
        """Return every rule that matches masked texts and the other fields, the one that decides first.

        Of the texts the first is the refusing server's own.
        """
        # (layer, how close to the refusing server, number): the smallest decides.
        found: dict[int, tuple[int, int, int]] = {}
        rank, table = self._rank, self.rules
        for number in self._by_codes(evidence):
            if table[number].fields_match(evidence):
                found[number] = (rank[number], 0, number)
        for distance, masked in enumerate(texts):
            for number in self.in_text(masked):
                if number not in found and table[number].fields_match(evidence):
                    found[number] = (rank[number], distance, number)
        return [table[number] for *_, number in sorted(found.values())]

    def in_text(self, masked: str) -> set[int]:
        """Return the numbers of the rules that have a pattern in this masked text, in one linear pass."""
        numbers = self._number_of_rule
        return {numbers[pattern] for pattern in self._patterns.found_in(masked.translate(_WORDY))}

    def _asked(self, evidence: Evidence) -> _Fields:
        """Return the evidence as far as rules ask for it: the same for all who differ in nothing that counts."""
        named = evidence.extensions
        return (
            evidence.status,
            evidence.reply_code,
            self._listed(evidence.remote_mta),
            self._listed(evidence.reporting_mta),
            evidence.command,
            tuple([each for each in named.items() if self._is_wanted(*each)]) if named else (),
        )

    def _listed(self, host: str | None) -> str | None:
        """Return the innermost domain of this host that a rule names: it is in all others that do."""
        domain = (host or "").lower().rstrip(".")
        while domain and domain not in self._domains:
            domain = domain.partition(".")[2]
        return domain or None

    def _is_wanted(self, name: str, value: str) -> bool:
        return value.strip().lower() in self._values.get(name, ())

    def _judged(self, texts: tuple[str, ...], fields: _Fields) -> Classification:
        status, reply_code, remote_mta, reporting_mta, command, extensions = fields
        evidence = Evidence("", "", status, reply_code, remote_mta, reporting_mta, command, dict(extensions))
        matching = self.matching(texts, evidence)
        if not matching:
            return Classification(Category.OTHER, "")
        first, *others = matching
        return Classification(
            first.category,
            first.id,
            tuple((rule.category, rule.id) for rule in others),
            settled=first.layer is self.rules[0].layer,
        )

    def _by_codes(self, evidence: Evidence) -> list[int]:
        """Return the numbers of the rules without text that the codes of this evidence may satisfy."""
        found = self._numbers_under(evidence.status, evidence.reply_code)
        return found + self._by_extension if evidence.extensions else found

    def _numbers_under(self, status: str | None, reply_code: str | None) -> list[int]:
        found = [*self._others]
        for code, index in ((status, self._by_status), (reply_code, self._by_reply_code)):
            for wildcard in _wildcards(code) if code else ():
                found += index.get(wildcard, ())
        return found


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
                patterns.check(_comparable(pattern))
            except re2.error:
                self.wrong(
                    f"text {pattern!r} is no RE2 pattern; it has no look-around and no back-references"
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


# Masks are words to RE2: "<addr>" is matched as "_addr_", which no masked text has otherwise.
_WORDY = str.maketrans("<>", "__")
_MASK = re.compile(r"<(addr|fqdn|ip|url|id)>")


def _unbroken(pattern: str) -> str:
    return "".join(map(str.strip, pattern.split("\n"))) if "\n" in pattern else pattern


def _comparable(pattern: str) -> str:
    return _MASK.sub(r"_\1_", text.fold(pattern))


@functools.lru_cache(maxsize=1024)
def _wildcards(code: str) -> tuple[str, ...]:
    """Return every way to write a code with wildcards: "5.1.1", "*.1.1", "5.*.1" ..."""
    if "." in code:
        return tuple(map(".".join, itertools.product(*((part, "*") for part in code.split(".")))))
    return tuple(map("".join, itertools.product(*((digit, "*") for digit in code))))


def _any_code(wanted: tuple[str, ...], code: str | None) -> bool:
    return code is not None and (code in wanted or not set(wanted).isdisjoint(_wildcards(code)))


def _in_domains(host: str | None, domains: tuple[str, ...]) -> bool:
    host = (host or "").lower().rstrip(".")
    return any(host == domain or host.endswith("." + domain) for domain in domains)


def _all_extensions(wanted: Mapping[str, tuple[str, ...]], fields: Mapping[str, str]) -> bool:
    return all(fields.get(name, "").strip().lower() in values for name, values in wanted.items())
