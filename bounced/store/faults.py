"""The one error that leaves the store."""


class StoreUnavailable(Exception):  # noqa: N818 - it says what is the case
    """The store did not confirm. `cause` says why, in words for a log, without any secret."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause
