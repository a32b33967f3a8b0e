"""Moments as people write them on a command line, and as we print them."""

import argparse
import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(\d{1,5})\s*([smhdw])[a-z]*")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str) -> int:
    """Read "2h" (so long ago), "2026-11-22", "2026-11-22T03:10" or "2026-11-22T03:10:00+01:00" as Unix time.

    Without an offset it is UTC. Raises argparse.ArgumentTypeError, saying what is wanted.
    """
    written = text.strip()
    if ago := _AGO.fullmatch(written.lower()):
        return int((datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).timestamp())
    try:
        given = datetime.fromisoformat(written)
        return int((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f'"{text}": expected 2h or 3d (so long ago), 2026-11-22 or 2026-11-22T03:10'
        ) from None


def written(unix: int) -> str:
    """Return a Unix time as UTC, "2026-11-22T03:10:00Z"; beyond all calendars, as the number."""
    try:
        return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return str(unix)
