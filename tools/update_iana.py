"""Bring bounced/core/rules/iana.csv up to date with IANA's registry of enhanced status codes (RFC 5248).

    python tools/update_iana.py smtp-enhanced-status-codes-3.csv

The argument is the CSV file of the registry "Enumerated Status Codes". What we know of a code (`says`: something
or nothing) is kept; a code that is new to us says "undecided", and the tests fail until somebody writes a rule
for it or "nothing".
"""


import csv
import re
import sys
from pathlib import Path

OURS = Path(__file__).parent.parent / "bounced" / "core" / "rules" / "iana.csv"
COLUMNS = ("code", "description", "reference", "says")


def main(registry: Path) -> None:
    """Write our file anew from the registry's."""
    with OURS.open(encoding="utf-8", newline="") as file:
        known = {row["code"]: row["says"] for row in csv.DictReader(file)}
    with registry.open(encoding="utf-8-sig", newline="") as file:
        rows = [
            {
                "code": row["Code"].upper(),
                "description": " ".join(row["Sample Text"].split()),
                "reference": ", ".join(
                    re.sub(r"RFC-?", "RFC ", found) for found in re.findall(r"RFC-?\d+", row["Reference"])
                ),
                "says": known.get(row["Code"].upper(), "undecided"),
            }
            for row in csv.DictReader(file)
            if re.fullmatch(r"[xX]\.\d+\.\d+", row["Code"])
        ]
    rows.sort(key=lambda row: [int(part) for part in row["code"].split(".")[1:]])
    with OURS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
