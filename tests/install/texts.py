"""What the documents tell to type."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def blocks(document: str, language: str) -> list[str]:
    """Return the code of a language that a document holds, block by block."""
    text = (ROOT / document).read_text()
    return re.findall(rf"^```{language}\b[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def block(document: str, language: str, holding: str) -> str:
    """Return the one block that holds these words."""
    [found] = [text for text in blocks(document, language) if holding in text]
    return found
