"""What the commands that judge returned mail share: the rules and the policy of the settings."""

import argparse
from pathlib import Path

from bounced import knowledge, settings
from bounced.core.pipeline import Knowledge
from bounced.core.policy import Policy


def judged_by(args: argparse.Namespace, rules: Path | None = None) -> tuple[Knowledge, Policy]:
    """What mail is judged by, as in the daemon; `rules` instead of rules_dir, if given.

    Raises settings.SettingsError and rulefile.RulesError; both have `problems`.
    """
    chosen = settings.load(args.config, args.set).settings
    return knowledge.load(rules or chosen.rules_dir), chosen.decisions()
