"""The marks of the page's pictures: inline SVG without text, which stretches to any width; words stand beside it."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from html import escape

from bounced.core.printable import printable
from bounced.reporting.figures import FAR
from bounced.reporting.words import day

COLUMN = 10.0  # width of a column in the drawing's own units, of which it fills most
FILLED = 8.0
HEIGHT = 100.0
CELL = 14  # of the calendar, pixels at full width


def safe(text: str) -> str:
    """Return text from outside as it may stand in the page, in an attribute too."""
    return escape(printable(text))


def nice(number: int) -> int:
    """Return the next number up that reads well on an axis."""
    if number <= 10:
        return next(top for top in (1, 2, 4, 6, 8, 10) if number <= top)
    unit = 1
    while number > 100 * unit:
        unit *= 10
    return next(step * unit for step in (12, 15, 20, 25, 30, 40, 50, 60, 80, 100) if number <= step * unit)


def drawing(
    name: str, title: str, text: str, marks: Iterable[str], box: str, *, stretched: bool = True
) -> str:
    """Return an SVG that says what it shows to those who cannot see it."""
    ratio = ' preserveAspectRatio="none"' if stretched else ""
    return (
        f'<svg viewBox="{box}"{ratio} role="img" aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{safe(title)}</title><desc id="{name}-text">{safe(text)}</desc>'
        f"{''.join(marks)}</svg>"
    )


def rectangle(x: float, y: float, width: float, height: float, fill: str, title: str = "") -> str:
    """Return a filled rectangle; `title` is what a pointer is told."""
    told = f"<title>{safe(title)}</title>" if title else ""
    size = f'x="{x:.4g}" y="{y:.4g}" width="{width:.4g}" height="{height:.4g}"'
    return f'<rect {size} style="fill:{fill}">{told}</rect>'


def rule(y: float, width: float, kind: str = "grid") -> str:
    """Return a line across."""
    return f'<line class="{kind}" x1="0" x2="{width:.4g}" y1="{y:.4g}" y2="{y:.4g}"/>'


def stack(column: int, parts: Sequence[tuple[int, str, str]], top: int) -> Iterable[str]:
    """Yield one column of number, fill and title, the first at the bottom."""
    y = HEIGHT
    for number, fill, title in parts:
        if number:
            height = HEIGHT * number / top
            y -= height
            yield rectangle(column * COLUMN + (COLUMN - FILLED) / 2, y, FILLED, height, fill, title)


def calendar(ends: dict[date, int], today: date) -> tuple[list[str], str]:
    """Return the marks and the box of a calendar: a column a week from Monday, a cell a day."""
    monday = today - timedelta(days=today.weekday())
    most = max(ends.values(), default=1)
    weeks = FAR // 7 + 1
    marks, month, free = [], 0, -1
    for week in range(weeks):
        x = 26 + week * CELL
        start = monday + timedelta(days=7 * week)
        if start.month != month and week > free:
            month, free = start.month, week + 2
            marks.append(f'<text x="{x}" y="10">{start:%b}</text>')
        for weekday in range(7):
            moment = start + timedelta(days=weekday)
            if moment < today:
                continue
            number = ends.get(moment, 0)
            strength = 0.18 + 0.82 * (number / most) ** 0.6
            fill = f"rgba(var(--heat), {strength:.2f})" if number else "var(--grid)"
            title = f"{day(moment)}: {number:,}"
            marks.append(
                rectangle(x, 16 + weekday * CELL, CELL - 2, CELL - 2, fill, title).replace(
                    "<rect", '<rect rx="2"'
                )
            )
    marks += [
        f'<text x="0" y="{16 + n * CELL + 10}">{name}</text>' for n, name in ((0, "Mo"), (2, "We"), (4, "Fr"))
    ]
    return marks, f"0 0 {26 + weeks * CELL} {16 + 7 * CELL}"
