"""`bounced classify`: what one reply means, and which rule says so."""

import argparse
import re
from collections.abc import Iterator
from importlib.resources import files

from bounced.commands import Exit, complain, say
from bounced.commands.judging import judged_by
from bounced.core import advice, classify
from bounced.core.model import Category, Evidence
from bounced.core.printable import printable
from bounced.core.rulefile import RulesError
from bounced.core.ruleset import Ruleset
from bounced.core.text import mask
from bounced.settings import SettingsError

_SHOWN = 4  # runners-up
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_COMMANDS = ("CONNECT", "EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT")


def run(args: argparse.Namespace) -> int:
    """Print the category of `args.reply`, the rule, its reason, and what weaker rules would have said."""
    if args.status is not None and not _STATUS.fullmatch(args.status):
        complain(f"--status {args.status}: expected X.Y.Z, such as 5.1.1")
        return Exit.USAGE
    if args.smtp_command is not None and args.smtp_command.upper() not in _COMMANDS:
        complain(f"--smtp-command {args.smtp_command}: expected one of {', '.join(_COMMANDS)}")
        return Exit.USAGE
    try:
        rules = judged_by(args, args.rules)[0].rules
    except (SettingsError, RulesError) as error:
        complain(*error.problems)
        return Exit.CONFIG
    evidence = Evidence(
        text=args.reply,
        status=args.status,
        remote_mta=args.remote_mta,
        command=args.smtp_command and args.smtp_command.upper(),
    )
    for line in judgement(evidence, rules):
        say(line)
    return Exit.OK


def judgement(evidence: Evidence, rules: Ruleset) -> Iterator[str]:
    """Return the lines that tell a person what this evidence means and why, safe to print."""
    evidence = classify.completed(evidence)
    matching = classify.matches(evidence, rules)
    category = matching[0].category if matching else Category.OTHER
    told = advice.read(files("bounced.core").joinpath("categories.toml").read_text("utf-8"))[category]
    yield f"category    {category}: {told.meaning}"
    for label, value in (
        ("said", evidence.text),
        ("explained", "" if matching and mask(evidence.text) else evidence.explanation),
        ("codes", " ".join(filter(None, (evidence.reply_code, evidence.status, evidence.command)))),
        ("remote MTA", evidence.remote_mta),
    ):
        if value:
            yield f"{label:<11} {printable(' '.join(value.split())[:400])}"
    if matching:
        yield f"rule        {matching[0].id} ({matching[0].file}:{matching[0].line}, {matching[0].layer})"
        yield f"why         {matching[0].why} [{matching[0].source}]"
    for rule in matching[1 : 1 + _SHOWN]:
        yield f"else        {rule.category} by {rule.id} ({rule.layer})"
    yield f"to act      {told.who}: {told.advice}"
