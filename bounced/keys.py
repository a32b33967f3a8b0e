"""The keys that sign return paths: a file of lines, each a key's name and its secret in hexadecimal.

    # name secret
    aa 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f

To rotate, add a key, sign with it, and take the old one out when nothing signed with it can come back any more.
No message from here holds a secret.
"""

import re
import stat
from collections.abc import Sequence
from pathlib import Path

from bounced.core.returnpath import KEY_OCTETS
from bounced.settings.values import secret


class KeysError(Exception):
    """The file cannot be used. `problems` holds a line for each reason."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class NoKey(KeysError):  # noqa: N818 - it says what is the case
    """The file is there and holds none yet."""


def read(file: Path) -> dict[str, bytes]:
    """Read all keys: name to secret. A relative path is the name of a systemd credential.

    Raises KeysError, which names every line that is wrong, and of its kind NoKey.
    """
    file = secret(file)
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError as error:
        raise KeysError([f"{file}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise KeysError([f"{file}: not a text"]) from error
    keys: dict[str, bytes] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        problem = _problem(words, keys)
        if problem:
            problems.append(f"{file}:{number}: {problem}")
        else:
            keys[words[0]] = bytes.fromhex(words[1])
    if not keys and not problems:
        raise NoKey([f"{file}: holds no key: bounced return-path keygen makes one"])
    if problems:
        raise KeysError(problems)
    return keys


def _problem(words: Sequence[str], known: dict[str, bytes]) -> str:
    """Say what is wrong with a line, without its words: one of them is a secret, and perhaps not the second."""
    if len(words) != 2:
        return "expected two words, the key's name and its secret in hexadecimal"
    kid, secret = words
    if not re.fullmatch(r"[a-z0-9]{2}", kid):
        return "a key's name is two characters of a-z and 0-9"
    if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", secret):
        return f"key {kid}: its secret is not hexadecimal"
    if len(secret) < 2 * KEY_OCTETS:
        return f"key {kid}: {len(secret) // 2} octets; expected at least {KEY_OCTETS}"
    if kid in known:
        return f"key {kid}: there is one of this name above"
    return ""


def is_exposed(file: Path) -> bool:
    """Whether everybody on this machine may read the file. Mounted secrets often are, so this only warns."""
    return bool(secret(file).stat().st_mode & stat.S_IROTH)
