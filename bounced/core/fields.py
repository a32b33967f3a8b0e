"""The fields that reports carry for programs: RFC 3464 section 2.1.1, RFC 5965 section 3.

They look like a header (RFC 822), in groups with a blank line between them, and are written in many ways; so lines
that lost their indentation go on with the field before them.
"""

import re
from collections.abc import Iterator

MAX_TEXT = 524_288  # characters that are read: some 2,000 recipients; those beyond are counted

# field-name ":" field-body. Lenient: blanks before the colon.
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]*:[ \t]*(.*)")


def each(text: str) -> Iterator[tuple[str, str, bool]]:
    """Every field: its name in lower case, its value unfolded, whether a blank line stands before it."""
    name, lines, after_blank, blank = "", [""], False, False
    for line in text.split("\n"):
        match = _FIELD.match(line)
        if match:
            if name:
                yield name, " ".join(lines), after_blank
            name, value = match.groups()
            name, lines, after_blank = name.lower(), [value.strip()], blank
        elif not line or line.isspace():
            blank = True
            continue
        elif name and not blank:
            # Folded, or a line of the diagnostic that lost its indentation.
            lines.append(line.strip())
        blank = False
    if name:
        yield name, " ".join(lines), after_blank
