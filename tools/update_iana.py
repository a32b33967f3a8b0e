"""Bring bounced/core/rules/iana.csv up to date with IANA's registry of enhanced status codes (RFC 5248).

    python tools/update_iana.py smtp-enhanced-status-codes-3.csv
    python tools/update_iana.py smtp-enhanced-status-codes.xml

The argument is the registry "Enumerated Status Codes" in either of the forms that IANA publishes. What we know of a
code (`says`: something or nothing) is kept; a code that is new to us says "undecided", and the tests fail until
somebody writes a rule for it or "nothing". A code that the registry does not have any more goes.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

OURS = Path(__file__).parent.parent / "bounced" / "core" / "rules" / "iana.csv"
COLUMNS = ("code", "description", "reference", "says")
ENUMERATED = "smtp-enhanced-status-codes-3"  # the registry's id of its table of codes
_NAMESPACE = "{http://www.iana.org/assignments}"
_CODE = re.compile(r"X\.\d{1,3}\.\d{1,3}", re.IGNORECASE)
_RFC = re.compile(r"\bRFC-?(\d+)", re.IGNORECASE)
_DRAFT = re.compile(r"\[(draft-[\w-]+)\]|\b(draft-[\w-]+)")

Row = tuple[str, str, str]  # code, what it means in a few words, where that is written


def rows(text: str) -> Iterator[Row]:
    """The rows of the registry, in the form of its CSV or its XML file. Raises ValueError when it is neither."""
    found = _rows_of_xml(text) if text.lstrip().startswith("<") else _rows_of_csv(text)
    any_row = False
    for code, sample, description, reference in found:
        if _CODE.fullmatch(code):
            any_row = True
            # A code that was registered by mistake has no sample text, and its description says so.
            yield code.upper(), _line(sample) or _line(description), _references(reference)
    if not any_row:
        raise ValueError(f"no code of the form X.1.1; it is not the registry {ENUMERATED}")


def merged(found: Iterable[Row], known: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Our table anew: what is registered, in the order of the numbers, with what we knew of it."""
    says = {row["code"]: row["says"] for row in known}
    table = [
        dict(zip(COLUMNS, (code, description, reference, says.get(code, "undecided")), strict=True))
        for code, description, reference in found
    ]
    return sorted(table, key=lambda row: [int(part) for part in row["code"].split(".")[1:]])


def _rows_of_csv(text: str) -> Iterator[tuple[str, str, str, str]]:
    for row in csv.DictReader(text.splitlines(keepends=True)):
        yield (
            row.get("Code", ""),
            row.get("Sample Text", ""),
            row.get("Description", ""),
            row.get("Reference", ""),
        )


def _rows_of_xml(text: str) -> Iterator[tuple[str, str, str, str]]:
    root = ET.fromstring(text.encode())  # noqa: S314 - a file that an operator got from IANA
    for registry in root.iter(f"{_NAMESPACE}registry"):
        for record in registry.findall(f"{_NAMESPACE}record") if registry.get("id") == ENUMERATED else ():
            reference = record.find(f"{_NAMESPACE}reference")
            linked = " ".join(link.get("data", "") for link in reference or ())
            yield _text(record, "code"), _text(record, "sample"), _text(record, "description"), linked


def _text(record: ET.Element, name: str) -> str:
    element = record.find(f"{_NAMESPACE}{name}")
    return "" if element is None else "".join(element.itertext())


def _references(text: str) -> str:
    drafts = [one or other for one, other in _DRAFT.findall(text)]
    return ", ".join(dict.fromkeys([*(f"RFC {number}" for number in _RFC.findall(text)), *drafts]))


def _line(text: str) -> str:
    return " ".join(text.split())


def main(registry: Path) -> None:
    """Write our file anew from the registry's."""
    with OURS.open(encoding="utf-8", newline="") as file:
        known = list(csv.DictReader(file))
    table = merged(rows(registry.read_text("utf-8-sig")), known)
    with OURS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
