"""The arguments and help of the commands for those who run it. What they do is in commands/."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path


def declare(command: Callable[[str, str, str], argparse.ArgumentParser]) -> Iterator[argparse.ArgumentParser]:
    """Declare every command by `command(name, summary, text)`; yield those that read settings."""
    show = command("show", "show what is known of an address, and what made it so", SHOW)
    show.add_argument("--json", action="store_true", help="one JSON object for each name it is known by")
    show.add_argument("address", metavar="ADDRESS", help="or the name that stands for one, such as ~<rid>")
    yield show

    undo = command("undo", "take back what a wrong rule or an outage did", UNDO)
    undo.add_argument("--since", required=True, type=_moment, metavar="WHEN", help="2h, 3d, 2026-11-22T03:10")
    undo.add_argument("--until", type=_moment, metavar="WHEN", help="before it; without it: now")
    for option, what in (
        ("--category", "CATEGORY"),
        ("--domain", "DOMAIN"),
        ("--rule", "ID"),
        ("--remote-mta", "HOST"),
    ):
        undo.add_argument(option, action="append", metavar=what, help="only these; may be repeated")
    undo.add_argument("--dry-run", action="store_true", help="say what would be done, do nothing")
    undo.add_argument("--yes", action="store_true", help="do it without asking")
    yield undo

    replay = command("replay", "read kept mail again, with today's rules", REPLAY)
    replay.add_argument("files", nargs="+", metavar="DIR|FILE|-", help="mail that was kept, or like parse")
    replay.add_argument("--dry-run", action="store_true", help="say what would change, change nothing")
    yield replay

    report = command("report", "show what came back, as pictures", REPORT)
    report.add_argument(
        "--html", type=Path, metavar="FILE", help="write one page, instead of to the terminal"
    )
    report.add_argument("--since", type=_moment, metavar="WHEN", help="24h, 30d, 2026-11-01; without it: 30d")
    report.add_argument(
        "--sent", nargs="+", metavar="N|FILE", help="how many messages were sent: shows rates, too"
    )
    yield report

    doctor = command("doctor", "look at all that it takes to run, and say what to do", DOCTOR)
    doctor.add_argument("--json", action="store_true", help="one JSON object a finding")
    yield doctor

    selftest = command("selftest", "send a report through the running daemon to its store", SELFTEST)
    selftest.add_argument("--ready", action="store_true", help="only ask /readyz whether it is ready")
    selftest.add_argument("--connect", metavar="HOST:PORT", help="where it listens, instead of smtp.listen")
    yield selftest

    tail = command("tail", "show the log to a person, as it comes", TAIL)
    tail.add_argument("file", metavar="FILE|-", help="lines of JSON, followed across rotation; -: stdin")
    tail.add_argument("--since", type=_moment, metavar="WHEN", help="30m, 2h, 2026-11-22T03:10")
    for option, what in (
        ("--event", "NAME"),
        ("--category", "CATEGORY"),
        ("--severity", "SEVERITY"),
        ("--domain", "DOMAIN"),
        ("--address", "ADDRESS"),
    ):
        tail.add_argument(option, action="append", metavar=what, help="only these; may be repeated")
    yield tail


def _moment(text: str) -> int:
    from bounced.commands.moments import moment  # noqa: PLC0415 - takes its time, which --help has not

    return moment(text)


SHOW = """\
The record, and from the event stream what has happened to the address: when, which report, which rule, which words.
The stream keeps the last 100,000 changes of all addresses.

examples:
  $ bounced show jane@example.org
  state        rest until 2027-05-22T09:30:00Z
  reason       invalid-mailbox
  bounced show --json jane@example.org | jq '.history[].rule'

Exit status: 0, 1 when nothing is known of the address, 69 the store does not answer."""

UNDO = """\
Takes bounces out of what happened, as if they had not come: the addresses whose suppression they caused may be sent
to again, their soft bounces are not counted any more. What was known before comes back, and later evidence stays. All
options must hold; of one that is repeated, one. --domain and --remote-mta hold for names below them too. At a
terminal it says what would be done and asks; elsewhere it does nothing without --yes. Doing it again changes nothing.

examples:
  bounced undo --since 3h --domain example.org --category invalid-mailbox --dry-run
  bounced undo --since 2026-11-22T03:00 --until 2026-11-22T05:30 --remote-mta example.net --yes
  bounced undo --since 2d --rule my-bad-rule

Exit status: 0, 1 when some addresses were left alone, 64 nothing to choose by, 69 the store does not answer."""

REPLAY = """\
For mail of the quarantine that rules of today understand, and for reports that were kept (keep.days) when a rule was
wrong: undo what it did, repair it, replay. Each message counts once, whatever is replayed how often. A return path
that must be signed is verified as of the day of arrival; what is not proven changes nothing. A bounce that is older
than a delivery or a release of its address changes nothing. What was undone stays so, unless it is judged otherwise
now. Mail of the quarantine that was read moves to quarantine/replayed; everything else stays where it is.

One line for each recipient: address, what it is, what became of it, rule and file, with tabs between them.

examples:
  bounced replay --dry-run /var/lib/bounced/quarantine/no-recipient
  bounced replay /var/lib/bounced/kept/2026-11-22

Exit status: 0 all was read, 1 some was not, 66 no such file, 69 the store does not answer, 78 settings."""

REPORT = """\
Bounces by category over time, by provider and domain, remote servers, what they said, soft rows, when suppressions
end. Up to two days are shown hour by hour. What is shown are counts; rates need the number of messages sent: one
number, or files with lines such as 2026-11-22,120000 or 2026-11-22,example.org,1200. The page needs no network.

examples:
  bounced report --since 24h
  bounced report --since 30d --html report.html
  bounced report --sent sent.csv --html report.html

Exit status: 0, 64 --sent is not understood, 66 no such file, 69 the store does not answer."""

DOCTOR = """\
Looks at DNS (where the bounces of return_path_domains go), the port and who holds it, the certificate, the keys of
return paths, the store and its settings, the clocks, the disk and your rules. Run it as root on the machine of the
daemon, while that runs. Nothing is changed, and no embedded store is started.

examples:
  $ bounced doctor
  ok       dns    bounces.example.com is taken by mx.example.com, 192.0.2.1
  error    port   nobody listens on 0.0.0.0:25
                  → systemctl start bounced; its log says why it ended
  bounced doctor --json | jq 'select(.state != "ok")'

Exit status: 0, with warnings too; 1 when something does not work, 78 when the settings are wrong."""

SELFTEST = """\
Connects as any mail server does, hands in a report of delivery about selftest-...@bounced.invalid, an address that
nobody can have, and looks whether the store has taken it. With return_path.mode its return path is signed. It changes
nothing that senders ask for and counts as no bounce; what it leaves behind is one line of the log, one in the numbers
of delivered mail, and one event.

examples:
  bounced selftest
  bounced selftest --ready          # for a container's health check: answers within milliseconds

Exit status: 0 all is well, 1 with the step that failed, 69 the store does not answer, 78 settings."""

TAIL = """\
Bounces in columns, everything else in words; in colour at a terminal. All options must hold; of one that is repeated,
one; --event and --category also take a beginning such as "bounce." or "invalid-". --domain holds for names below it
too.

examples:
  journalctl -fu bounced -o cat | bounced tail -
  bounced tail --category dmarc-issues --domain gmail.com /var/log/bounced.log
  bounced tail --address jane@example.org --since 2h /var/log/bounced.log

Exit status: 0 at the end of stdin or after a signal, 66 the file cannot be read, 78 settings."""
