"""Mail that a person has to read: kept as files, `<state_dir>/quarantine/<reason>/<digest>.eml`.

A message that `keep` has returned for survives a power cut. The name is a digest of the content, so the same
message is kept once however often it comes. No message is ever replaced or removed here.
"""

import hashlib
import os
from pathlib import Path


class Quarantine:
    """A directory of kept mail. The reasons are ours, never a peer's words."""

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir / "quarantine"

    def keep(self, content: bytes, reason: str) -> Path:
        """Write a message and have the disk confirm it. Returns its file. Blocks; raises OSError."""
        directory = self._directory / reason
        file = directory / f"{hashlib.sha256(content).hexdigest()[:32]}.eml"
        if file.exists():  # whole, as it got this name last; but that name may not be on the disk yet
            _sync(directory)
            return file
        self._make(directory)
        # A name of its own for each writer: the same message may be coming in twice at this moment.
        descriptor, unfinished = _temporary(directory)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            unfinished.rename(file)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        _sync(directory)
        return file

    def _make(self, directory: Path) -> None:
        if not directory.exists():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for parent in (directory.parent, directory.parent.parent):
                _sync(parent)


def _temporary(directory: Path) -> tuple[int, Path]:
    path = directory / f".{os.getpid()}-{os.urandom(8).hex()}"
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), path


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
