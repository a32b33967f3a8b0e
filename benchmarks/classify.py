"""How long a diagnostic takes: all rules in one RE2 set, beside a plain loop over the same patterns with `re`.

    python benchmarks/classify.py

Diagnostics are the examples of the shipped rules: more than are remembered, so that none is met again in time, and
a part of them that is. One core; the best of five rounds.
"""

import functools
import re
import time
from collections.abc import Callable

from bounced import knowledge
from bounced.core import text
from bounced.core.classify import classify
from bounced.core.model import Evidence
from bounced.core.patterns import REMEMBERED

ROUNDS = 5


def best(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest round."""
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def loop(patterns: list[re.Pattern[str]], masked: str) -> list[re.Pattern[str]]:
    """Return the patterns that are in a text, asked one by one."""
    return [pattern for pattern in patterns if pattern.search(masked)]


def main() -> None:
    started = time.perf_counter()
    rules = knowledge.load().rules
    print(f"load and compile         {(time.perf_counter() - started) * 1e3:8.1f} ms")
    evidence = [example for rule in rules.rules for example in rule.examples if example.text]
    masked = [text.mask(one.text) for one in evidence]
    patterns = [
        re.compile(text.fold(pattern).replace(r"\pL", r"[^\W\d_]"), re.IGNORECASE | re.DOTALL)
        for rule in rules.rules
        for pattern in rule.text
    ]
    print(f"{len(rules.rules)} rules, {len(patterns)} patterns, {len(evidence)} diagnostics")

    met = evidence[: REMEMBERED // 2]
    explained = [Evidence(text=one.text, explanation=f"This is the mail system. {one.text}") for one in met]
    for name, number, work in (
        ("classify, met before", len(met), lambda: [classify(one, rules) for one in met]),
        ("the same, with explanation", len(met), lambda: [classify(one, rules) for one in explained]),
        ("classify, never met", len(evidence), lambda: [classify(one, rules) for one in evidence]),
        ("mask", len(evidence), lambda: [text.mask(one.text) for one in evidence]),
        ("match, one RE2 set", len(masked), lambda: [rules.in_text(one) for one in masked]),
        ("match, loop of re", len(masked), lambda: [loop(patterns, one) for one in masked]),
    ):
        print(f"{name:<26} {best(work) / number * 1e6:8.1f} us a diagnostic")

    words = sorted({word for one in masked for word in one.split()})
    mixed = " ".join(words[number * 7919 % len(words)] for number in range(20_000))
    for name, hostile in (
        ("one letter", "a" * 65536),
        ("one word", "mailbox " * 8192),
        ("words of rules", mixed[:65536]),
        ("nearly addresses", "a@" * 32768),
    ):
        started = time.perf_counter()
        classify(Evidence(text=hostile), rules)
        took = time.perf_counter() - started
        cut = text.mask(hostile)
        plain = best(functools.partial(loop, patterns, cut))
        print(f"64 KB of {name:<17} {took * 1e3:8.1f} ms, first time; loop of re {plain * 1e3:8.1f} ms")


if __name__ == "__main__":
    main()
