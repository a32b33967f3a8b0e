"""What has to last: the store, the clock by which it counts, the disk."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bounced.commands.doctoring import Finding, error, ok, warning
from bounced.settings import Settings
from bounced.store import Store, StoreUnavailable
from bounced.store.embedded import is_running

SKEW = 2.0  # seconds
FREE = 0.05  # of the disk
GIB = 1024**3


def store(settings: Settings) -> Iterator[Finding]:
    """Ask the store how it is; an embedded one is not started for it."""
    about = "store"
    if settings.redis.url == "embedded" and not is_running(settings.state_dir):
        advice = "systemctl start bounced starts both; is state_dir set as for the daemon?"
        yield error(about, f"the embedded store in {settings.state_dir} does not run", advice)
        return
    try:
        yield from asyncio.run(_asked(settings))
    except StoreUnavailable as unavailable:
        yield error(
            about, unavailable.cause, "correct redis.url or the server; mail gets 451 and comes again"
        )


async def _asked(settings: Settings) -> list[Finding]:
    redis = settings.redis
    opened = await Store.open(
        redis.url, redis.prefix, settings.decisions(), settings.state_dir, redis.key_form, settings=redis
    )
    try:
        await opened.ping()
        found = [
            warning("store", *problem.rsplit(": ", 1)) if ": " in problem else warning("store", problem, "")
            for problem in await opened.problems()
        ]
        found = found or [ok("store", f"{opened.url} answers, and its configuration keeps what it is given")]
        ahead = await opened.clock() - time.time()
    finally:
        await opened.close()
    if abs(ahead) > SKEW:
        how = "ahead of" if ahead > 0 else "behind"
        words = (
            f"the clock of {opened.url} is {abs(ahead):.0f} s {how} ours: suppressions end at the wrong time"
        )
        return [*found, warning("clock", words, "set both by NTP: timedatectl set-ntp true")]
    return [*found, ok("clock", "that of the store and ours agree")]


def clock() -> Iterator[Finding]:
    """Say whether somebody keeps our clock right, if systemd knows."""
    if not shutil.which("timedatectl"):
        return
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.stdout.strip() == "no":
        words = "nobody keeps the clock of this machine right"
        yield warning("clock", words, "timedatectl set-ntp true, or install chrony")


def disk(settings: Settings) -> Iterator[Finding]:
    """Look at what the state directory has left, whose it is, and what waits in it for a person."""
    about, directory = "disk", settings.state_dir
    if not directory.is_dir():
        advice = f"install -d -m 700 -o bounced -g bounced {directory}, or systemctl start bounced"
        yield error(about, f"there is no {directory}", advice)
        return
    try:
        yield _room(directory)
        yield from _foreign(directory)
        waiting = sum(1 for _ in directory.glob("quarantine/*/*.eml"))
    except PermissionError as problem:
        yield error(about, f"{problem.filename}: no permission to look", "run this as root, or as its owner")
        return
    words = f"{waiting} messages in quarantine"
    if settings.quarantine.messages and waiting >= 0.9 * settings.quarantine.messages:
        advice = f"read them: bounced parse {directory}/quarantine/*; the oldest are thrown away next"
        yield warning("quarantine", words, advice)
    else:
        yield ok("quarantine", words)


def _room(directory: Path) -> Finding:
    status = os.statvfs(directory)
    room, inodes = status.f_bavail / max(1, status.f_blocks), status.f_favail / max(1, status.f_files or 1)
    words = f"{directory}: {status.f_bavail * status.f_frsize / GIB:.1f} GiB free, {room:.0%}"
    if status.f_files and inodes < FREE:
        return warning(
            "disk", f"{words}, but only {inodes:.1%} of its inodes", f"remove files from {directory}"
        )
    if room < FREE:
        return warning("disk", words, "make room: on a full disk nothing is taken, and mail gets 451")
    return ok("disk", words)


def _foreign(directory: Path) -> Iterator[Finding]:
    """Yield the first file that the daemon may not be able to write, as somebody else has made it."""
    owner = directory.stat().st_uid
    for path in [*directory.glob("*"), *directory.glob("valkey/*"), *directory.glob("quarantine/*")]:
        if path.lstat().st_uid != owner:
            words = f"{path} belongs to another user than {directory}: a command was run as root"
            yield error("disk", words, f"chown -R --reference={directory} {directory}")
            return
