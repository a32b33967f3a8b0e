"""What a report says in words: one sentence above each picture, from the figures."""

from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from importlib.resources import files

from bounced.core import advice
from bounced.core.model import Category
from bounced.providers import OTHER
from bounced.reporting.figures import Bin, Figures

ADVICE = advice.read(files("bounced.core").joinpath("categories.toml").read_text("utf-8"))
ALL_OTHERS = "all others"
LOST = "Older changes of this time are not kept any more: redis.events_kept says how many are."

# Who has to act: categories of one family have one hue.
FAMILIES: Mapping[str, tuple[Category, ...]] = {
    "address": (
        Category.INVALID_MAILBOX,
        Category.INVALID_DOMAIN,
        Category.INACTIVE_MAILBOX,
        Category.FULL_MAILBOX,
    ),
    "sender": (
        Category.DMARC_ISSUES,
        Category.REPUTATION_ISSUES,
        Category.BLOCKLISTING_ISSUES,
        Category.POLICY_RELATED,
    ),
    "their server": (
        Category.RECIPIENT_SERVER_ERROR,
        Category.RELAYING_ISSUES,
        Category.ROUTING_ISSUES,
        Category.GREYLISTING_ISSUES,
    ),
    "network, time": (Category.CONNECTION_ERROR, Category.MESSAGE_EXPIRED),
    "not known": (Category.OTHER,),
}


def share(part: int, whole: int) -> str:
    """Return a share as a person says it."""
    if not whole or not part:
        return "0 %"
    percent = 100 * part / whole
    return "< 0.1 %" if percent < 0.1 else f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def day(moment: date) -> str:
    """Return a day as "22 Nov"."""
    return f"{moment.day} {moment:%b}"


def span(column: Bin) -> str:
    """Return the time of a column: an hour, a day, some days."""
    if column.end - column.start < timedelta(days=1):
        return f"{day(column.start)} {column.start:%H:%M}"
    last = column.end - timedelta(days=1)
    return day(last) if column.start == last else f"{day(column.start)} to {day(last)}"


def step(figures: Figures) -> str:
    """Return what a column is."""
    width = figures.bins[-1].end - figures.bins[-1].start
    return "an hour" if width < timedelta(days=1) else "a day" if width.days == 1 else f"{width.days} days"


def tick(column: Bin) -> str:
    """Return what stands below a column."""
    return f"{column.start:%H:%M}" if column.end - column.start < timedelta(days=1) else day(column.start)


def name_of(provider: str) -> str:
    """Return what stands for a row of the heat map."""
    return ALL_OTHERS if provider == OTHER else provider


def over_time(figures: Figures) -> str:
    """Say how many bounces there were, and of what most."""
    if not figures.bounces:
        return "Nothing came back"
    columns = figures.columns
    most = max(range(len(columns)), key=columns.__getitem__)
    others = sorted(column for n, column in enumerate(columns) if n != most)
    usual = others[len(others) // 2] if others else 0
    top = figures.ranked[0]
    sentence = f"{share(figures.total(top), figures.bounces)} of all bounces are {top.value}"
    if usual and columns[most] >= 2 * usual:
        times = columns[most] / usual
        return f"{span(figures.bins[most])} had {times:.2g} times as many as usual; {sentence}"
    return sentence


def balance(figures: Figures) -> str:
    """Say how many addresses came to rest, and how many were released."""
    suppressed, released = sum(figures.suppressed), sum(figures.released)
    if not suppressed and not released:
        return "No address came to rest, none was released"
    return f"{suppressed:,} came to rest, {released:,} were released by hand or undo"


def heat(figures: Figures) -> str:
    """Say where most of one kind come from."""
    cells = Counter(
        {
            (provider, category): number
            for provider, row in figures.providers.items()
            if provider != OTHER
            for category, number in row.items()
        }
    )
    if not cells:
        return "No domain is known"
    [((provider, category), number)] = cells.most_common(1)
    return f"Most of one kind: {number:,} {category.value} at {provider}"


def top(counts: Counter[str], whole: int) -> str:
    """Say how much the first few make up."""
    if not counts:
        return "None is known"
    three = counts.most_common(3)
    names = [name for name, _ in three]
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    return f"{listed}: {share(sum(number for _, number in three), whole)}"


def title(figures: Figures) -> str:
    """Return what the report is called."""
    first, last = figures.first, figures.last
    begin = (
        f"{first.day} {first:%B}" if (first.year, first.month) != (last.year, last.month) else f"{first.day}"
    )
    begin += f" {first.year}" if first.year != last.year else ""
    end = f"{last.day} {last:%B} {last.year}"
    return f"Bounces, {end}" if first == last else f"Bounces, {begin} to {end}"


def rows(figures: Figures) -> str:
    """Say how many are close to the limit."""
    brink = figures.rows[figures.soft_limit - 1]
    return (
        f"{brink:,} are one soft bounce short of rest"
        if figures.rows
        else "No address has a row of soft bounces"
    )


def ends(figures: Figures) -> str:
    """Say when suppressions end."""
    if not figures.at_rest:
        return "No address is at rest"
    month = sum(number for when, number in figures.ends.items() if (when - figures.last).days < 30)
    return f"{month:,} of {figures.at_rest:,} may be tried again within 30 days"
