"""Text from strangers, safe to show."""


def printable(text: str) -> str:
    """Write each character that a terminal would obey, or that ends a line, as its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
