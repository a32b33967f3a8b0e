"""`bounced explain`: what a returned mail means, the evidence and the rule, and what would come of it."""

import argparse

from bounced.commands import Exit, complain, say
from bounced.commands.classify import judgement
from bounced.commands.judging import judged_by
from bounced.commands.sources import sources
from bounced.core import pipeline, recipients
from bounced.core.model import Severity
from bounced.core.policy import Period, Policy
from bounced.core.printable import printable
from bounced.core.rulefile import RulesError
from bounced.settings import SettingsError

MAX_RECIPIENTS = 100

EFFECTS = {
    Severity.HARD: "the address rests for {expiry}",
    Severity.SOFT: "one more soft bounce in a row; after {limit} the address rests for {expiry}",
    Severity.RECORD: "it is noted, and counts for nothing",
    Severity.NONE: "nothing is counted",
}


def run(args: argparse.Namespace) -> int:
    """Explain every message of `args.files`; 1 when one could not be read."""
    try:
        known, policy = judged_by(args, args.rules)
    except (SettingsError, RulesError) as error:
        complain(*error.problems)
        return Exit.CONFIG
    status = Exit.OK
    for source in sources(args.files):
        if source.error is not None:
            complain(f"{source.name}: {source.error}")
            status = Exit.NO
            continue
        say(f"{printable(source.name)}")
        _explain(source.raw, known, policy)
    return status


def _explain(raw: bytes, known: pipeline.Knowledge, policy: Policy) -> None:
    reading = pipeline.read(raw, known, policy, max_recipients=MAX_RECIPIENTS)
    report = reading.report
    say(f"kind        {report.kind}")
    for label, value in (
        ("reported by", report.reporting_mta),
        ("read as", report.source),
        ("identity", reading.identity),
        *(("problem", problem) for problem in report.problems),
    ):
        if value:
            say(f"{label:<11} {printable(value)}")
    chosen, _ = recipients.choose(report, MAX_RECIPIENTS)
    entries = {recipient.address: recipient.report for recipient in chosen}
    for verdict in reading.verdicts:
        say("")
        say(f"recipient   {printable(verdict.recipient)}: {verdict.action or 'no action'}")
        for line in judgement(recipients.evidence(entries[verdict.recipient], report), known.rules):
            say(line)
        effect = EFFECTS[verdict.severity].format(limit=policy.soft_limit, expiry=_words(policy.hard_expiry))
        say(f"severity    {verdict.severity}: {effect}")
    if reading.left_out:
        say(f"\n{reading.left_out} more recipients are not believed")


def _words(period: Period) -> str:
    return f"{period.months} months" if period.months else f"{period.days} days"
