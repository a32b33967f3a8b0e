"""The fields that reports carry for programs: RFC 3464 section 2.1.1, RFC 5965 section 3.

They look like a header (RFC 822), in groups with a blank line between them, and are written in many ways; so lines
that lost their indentation go on with the field before them.
"""

import re

MAX_TEXT = 524_288  # characters that are read: some 2,000 recipients; those beyond are counted
MAX_VALUE = 8_192  # characters of one value up to which lines go on with it

# field-name ":" field-body, or a line that is no field, such as a URL. Lenient: blanks before the colon.
_LINE = re.compile(r"^(?:([A-Za-z][A-Za-z0-9-]*+)[ \t]*+:(?!//)[ \t]*+)?+(.*)$", re.MULTILINE)


def each(text: str) -> list[tuple[str, str, bool]]:
    """Every field: its name in lower case, its value unfolded, whether a blank line stands before it."""
    found: list[tuple[str, str, bool]] = []
    name, value, after_blank, blank = "", "", False, False
    for named, rest in _LINE.findall(text):
        if named:
            if name:
                found.append((name, value, after_blank))
            name, value, after_blank, blank = named.lower(), rest.strip(), blank, False
        elif not rest or rest.isspace():
            blank = True
        elif name and not blank:
            # Folded, or a line of the diagnostic that lost its indentation.
            if len(value) < MAX_VALUE:
                value += " " + rest.strip()
        else:
            blank = False
    if name:
        found.append((name, value, after_blank))
    return found
