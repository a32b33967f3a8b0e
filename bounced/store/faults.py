"""The one error that leaves the store, and how it gets its words.

StoreUnavailable    the store did not confirm: SMTP answers 451, a command exits with a message
"""

import re

from redis import exceptions

# What the codes mean, for whoever reads the log at night. The server's own words follow.
_MEANINGS = {
    "BUSY": "a script of somebody's has been running too long",
    "CLUSTERDOWN": "the cluster does not serve all its slots",
    "CROSSSLOT": "the cluster wants keys of one slot",
    "LOADING": "the server is reading its data from disk",
    "MASTERDOWN": "a replica that has lost its primary",
    "MISCONF": "the server cannot write to its disk, see its log",
    "MOVED": "slots are moving faster than we can follow",
    "NOAUTH": "the server wants a password: set redis.password_file, or user and password in redis.url",
    "NOPERM": "the ACL user lacks a right, see docs/redis.md",
    "NOREPLICAS": "too few replicas are connected to the primary",
    "OOM": "the server's maxmemory is used up",
    "READONLY": "a replica, which takes no writes",
    "TRYAGAIN": "a slot is being moved",
    "WRONGPASS": "user or password is wrong",
    "WRONGTYPE": "another program keeps something else under a key of ours",
}


class StoreUnavailable(Exception):  # noqa: N818 - it says what is the case, as a log event does
    """The store did not confirm. `cause` says why: one line of words, without any secret."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def cause_of(error: BaseException) -> str:
    """Return one printable line that names what went wrong."""
    text = re.sub(r"[^\x20-\x7e]+", " ", str(error)).strip()[:200]
    code = code_of(error)
    if isinstance(error, StoreUnavailable):
        return error.cause
    if isinstance(error, exceptions.AuthenticationError):
        return f"authentication refused: {_MEANINGS.get(code, text)}"
    if code in _MEANINGS:
        return f"refused, {code}: {_MEANINGS[code]}: {text.removeprefix(code).strip()}"
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
        return "no answer in time"
    if isinstance(error, (exceptions.ConnectionError, OSError)):
        return f"no connection: {text}"
    return f"refused: {text}"


def code_of(error: BaseException) -> str:
    """Return the word in capitals by which the server says what is wrong; "": none."""
    if not isinstance(error, exceptions.RedisError):
        return ""
    # redis-py strips the codes that it knows from the text.
    code = getattr(error, "status_code", None) or str(error).partition(" ")[0]
    return code if code.isupper() else ""
