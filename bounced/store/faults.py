"""The one error that leaves the store, and how it gets its words.

StoreUnavailable    the store did not confirm: SMTP answers 451, a command exits with a message
"""

import re

from redis import exceptions

# redis-py strips the code from these replies; an operator looks the code up.
_CODES = (
    (exceptions.OutOfMemoryError, "OOM"),
    (exceptions.ReadOnlyError, "READONLY"),
    (exceptions.BusyLoadingError, "LOADING"),
    (exceptions.NoPermissionError, "NOPERM"),
    (exceptions.MasterDownError, "MASTERDOWN"),
    (exceptions.NoScriptError, "NOSCRIPT"),
)


class StoreUnavailable(Exception):  # noqa: N818 - it says what is the case, as a log event does
    """The store did not confirm. `cause` says why: one line of words, without any secret."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def cause_of(error: BaseException) -> str:
    """Return one printable line that names what went wrong."""
    text = re.sub(r"[^\x20-\x7e]+", " ", str(error)).strip()[:200]
    for kind, code in _CODES:
        if isinstance(error, kind):
            return f"refused, {code}: {text}"
    if isinstance(error, exceptions.AuthenticationError):
        return f"authentication refused: {text}"
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
        return "no answer in time"
    if isinstance(error, (exceptions.ConnectionError, OSError)):
        return f"no connection: {text}"
    return f"refused: {text}"
