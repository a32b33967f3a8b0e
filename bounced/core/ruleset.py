"""The table of rules, matched: typed fields of the evidence each on its own, all patterns in one pass.

core/rulefile.py reads it and says what a rule is. Layers are consulted in the order of `Layer`, within a layer rules
in the order given: the first that matches decides. Linear in the texts, raises nothing.
"""

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bounced.core import text
from bounced.core.address import is_within
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
        self._listed = functools.lru_cache(REMEMBERED)(self._listed_domain)
        self._patterns = Patterns(comparable(pattern) for rule in self.rules for pattern in rule.text)

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

    def _listed_domain(self, host: str | None) -> str | None:
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


# Masks are words to RE2: "<addr>" is matched as "_addr_", which no masked text has otherwise.
_WORDY = str.maketrans("<>", "__")
_MASK = re.compile(r"<(addr|fqdn|ip|url|id)>")


def comparable(pattern: str) -> str:
    """Return a pattern as it is looked for in masked texts."""
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
    return any(is_within(host, domain) for domain in domains)


def _all_extensions(wanted: Mapping[str, tuple[str, ...]], fields: Mapping[str, str]) -> bool:
    return all(fields.get(name, "").strip().lower() in values for name, values in wanted.items())
