"""One spelling for each address."""


def canonical(address: str) -> str | None:
    """Return the address as keys and comparisons use it; None when it is none."""
    raise NotImplementedError
