"""The command line: names, arguments and help. What a command does is in commands/.

Nothing heavy is imported here, so that --help answers at once.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from bounced import __version__, cli_operators, cli_senders

USAGE_ERROR = 64  # EX_USAGE of sysexits.h

DESCRIPTION = """\
The mail server behind your return path. It takes the mail that comes back, finds out for each recipient what
went wrong, and keeps in Redis whom you should leave alone, and until when."""

EPILOG = """\
start here:
  bounced serve                      try it: SMTP on 127.0.0.1:2525 and a store of its own
  bounced check jane@example.org     may I send to her? exit status 0: yes, 1: no
  bounced parse returned.eml         what a returned mail says

Every command explains itself: bounced check --help"""


class Parser(argparse.ArgumentParser):
    """An argument parser that leaves with the status of sysexits.h."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how to find out what is right."""
        self.exit(USAGE_ERROR, f"{self.prog}: {message}\nTry: {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = parser().parse_args(argv)
    command = importlib.import_module(f"bounced.commands.{arguments.command.replace('-', '_')}")
    try:
        status: int = command.run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stdout = None  # else Python complains when it flushes at exit
        return 1
    except OSError as error:  # a full disk, mostly: what a command expects to fail, it tells itself
        sys.stderr.write(f"bounced: {error.strerror or error}\n")
        sys.stdout = None
        return 1
    return status


def parser() -> Parser:
    """Return the parser of the whole command line."""
    top = Parser(
        prog="bounced",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"bounced {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")

    def command(name: str, summary: str, text: str) -> Parser:
        return commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    serve = command("serve", "take returned mail over SMTP, until SIGTERM", SERVE)
    serve.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)  # workers.py starts them
    _settings(serve)
    _settings(command("check-config", "name every error of the settings, or show them", CHECK_CONFIG))

    parse = command("parse", "say what returned mail means, without a store", PARSE)
    parse.add_argument("--json", action="store_true", help="one JSON object a message")
    parse.add_argument(
        "files", nargs="+", metavar="FILE|DIR|-", help="a message, mbox, Maildir, or - for stdin"
    )
    _settings(parse)

    explain = command("explain", "say what returned mail means and why, to a person", EXPLAIN)
    explain.add_argument("files", nargs="+", metavar="FILE|DIR|-", help="like parse")
    classify = command("classify", "say what one reply means, and by which rule", CLASSIFY)
    classify.add_argument("reply", metavar="REPLY", help="what the refusing server said")
    classify.add_argument("--status", metavar="X.Y.Z", help="enhanced status code of the report")
    classify.add_argument("--remote-mta", metavar="HOST", help="who said it")
    classify.add_argument("--smtp-command", metavar="VERB", help="what was refused: MAIL, RCPT, DATA")
    review = command("review", "begin rules for what no good rule could judge", REVIEW)
    review.add_argument("files", nargs="+", metavar="FILE|DIR|-", help="like parse; -: JSON lines from stdin")
    for judges in (explain, classify, review):
        judges.add_argument(
            "--rules", type=Path, metavar="DIR", help="rules of your own, instead of those in rules_dir"
        )
        _settings(judges)
    rules = command("rules", "list, test or lint the rules", RULES)
    rules.add_argument("what", choices=("list", "test", "lint"))
    rules.add_argument(
        "directory", nargs="?", type=Path, metavar="DIR", help="rules of your own, consulted before ours"
    )

    check = command("check", "may I send to these addresses?", CHECK)
    _addresses(check)
    release = command("release", "let an address be sent to again", RELEASE)
    release.add_argument("address", metavar="ADDRESS")
    delivered = command("delivered", "note that a message got through", DELIVERED)
    _addresses(delivered)
    for theirs in (check, release, delivered, *cli_senders.declare(command), *cli_operators.declare(command)):
        _settings(theirs)
    return top


def _settings(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", type=Path, metavar="FILE", help="settings, instead of /etc/bounced/bounced.toml"
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting, over file and environment; may be repeated",
    )


def _addresses(command: Parser) -> None:
    command.add_argument(
        "addresses", nargs="+", metavar="ADDRESS|-", help="an address; -: one a line from stdin"
    )


SERVE = """\
Without settings it listens on 127.0.0.1:2525 and runs a Valkey server of its own, whose data it keeps in
$STATE_DIRECTORY, else ~/.local/state/bounced. One line of JSON is logged to stdout for each recipient; at a
terminal it is coloured text.

examples:
  bounced serve
  bounced serve --config bounced.toml
  bounced serve --set smtp.listen=127.0.0.1:25025 --set redis.url=redis://127.0.0.1:6379/0

SIGTERM or Ctrl-C: take no more mail, finish what was accepted, leave. A second Ctrl-C leaves at once.
Exit status: 0 after a signal, 1 address in use, 69 no embedded store, 77 no permission for the port, 78 settings."""

CHECK_CONFIG = """\
Settings come from the file, from variables such as BOUNCED_SMTP__LISTEN, and from --set; the last one wins.
What is printed is TOML with the origin of each value, and holds no password.

example:
  $ bounced check-config --config bounced.toml
  bounced.toml: smtp.limits.recipient: no such setting; did you mean smtp.limits.recipients?

Exit status: 0 all is well, 78 with every error on a line of its own."""

PARSE = """\
A directory is a Maildir, or holds one message a file. Nothing is changed anywhere.

examples:
  bounced parse returned.eml
  bounced parse --json Maildir/ | jq -r '.recipients[] | [.recipient, .category] | @tsv'

Exit status: 0, or 1 when a file could not be read; the others are done all the same."""

EXPLAIN = """\
For each recipient: the evidence, the rule that decided, what weaker rules would have said, what it does to the
address, and who should do what. No store is asked.

example:
  $ bounced explain returned.eml
  recipient   jane@example.org: failed
  category    full-mailbox: the mailbox is full, or gets more mail than it may

Exit status: 0, 1 when a file could not be read, 78 when rules are wrong."""

CLASSIFY = """\
examples:
  bounced classify "552 5.2.2 mailbox full"
  bounced classify "550 5.4.1 Access denied" --remote-mta mx.mail.protection.outlook.com

Exit status: 0, or 78 when rules are wrong."""

REVIEW = """\
Diagnostics that differ in names only are one group, the most frequent first; each is printed as the beginning of
a rule in TOML.

examples:
  bounced review Maildir/ > new-rules.toml
  journalctl -u bounced -o cat | bounced review -

Exit status: 0, 1 when something could not be read, 78 when rules are wrong."""

RULES = """\
list  every rule in the order in which they are consulted
test  each example must be decided by its own rule
lint  also: rules that cannot be compiled, are out of reach, overlap, or have no examples; with file and line

example:
  bounced rules lint /etc/bounced/rules.d

Exit status: 0, or 1 when something is wrong."""

CHECK = """\
One line for each address: the address, "send" or "rest", and until when to let it rest.

examples:
  bounced check jane@example.org && sendmail jane@example.org < letter
  bounced check - < addresses.txt | awk '$2 == "send" { print $1 }' > sendable.txt

Exit status: 0 all may be sent to, 1 some may not, 69 the store does not answer."""

RELEASE = """\
For when you know better: the mailbox is back, the report was wrong. Her next soft bounce counts as the first.

example:
  bounced release jane@example.org

Exit status: 0, 69 the store does not answer."""

DELIVERED = """\
Five messages in a row that bounce softly make an address rest. When you know that one got through (your mail
server's log says so, or she opened it), say it here and the row starts again. An address that rests stays so.

examples:
  bounced delivered jane@example.org
  delivered-addresses-of-today | bounced delivered -

Exit status: 0, 1 when some were no addresses, 69 the store does not answer."""
