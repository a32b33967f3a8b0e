"""`bounced return-path`: sign and verify return paths, make a key. The form is in docs/return-path.md."""

import argparse
import os
import secrets
import stat
import string
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from bounced import client, keys, settings
from bounced.commands import Exit, complain, say
from bounced.commands.asking import batches
from bounced.core import returnpath
from bounced.core.printable import printable
from bounced.settings.values import Domain

_NAMES = string.ascii_lowercase + string.digits


def run(args: argparse.Namespace) -> int:
    """Do what `args.what` says."""
    try:
        file = settings.load(args.config, args.set).settings.return_path.keys_file
        return {"sign": _sign, "verify": _verify, "keygen": _keygen}[args.what](args, file)
    except settings.SettingsError as error:
        complain(*error.problems)
    except keys.KeysError as error:
        complain(*error.problems)
    return Exit.CONFIG


def _sign(args: argparse.Namespace, file: Path) -> int:
    known = _read(file)
    if args.kid not in known:
        complain(f"{file}: no key {args.kid}; there is {', '.join(known)}")
        return Exit.CONFIG
    try:
        domain = _domain(args.domain)
        expires = None if args.expires is None else _day_to_come(args.expires)
        key = known[args.kid]
        signed = client.sign(args.address, domain, kid=args.kid, key=key, mid=args.mid, expires=expires)
    except ValueError as error:
        complain(str(error))
        return Exit.USAGE
    say(signed)
    return Exit.OK


def _domain(written: str) -> str:
    try:
        return Domain.parse(written)
    except ValueError:
        raise ValueError(f"{written}: expected a domain name such as bounces.example.com") from None


def _day_to_come(written: str) -> date:
    day = _day(written)
    if day < datetime.now(UTC).date():
        raise ValueError(f"{written}: expected today or a day to come")
    return day


def _day(written: str) -> date:
    """The day of "2026-10-24", or of "20750", the same as days since 1970. Raises ValueError."""
    try:
        if written.isascii() and written.isdigit() and len(written) < 6:
            return client.EPOCH + timedelta(days=int(written))
        return date.fromisoformat(written)
    except ValueError:
        raise ValueError(f"{written}: expected a day such as 2026-10-24, or as days since 1970") from None


def _verify(args: argparse.Namespace, file: Path) -> int:
    known = _read(file)
    today = client.day_of(datetime.now(UTC).date())
    all_proven = True
    for batch in batches(args.addresses):
        for written in batch:
            local, _, domain = written.strip("<> ").rpartition("@")
            try:
                proof = returnpath.verify(local, domain, known, today)
            except returnpath.NotProven as error:
                all_proven = False
                words = ("forged", str(error))
            else:
                expires = client.EPOCH + timedelta(days=proof.expires)
                words = ("proven", f"kid={proof.kid} expires={expires} rid={proof.rid} mid={proof.mid}")
            say(printable(written) + "\t" + "\t".join(words))
    return Exit.OK if all_proven else Exit.NO


def _keygen(args: argparse.Namespace, file: Path) -> int:
    """Print a line for the key file, with a name that is not in it yet."""
    try:
        taken = keys.read(file) if file.exists() else {}
    except keys.NoKey:  # what is redirected into the file has made it
        taken = {}
    if args.kid in taken:
        complain(f"{file}: there is a key {args.kid}")
        return Exit.NO
    if args.kid is not None and not (len(args.kid) == 2 and set(args.kid) <= set(_NAMES)):
        complain(f"{args.kid}: a key's name is two characters of a-z and 0-9")
        return Exit.USAGE
    kid = args.kid or next(name for name in _free_names() if name not in taken)
    say(f"{kid} {secrets.token_hex(returnpath.KEY_OCTETS)}")
    into = os.fstat(sys.stdout.fileno()).st_mode
    if stat.S_ISREG(into) and into & stat.S_IROTH:
        complain(
            "everybody on this machine may read the file that the key went into: chmod o-r it, or make a new key"
        )
    return Exit.OK


def _free_names() -> Iterator[str]:
    return (first + second for first in _NAMES for second in _NAMES)


def _read(file: Path) -> dict[str, bytes]:
    known = keys.read(file)
    if keys.is_exposed(file):
        complain(f"{file}: everybody on this machine may read the keys: chmod o-r {file}")
    return known
