"""A mail server out of a Debian package that is not installed: it runs in a root of its own.

`unpack.sh` puts the package and all it needs, down to libc, into .mta/<name>; each run works on a copy. In
there the server finds its compiled-in paths, users, name server and hosts, and can touch nothing else.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from .server import HOSTNAME, MailServer, Surroundings

ROOTS = Path(__file__).parents[2] / ".mta"


class UnpackedServer(MailServer):
    """A server in a root of its own, `self.root`. Subclasses configure it by files below that root."""

    users: ClassVar[Mapping[str, int]]  # that the package would have made, each with its group
    directories: ClassVar[Mapping[str, str]] = {}  # path -> owner; would have been made too

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self.root = self.directory / "root"

    @classmethod
    def missing(cls) -> str | None:
        if os.geteuid():
            return f"must be root to run {cls.name} in a root of its own"
        if not (ROOTS / cls.name).is_dir():
            return f"{cls.name} is not there: tests/mta/unpack.sh {cls.name}"
        return None

    def configure(self) -> None:
        shutil.copytree(ROOTS / self.name, self.root, symlinks=True)
        ids = {"root": 0, "nobody": 65534, **self.users}
        users = "".join(f"{user}:x:{uid}:{uid}::/:/bin/sh\n" for user, uid in ids.items())
        self.write("etc/passwd", users)
        self.write("etc/group", "".join(f"{user}:x:{uid}:\n" for user, uid in ids.items()))
        self.write("etc/resolv.conf", f"nameserver {self.surroundings.nameserver}\n")
        self.write("etc/hosts", f"127.0.0.1 {HOSTNAME} localhost\n")
        self.write("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
        self.write("etc/mailname", HOSTNAME + "\n")
        for path in ("dev", "tmp", "var/tmp", "run", "var/run"):
            (self.root / path).mkdir(parents=True, exist_ok=True)
        for path in ("tmp", "var/tmp"):
            (self.root / path).chmod(0o1777)
        self._null()
        for path, owner in self.directories.items():
            made = self.root / path
            made.mkdir(parents=True, exist_ok=True)
            os.chown(made, ids[owner], ids[owner])

    def _null(self) -> None:
        null = self.root / "dev/null"
        try:
            os.mknod(null, 0o666 | 0o020000, os.makedev(1, 3))
        except PermissionError:  # some containers may make no devices; a file to write into does as well
            null.touch()
        null.chmod(0o666)

    def write(self, path: str, text: str) -> None:
        """A file below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def wrap(self, command: Sequence[str | Path]) -> Sequence[str | Path]:
        return ["/usr/sbin/chroot", self.root, *command]
