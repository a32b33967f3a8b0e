"""Mail on disk, with the envelope in which it came: `<digest>.eml`, octet for octet, beside `<digest>.json`.

The envelope is what the message itself does not hold, and whoever reads it again needs: `at` (Unix time of arrival),
`peer`, `reverse_path` and `recipients`. Whom a signed return path proves is read from `recipients` again. Names are
digests: no word of a stranger is in them. The same message for the same recipients has one name.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

MAIL, ENVELOPE = ".eml", ".json"


@dataclass(frozen=True, slots=True)
class Envelope:
    """How a message came."""

    at: int  # Unix time
    peer: str
    reverse_path: str  # "" for the null reverse-path
    recipients: tuple[str, ...]


def write(directory: Path, content: bytes, envelope: Envelope, *, synced: bool) -> Path:
    """Write a message unless it is there; returns its file. `synced`: the disk has it then.

    What has its name has its envelope beside it. The directory must be there. Raises OSError, and then nothing half
    written is left.
    """
    named = hashlib.sha256("\n".join(envelope.recipients).encode("utf-8", "surrogatepass") + b"\0" + content)
    file = directory / f"{named.hexdigest()[:32]}{MAIL}"
    if not file.exists():  # else whole, as it got this name last; but that name may not be on the disk yet
        told = json.dumps(asdict(envelope)).encode("ascii")
        unfinished = _written(directory, content, synced=synced)  # first, as it may find no room
        try:
            _written(directory, told, synced=synced).rename(file.with_suffix(ENVELOPE))
            unfinished.rename(file)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
    if synced:
        sync(directory)
    return file


def read_envelope(file: Path) -> Envelope | None:
    """Return the envelope of a message; None when there is none that can be read."""
    try:
        told = json.loads(file.with_suffix(ENVELOPE).read_bytes())
        return Envelope(
            int(told["at"]), str(told["peer"]), str(told["reverse_path"]), tuple(map(str, told["recipients"]))
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def held(directory: Path) -> list[tuple[int, int, str]]:
    """Return age, size and path of every message in a directory."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                stat = entry.stat()
            except FileNotFoundError:  # somebody has read it and taken it away
                continue
            if entry.name.endswith(MAIL):
                found.append((stat.st_mtime_ns, stat.st_size, entry.path))
    return found


def remove(path: str | Path) -> None:
    """Remove a message with its envelope."""
    Path(path).unlink(missing_ok=True)
    Path(path).with_suffix(ENVELOPE).unlink(missing_ok=True)


def sync(directory: Path) -> None:
    """Have the disk confirm the names in a directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _written(directory: Path, content: bytes, *, synced: bool) -> Path:
    """Write a file that has yet to get its name: the same message may be coming in twice at this moment."""
    unfinished = directory / f".{os.getpid()}-{os.urandom(8).hex()}"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            if synced:
                stream.flush()
                os.fsync(stream.fileno())
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    return unfinished
