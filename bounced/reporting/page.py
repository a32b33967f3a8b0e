"""The report as one HTML page that needs nothing else: no script, no font, no network.

Whatever comes from outside is escaped. Pictures are SVG without words; words and numbers are HTML, so that they keep
their size on a telephone, and each picture has its figures as a table.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.resources import files

from bounced.reporting import words
from bounced.reporting.figures import TOP, Figures
from bounced.reporting.marks import COLUMN, HEIGHT, calendar, drawing, nice, rectangle, rule, safe, stack
from bounced.reporting.words import FAMILIES, share, span

TICKS = 5


def render(figures: Figures) -> str:
    """Return the page."""
    style = files("bounced.reporting").joinpath("page.css").read_text("utf-8")
    title = words.title(figures)
    body = "".join(
        (
            _head(figures, title),
            _tiles(figures),
            _over_time(figures),
            _balance(figures),
            _heat(figures),
            f'<div class="two">{_domains(figures)}{_servers(figures)}</div>',
            _texts(figures),
            f'<div class="two">{_rows(figures)}{_ends(figures)}</div>',
            _foot(figures),
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{safe(title)}</title>\n<style>\n{style}</style></head>\n<body><main>\n{body}</main></body></html>\n"
    )


def _head(figures: Figures, title: str) -> str:
    made = f"{figures.made_at:%Y-%m-%d %H:%M} UTC"
    by = "the hour it happened" if figures.hourly else "the day it was recorded"
    return f"<header><h1>{safe(title)}</h1><p>What came back, by {by}. Made {made}.</p></header>"


def _tiles(figures: Figures) -> str:
    tiles: list[tuple[str, str | int, str]] = [
        ("bounces", figures.bounces, ""),
        ("came to rest", sum(figures.suppressed), ""),
        ("released", sum(figures.released), ""),
        ("at rest now", figures.at_rest, f"of {figures.records:,} known"),
    ]
    if figures.sent is not None and figures.sent.total:
        tiles.insert(0, ("sent", figures.sent.total, ""))
        tiles.append(("bounce rate", share(figures.bounces, figures.sent.total), ""))
    return (
        '<dl class="tiles">'
        + "".join(
            f"<div><dt>{label}</dt><dd>{_number(value)} <small>{safe(aside)}</small></dd></div>"
            for label, value, aside in tiles
        )
        + "</dl>"
    )


def _over_time(figures: Figures) -> str:
    columns, top = figures.columns, nice(max([*figures.columns, 1]))
    order = [category for family in FAMILIES.values() for category in family]
    marks = [rule(HEIGHT * n / 4, COLUMN * len(columns)) for n in range(4)]
    for n, days in enumerate(figures.bins):
        parts = [
            (number, f"var(--{category.value})", f"{span(days)}, {category.value}: {number:,}")
            for category in order
            if (number := figures.categories[category][n])
        ]
        marks += stack(n, parts, top)
    told = "; ".join(f"{category.value} {figures.total(category):,}" for category in figures.ranked)
    box = f"0 0 {COLUMN * len(columns):g} {HEIGHT:g}"
    svg = drawing("time", "Bounces by category over time", told, marks, box)
    table = _table(
        ["", *(category.value for category in figures.ranked), "all"],
        [
            [span(days), *(figures.categories[category][n] for category in figures.ranked), columns[n]]
            for n, days in enumerate(figures.bins)
        ],
    )
    plot = f"<div>{_plot(svg, [(0, top), (0.5, top // 2), (1, 0)])}{_ticks(figures)}</div>"
    lost = f" {words.LOST}" if figures.hourly and figures.events_lost else ""
    sub = f"By category, a column is {words.step(figures)}; one hue for all that the same people have to act on.{lost}"
    return _section(
        words.over_time(figures), sub, f'<div class="split">{plot}{_legend(figures)}</div>' + table
    )


def _legend(figures: Figures) -> str:
    groups = []
    for family, categories in reversed(list(FAMILIES.items())):
        lines = [
            f'<li><b style="background:var(--{category.value})"></b>'
            f'<span title="{safe(words.ADVICE[category].meaning)}">{category.value}</span>'
            f"<span>{figures.total(category):,}</span><em>{share(figures.total(category), figures.bounces)}</em></li>"
            for category in reversed(categories)
            if figures.total(category)
        ]
        if lines:
            groups.append(f"<li><h3>{safe(family)}</h3><ul>{''.join(lines)}</ul></li>")
    return f'<ul class="legend">{"".join(groups)}</ul>'


def _balance(figures: Figures) -> str:
    most, least = max([*figures.suppressed, 1]), max([*figures.released, 0])
    up, down = nice(most), nice(least) if least else 0
    zero = HEIGHT * up / (up + down)
    width = COLUMN * len(figures.bins)
    marks = [rule(0, width)]
    for n, days in enumerate(figures.bins):
        suppressed, released = figures.suppressed[n], figures.released[n]
        x, scale = n * COLUMN + 1, HEIGHT / (up + down)
        if suppressed:
            title = f"{span(days)}: {suppressed:,} came to rest"
            marks.append(rectangle(x, zero - suppressed * scale, 8, suppressed * scale, "var(--up)", title))
        if released:
            title = f"{span(days)}: {released:,} released"
            marks.append(rectangle(x, zero, 8, released * scale, "var(--down)", title))
    marks.append(rule(zero, width, "zero"))
    told = words.balance(figures)
    svg = drawing(
        "balance", "Addresses that came to rest, and released ones", told, marks, f"0 0 {width:g} 100"
    )
    axis = [(0.0, up), (zero / HEIGHT, 0), *([(1.0, down)] if down else [])]
    rows: list[Sequence[str | int]] = [
        [span(d), figures.suppressed[n], figures.released[n]] for n, d in enumerate(figures.bins)
    ]
    sub = 'Addresses <span style="color:var(--up)">▲ newly at rest</span>'
    sub += ' against <span style="color:var(--down)">▼ released</span>, by hand or undo'
    body = f'<div class="low-plot">{_plot(svg, axis, "low")}{_ticks(figures)}</div>'
    return _section(told, sub, body + _table(["", "came to rest", "released"], rows))


def _heat(figures: Figures) -> str:
    categories = figures.ranked
    most = max((number for row in figures.providers.values() for number in row.values()), default=1)
    head = "".join(f'<th scope="col"><span>{category.value}</span></th>' for category in categories)
    lines = []
    for provider, row in figures.providers.items():
        cells = "".join(_cell(row[category], most) for category in categories)
        sums = f'<td class="sum">{row.total():,}</td>{_rate(figures, provider)}'
        name = safe(words.name_of(provider))
        lines.append(f'<tr><th scope="row" title="{name}">{name}</th>{cells}{sums}</tr>')
    rate = '<th scope="col" class="sum">rate</th>' if _has_rates(figures) else ""
    head += f'<th scope="col" class="sum">all</th>{rate}'
    table = (
        f'<table class="heat"><thead><tr><td style="background:none"></td>{head}</tr>'
        f"</thead><tbody>{''.join(lines)}</tbody></table>"
    )
    sub = "Bounces by mailbox provider, else by recipient domain, and category"
    return _section(words.heat(figures), sub, f'<div class="scroll" tabindex="0">{table}</div>')


def _cell(number: int, most: int) -> str:
    if not number:
        return "<td></td>"
    strength = 0.1 + 0.9 * (number / most) ** 0.5
    strong = ' class="strong"' if strength > 0.62 else ""
    return f'<td{strong} style="background:rgba(var(--heat),{strength:.2f})">{_short(number)}</td>'


def _domains(figures: Figures) -> str:
    items = [
        (domain, number, share(number, figures.sent.domains[domain]) + " of those sent")
        if figures.sent is not None and figures.sent.domains[domain]
        else (domain, number, share(number, figures.bounces))
        for domain, number in figures.domains.most_common(TOP)
    ]
    return _section(words.top(figures.domains, figures.bounces), "Recipient domains", _bars("domains", items))


def _servers(figures: Figures) -> str:
    items = [
        (server, number, f"mostly {figures.server_causes[server].most_common(1)[0][0]}")
        for server, number in figures.servers.most_common(TOP)
    ]
    sub = f"Remote servers: who refused, {_since(figures)}"
    return _section(words.top(figures.servers, figures.servers.total()), sub, _bars("servers", items))


def _texts(figures: Figures) -> str:
    items = [
        (said.text or "(nothing but names)", number, f"{said.category} by {said.rule or 'no rule'}")
        for said, number in figures.texts.most_common(TOP)
    ]
    sub = f"Diagnostics, with names, addresses and numbers taken out, {_since(figures)}"
    return _section("What servers said most", sub, _bars("texts", items, "text"))


def _bars(name: str, items: Sequence[tuple[str, int, str]], kind: str = "") -> str:
    most = max((number for _, number, _ in items), default=0) or 1
    lines = []
    for n, (label, number, aside) in enumerate(items):
        bar = drawing(
            f"{name}-{n}", label, f"{number:,}",
            [rectangle(0, 0, 100, 10, "var(--grid)"), rectangle(0, 0, 100 * number / most, 10, "var(--bar)")],
            "0 0 100 10",
        )  # fmt: skip
        lines.append(
            f'<li><p><span class="{kind}">{safe(label)} <small>{safe(aside)}</small></span>'
            f"<span>{number:,}</span></p>{bar}</li>"
        )
    return f'<ol class="bars">{"".join(lines)}</ol>' if lines else "<p>Nothing to show.</p>"


def _rows(figures: Figures) -> str:
    lengths = range(1, max([figures.soft_limit, *(length + 1 for length in figures.rows)]))
    items = [
        (
            f"{length} in a row",
            figures.rows[length],
            "one more and it rests" if length == figures.soft_limit - 1 else "",
        )
        for length in lengths
    ][:TOP]
    return _section(words.rows(figures), "Addresses by soft bounces in a row, now", _bars("rows", items))


def _ends(figures: Figures) -> str:
    marks, box = calendar(figures.ends, figures.last)
    told = words.ends(figures)
    svg = drawing("ends", "When suppressions end", told, marks, box, stretched=False)
    months: Counter[str] = Counter()
    for moment, number in sorted(figures.ends.items()):
        months[f"{moment:%B %Y}"] += number
    rows = [*months.items(), ("later", figures.ends_later)]
    return _section(
        told,
        "When suppressions end: a cell a day",
        f'<div class="calendar">{svg}</div>{_table(["", "end"], rows)}',
    )


def _foot(figures: Figures) -> str:
    notes = [
        "Counts are of events: a message that was upgraded from soft to hard is in both categories.",
        "Days are of UTC.",
    ]
    if figures.sent is None or not figures.sent.total:
        notes.append(
            "These are counts, not rates: how much was sent is not known here. "
            "With <code>bounced report --sent</code> there are rates too."
        )
    if figures.events_lost:
        notes.append(words.LOST)
    if figures.events_since is not None:
        notes.append(f"Servers and diagnostics are of {figures.events:,} bounces, {_since(figures)}.")
    return f"<footer>{''.join(f'<p>{note}</p>' for note in notes)}</footer>"


def _since(figures: Figures) -> str:
    return (
        f"since {figures.events_since:%Y-%m-%d %H:%M}"
        if figures.events_since
        else "of which no event is kept"
    )


def _has_rates(figures: Figures) -> bool:
    return figures.sent is not None and bool(figures.sent.domains)


def _rate(figures: Figures, provider: str) -> str:
    if figures.sent is None or not figures.sent.domains:
        return ""
    sent = figures.sent_to(provider)
    return f'<td class="sum">{share(figures.providers[provider].total(), sent) if sent else ""}</td>'


def _section(title: str, sub: str, body: str) -> str:
    """`sub` and `body` are HTML."""
    return f"<section><h2>{safe(title)}</h2><p>{sub}</p>{body}</section>\n"


def _plot(svg: str, axis: Iterable[tuple[float, int]], kind: str = "") -> str:
    labels = "".join(f'<i style="top:{100 * where:.3g}%">{_short(number)}</i>' for where, number in axis)
    return f'<div class="plot {kind}">{labels}{svg}</div>'


def _ticks(figures: Figures) -> str:
    bins = figures.bins
    step = max(1, -(-len(bins) // TICKS))
    ticks = []
    for n in range(0, len(bins), step):
        where = 100 * (n + 0.5) / len(bins)
        kind = ' class="start"' if where < 4 else ' class="end"' if where > 94 else ""
        ticks.append(f'<span{kind} style="left:{where:.4g}%">{words.tick(bins[n])}</span>')
    return f'<div class="ticks">{"".join(ticks)}</div>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    first = "".join(f'<th scope="col">{safe(label)}</th>' for label in head)
    lines = ""
    for label, *values in rows:
        cells = "".join(f"<td>{_number(value)}</td>" for value in values)
        lines += f'<tr><th scope="row">{safe(str(label))}</th>{cells}</tr>'
    return (
        '<details><summary>Figures</summary><div class="scroll">'
        f"<table><thead><tr>{first}</tr></thead><tbody>{lines}</tbody></table></div></details>"
    )


def _number(value: str | int) -> str:
    return f"{value:,}" if isinstance(value, int) else safe(value)


def _short(number: int) -> str:
    """Return a number that fits a small cell."""
    for unit, sign in ((1_000_000, "M"), (1_000, "k")):
        if number >= 10 * unit:
            return f"{number // unit:,} {sign}"
        if number >= unit and (sign == "M" or number % unit == 0):
            return f"{number / unit:.3g} {sign}"
    return f"{number:,}"
