"""Decide the category of one recipient's failure from its evidence.

Weighed as CATEGORIES says: specific words of the diagnostic, then specific words of the explanation, then a
specific enhanced status code, then words that say little, then codes that say little. The order is that of the
layers in core/ruleset.py; within a layer the diagnostic is heard before the explanation. Pure; raises nothing.
"""

from bounced.core import status
from bounced.core.model import Classification, Evidence
from bounced.core.ruleset import Rule, Ruleset
from bounced.core.text import mask

# X- fields in which a mail server hands on what the refusing server said.
TELLING = ("x-supplementary-info", "x-diagnostic-code", "x-notes", "x-display-text")


def classify(evidence: Evidence, rules: Ruleset) -> Classification:
    """Return the category of the strongest rule that matches, and what weaker ones would have said.

    A text is not read when those before it have decided as strongly as any could. Without any match the category
    is "other" and the rule is "".
    """
    evidence = completed(evidence)
    said: tuple[str, ...] = ()
    for words in _texts(evidence):
        said = (*said, mask(words))
        judged = rules.judge(said, evidence)
        if judged.settled:
            break
    return judged


def matches(evidence: Evidence, rules: Ruleset) -> list[Rule]:
    """Return every rule that matches, the one that decides first."""
    evidence = completed(evidence)
    return rules.matching([mask(words) for words in _texts(evidence)], evidence)


def completed(evidence: Evidence) -> Evidence:
    """Return the evidence with the codes and the command that stand in its text only.

    A status code in the text is the refusing server's own, so one that says something beats the field, which
    the reporting server may have made up.
    """
    said = evidence.text or evidence.explanation
    told = status.find(evidence.text)
    if not status.is_specific(told):
        told = evidence.status or told
    if not status.is_specific(told):
        others = (
            status.find(words) for words in _texts(evidence)[1 : None if said is evidence.explanation else -1]
        )
        told = next(filter(status.is_specific, others), told)
    return Evidence(
        text=evidence.text,
        explanation=evidence.explanation,
        status=told,
        reply_code=evidence.reply_code or status.reply_code(said),
        remote_mta=evidence.remote_mta,
        reporting_mta=evidence.reporting_mta,
        command=evidence.command or status.command(evidence.text) or status.command(evidence.explanation),
        extensions=evidence.extensions,
    )


def _texts(evidence: Evidence) -> list[str]:
    """Return what was said, the refusing server's own words first."""
    fields = evidence.extensions or {}
    return [evidence.text, *(fields[name] for name in TELLING if name in fields), evidence.explanation]
