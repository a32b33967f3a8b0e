"""The arguments and help of the commands that senders use. What they do is in commands/."""

import argparse
from collections.abc import Callable, Iterator

SNIPPETS_FOR = (
    "postfix", "exim", "kumomta", "haraka", "php", "node", "go", "ruby", "java", "django", "curl",
)  # fmt: skip


def declare(command: Callable[[str, str, str], argparse.ArgumentParser]) -> Iterator[argparse.ArgumentParser]:
    """Declare every command by `command(name, summary, text)`; yield those that read settings."""
    suppress = command("suppress", "leave an address alone, by hand", SUPPRESS)
    suppress.add_argument("address", metavar="ADDRESS")
    suppress.add_argument("--until", metavar="DAY", help="2027-01-31; without it as after a hard bounce")
    suppress.add_argument("--reason", default="manual", metavar="WORDS", help="why; without it: manual")
    yield suppress

    export = command("export", "write all suppressed addresses to stdout", EXPORT)
    export.add_argument("--format", choices=("csv", "jsonl"), default="csv")
    yield export

    take = command("import", "suppress what another system's list says", IMPORT)
    take.set_defaults(command="import_")  # as its module is called: "import" is a word of Python
    take.add_argument("file", metavar="FILE|-", help="CSV or JSON; the format is recognised")
    take.add_argument("--dry-run", action="store_true", help="say what would be done, do nothing")
    yield take

    follow = command("follow", "learn from a mail server's log what got through", FOLLOW)
    follow.add_argument("--format", choices=("postfix",), default="postfix")
    follow.add_argument("--bounces", action="store_true", help="count what the log says was refused, too")
    follow.add_argument("file", metavar="FILE|-", help="the log, followed across rotation; -: stdin")
    yield follow

    serve_map = command("serve-map", "answer Postfix's check_recipient_access", SERVE_MAP)
    serve_map.add_argument("--listen", default="127.0.0.1:10047", metavar="HOST:PORT")
    serve_map.add_argument(
        "--when-down",
        choices=("defer", "accept"),
        default="defer",
        help="what to do with mail while the store does not answer: TEMP or NOTFOUND",
    )
    yield serve_map

    snippets = command("snippets", "print the lines that make a sender ask", SNIPPETS)
    snippets.add_argument("sender", choices=SNIPPETS_FOR)
    yield snippets

    return_path = command("return-path", "sign and verify return paths", RETURN_PATH)
    yield from _return_path(return_path)


def _return_path(command: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    actions = command.add_subparsers(dest="what", required=True, metavar="sign|verify|keygen")
    sign = actions.add_parser("sign", help="print the return path for a message to ADDRESS")
    sign.add_argument("--kid", required=True, help="name of the key to sign with")
    sign.add_argument("--domain", required=True, metavar="D", help="the return path's domain")
    sign.add_argument("--mid", help="twelve of a-z and 0-9 that name the message; without it at random")
    sign.add_argument("--expires", metavar="DAY", help="the last day, 2026-10-24 or 20750; default 30 days")
    sign.add_argument("address", metavar="ADDRESS", help="whom the message goes to")
    verify = actions.add_parser("verify", help="say what return paths prove")
    verify.add_argument("addresses", nargs=1, metavar="ADDRESS|-", help="-: one a line from stdin")
    keygen = actions.add_parser("keygen", help="print a line for the key file")
    keygen.add_argument("--kid", help="the key's name; without it one that is free")
    yield from (sign, verify, keygen)


SUPPRESS = """\
The suppression ends at the end of that day (UTC). One that lasts longer stands.

examples:
  bounced suppress jane@example.org
  bounced suppress jane@example.org --until 2027-01-31 --reason "asked us to"

Exit status: 0, 64 not an address or not a day, 69 the store does not answer."""

EXPORT = """\
A line for each address that is to be left alone: address, until, reason, category, status, first_at, last_at.
Addresses stand as in the keys (docs/redis.md), so blanks and controls are escaped.

examples:
  bounced export > suppressed.csv
  bounced export --format jsonl | jq -r .address

Exit status: 0, 69 the store does not answer."""

IMPORT = """\
Takes what `bounced export` wrote, a CSV with a header that names a column address or email (and perhaps
category or reason, and a date), one address a line, and the suppression lists of Amazon SES, SendGrid, Mailgun
and Postmark as their APIs and sites give them. Each address rests for policy.hard_expiry from today, or until the
day that our own export holds. Addresses that a provider lists for complaints or unsubscribing are taken as well.

examples:
  bounced import --dry-run suppressions.csv
  aws sesv2 list-suppressed-destinations | bounced import -

Exit status: 0, 1 when some lines were not understood, 64 no such format, 69 the store does not answer."""

FOLLOW = """\
Each `status=sent` breaks the recipient's row of soft bounces; so an unchanged Postfix keeps the rows exact. With
--bounces each `status=bounced` is counted as a bounce, for a Postfix whose bounces come to no return path of ours.
A file is read from its beginning (what it says twice counts once) and followed when it is rotated, until SIGTERM;
stdin is read to its end.

examples:
  bounced follow --format postfix /var/log/mail.log
  journalctl -fu postfix@- -o short-iso | bounced follow --format postfix --bounces -

Exit status: 0, 66 no such file, 69 the store does not answer at the start."""

SERVE_MAP = """\
A socketmap server, which Postfix asks for each recipient before it takes the mail. In main.cf:

  smtpd_recipient_restrictions = check_recipient_access socketmap:inet:127.0.0.1:10047:suppress, ...

examples:
  bounced serve-map
  bounced serve-map --listen 127.0.0.1:10047 --when-down accept

Exit status: 0 after a signal, 1 address in use, 69 no embedded store, 78 settings."""

SNIPPETS = """\
With the key prefix, host and port of the settings.

examples:
  bounced snippets postfix
  bounced snippets php > suppressed.php

Exit status: 0, 78 settings."""

RETURN_PATH = """\
A signed return path proves whom a bounce is about: docs/return-path.md. Keys are read from return_path.keys_file.

examples:
  bounced return-path keygen >> /etc/bounced/return-path.keys
  bounced return-path sign --kid aa --domain bounces.example.com jane@example.org
  bounced return-path verify b1aauiop5ztkw7qglolxds2h5i7mid000000001gnjw4zcblzdzul3i@bounce.example.com

Exit status: 0, 1 when some are not proven, 64 not an address, a domain or a day to come, 78 no such key, key file or
settings."""
