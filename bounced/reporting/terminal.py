"""The report at a terminal: the same figures as the page, with rich. In a pipe, the same as plain text."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text as Line

from bounced.core.model import Category
from bounced.core.printable import printable
from bounced.reporting import words
from bounced.reporting.figures import Figures
from bounced.reporting.words import FAMILIES, share, span

WIDTH = 100  # columns in a pipe
BAR = 40
# One hue a family, as on the page; 256 colours.
_HUES = {
    "address": ("color(25)", "color(32)", "color(74)", "color(152)"),
    "sender": ("color(130)", "color(166)", "color(208)", "color(222)"),
    "their server": ("color(23)", "color(30)", "color(73)", "color(152)"),
    "network, time": ("color(97)", "color(140)"),
    "not known": ("color(245)",),
}
_COLOURS: dict[Category, str] = {
    category: hue
    for family, categories in FAMILIES.items()
    for category, hue in zip(categories, _HUES[family], strict=True)
}


def show(figures: Figures) -> None:
    """Print everything."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    for part in _parts(figures):
        console.print(part)


def _parts(figures: Figures) -> Iterator[RenderableType]:
    yield _headline(figures)
    yield from _titled(words.over_time(figures), _over_time(figures))
    yield from _titled("Categories", _categories(figures))
    yield from _titled(words.balance(figures), _balance(figures))
    yield from _titled(words.heat(figures), _heat(figures))
    yield from _titled("Recipient domains", _list(figures.domains.most_common(10)))
    yield from _titled("Remote servers", _list(figures.servers.most_common(10)))
    texts = [(f"{said.text}  ({said.category})", n) for said, n in figures.texts.most_common(10)]
    yield from _titled("What servers said", _list(texts))
    rows = [(f"{n} in a row", figures.rows[n]) for n in range(1, figures.soft_limit)]
    yield from _titled(words.rows(figures), _list(rows))
    months: dict[str, int] = {}
    for moment, number in sorted(figures.ends.items()):
        months[f"{moment:%Y-%m}"] = months.get(f"{moment:%Y-%m}", 0) + number
    yield from _titled(words.ends(figures), _list([*months.items(), ("later", figures.ends_later)]))
    if figures.events_lost:
        yield Line(f"\n{words.LOST}", style="dim")
    if figures.sent is None or not figures.sent.total:
        yield Line("\nCounts, not rates: --sent says how much was sent.", style="dim")


def _headline(figures: Figures) -> Line:
    line = Line.assemble(
        (f"{figures.bounces:,}", "bold"), f" bounces, {figures.first} to {figures.last}; ",
        (f"{figures.at_rest:,}", "bold"), f" of {figures.records:,} addresses at rest",
    )  # fmt: skip
    if figures.sent is not None and figures.sent.total:
        line.append(f"; {share(figures.bounces, figures.sent.total)} of {figures.sent.total:,} sent")
    return line


def _titled(title: str, body: RenderableType) -> Iterable[RenderableType]:
    return Line(f"\n{printable(title)}", style="bold"), body


def _over_time(figures: Figures) -> RenderableType:
    table = _table("left", "left", "right")
    top = max([*figures.columns, 1])
    for n, column in enumerate(figures.bins):
        bar, told, cells = Line(), 0, 0
        for category in (category for family in FAMILIES.values() for category in family):
            told += figures.categories[category][n]
            wanted = round(BAR * told / top)
            bar.append("█" * (wanted - cells), style=_COLOURS[category])
            cells = max(cells, wanted)
        table.add_row(span(column), bar, f"{figures.columns[n]:,}")
    return table


def _categories(figures: Figures) -> RenderableType:
    table = _table("left", "left", "right", "right", "left")
    for category in figures.ranked:
        number = figures.total(category)
        table.add_row(
            Line("█", style=_COLOURS[category]),
            category.value,
            f"{number:,}",
            share(number, figures.bounces),
            Line(words.ADVICE[category].meaning, style="dim"),
        )
    return table


def _balance(figures: Figures) -> RenderableType:
    table = _table("left", "right", "right")
    table.show_header = True
    for name, header in zip(table.columns, ("", "came to rest", "released"), strict=True):
        name.header = header
    for n, column in enumerate(figures.bins):
        if figures.suppressed[n] or figures.released[n]:
            table.add_row(span(column), f"{figures.suppressed[n]:,}", f"{figures.released[n]:,}")
    return table


def _heat(figures: Figures) -> RenderableType:
    categories = figures.ranked[:6]
    table = _table("left", *(["right"] * (len(categories) + 1)))
    table.show_header = True
    headers = ("", *(category.value.replace("-", "\n", 1) for category in categories), "all")
    for column, header in zip(table.columns, headers, strict=True):
        column.header, column.no_wrap = header, True
    most = max((row[c] for row in figures.providers.values() for c in categories), default=1)
    for provider, row in figures.providers.items():
        cells = [
            Line(f"{row[c]:,}" if row[c] else "·", style="bold red" if row[c] * 2 > most else "")
            for c in categories
        ]
        table.add_row(Line(printable(words.name_of(provider))), *cells, f"{row.total():,}")
    return table


def _list(items: Sequence[tuple[str, int]]) -> RenderableType:
    table = _table("left", "left", "right")
    most = max((number for _, number in items), default=0) or 1
    for label, number in items:
        table.add_row(
            Line(printable(label)), Line("█" * round(20 * number / most), style="color(32)"), f"{number:,}"
        )
    return table


def _table(*justified: str) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for justify in justified:
        table.add_column(justify=justify)  # type: ignore[arg-type]
    return table
