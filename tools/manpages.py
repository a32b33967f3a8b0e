"""Write the manual pages, from what the program itself says: its arguments, and docs/commands.md, configuration.md.

`python tools/manpages.py DIRECTORY` writes bounced.8 and bounced.toml.5. They use man(7) macros, which
both groff and mandoc take. Of Markdown only what those two documents use is understood: paragraphs, headings, lists,
tables, code, links.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # whose commands and documents these are, wherever this is run

from bounced import __version__, cli  # noqa: E402

SEE_ALSO = "https://www.rfc-editor.org/rfc/rfc3464"


def write(directory: Path) -> None:
    """Write both pages into the directory."""
    (directory / "bounced.8").write_text(_lines(bounced_8()), "utf-8")
    (directory / "bounced.toml.5").write_text(_lines(bounced_toml_5()), "utf-8")


def bounced_8() -> Iterator[str]:
    """Yield the page of the program."""
    top = cli.parser()
    yield _title("bounced", 8)
    yield from (".SH NAME", r"bounced \- mail server behind the return path")
    yield from (".SH SYNOPSIS", r"\fBbounced\fR \fICOMMAND\fR [\fIARGUMENTS\fR]")
    yield from (".SH DESCRIPTION", *_prose(top.description or ""))
    yield ".SH COMMANDS"
    for command in _commands(top):
        yield from _command(command)
    document = (ROOT / "docs/commands.md").read_text("utf-8")
    for section in re.split(r"^## ", document, flags=re.MULTILINE)[1:]:
        yield from _markdown(f"## {section}")
    yield from (".SH FILES", ".TP", r"\fI/etc/bounced/bounced.toml\fR", "Settings.")
    yield from (".TP", r"\fI/var/lib/bounced\fR", "The embedded store, and mail for a person to read.")
    yield from (".SH SEE ALSO", ".BR bounced.toml (5),", ".br", _text(SEE_ALSO))


def bounced_toml_5() -> Iterator[str]:
    """Yield the page of the settings."""
    yield _title("bounced.toml", 5)
    yield from (".SH NAME", r"bounced.toml \- settings of the mail server behind the return path")
    yield from (".SH DESCRIPTION", *_markdown((ROOT / "docs/configuration.md").read_text("utf-8")))
    yield from (".SH FILES", ".TP", r"\fI/etc/bounced/bounced.toml\fR", "Where they are looked for.")
    yield from (".SH SEE ALSO", ".BR bounced (8)")


def _title(name: str, section: int) -> str:
    built = os.environ.get("SOURCE_DATE_EPOCH")
    day = datetime.fromtimestamp(int(built), UTC) if built else datetime.now(UTC)
    return f'.TH {name.upper()} {section} "{day:%Y-%m-%d}" "bounced {__version__}"'


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parser of each command."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            yield from action.choices.values()


def _command(parser: argparse.ArgumentParser) -> Iterator[str]:
    usage = " ".join(parser.format_usage().replace("[-h]", "").split()).removeprefix("usage: ")
    yield from (f'.SS "{_text(parser.prog.removeprefix("bounced "))}"', _text(usage))
    if parser.description:
        yield from (".PP", *_prose(parser.description))
    for action in parser._actions:  # noqa: SLF001
        words = _help(parser, action)
        if words and "--help" not in action.option_strings:
            yield from (".TP", _argument(parser, action), _text(words))
    yield from _prose(parser.epilog or "", begins=".PP")
    for command in _commands(parser):
        yield from _command(command)


def _argument(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    metavar = parser._get_formatter()._format_args(action, action.dest.upper())  # noqa: SLF001
    if not action.option_strings:
        return rf"\fI{_text(metavar)}\fR"
    names = ", ".join(rf"\fB{_text(name)}\fR" for name in action.option_strings)
    return rf"{names} \fI{_text(metavar)}\fR" if metavar else names


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Return what is said of an argument; "": its name says it, or nothing is to be said."""
    if action.help == argparse.SUPPRESS or isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
        return ""
    if action.help:
        formatter: Any = parser._get_formatter()  # noqa: SLF001
        return str(formatter._expand_help(action))  # noqa: SLF001
    choices = [f"one of {', '.join(map(str, action.choices))}"] if action.choices else []
    default = [f"without it: {action.default}"] if action.default else []
    return "; ".join(choices + default)


def _prose(text: str, *, begins: str = "") -> Iterator[str]:
    """Fill paragraphs; leave lines alone that are indented, or have columns."""
    for paragraph in filter(None, text.split("\n\n")):
        if begins:
            yield begins
        begins, code = ".PP", False
        for line in paragraph.splitlines():
            if code != bool(re.search(r"^  |\S  +\S", line)):
                code = not code
                yield ".EX" if code else ".EE"
            yield _text(line)
        if code:
            yield ".EE"


def _markdown(document: str) -> Iterator[str]:
    ends_paragraph = True
    for block in filter(None, re.split(r"\n\s*\n", document.strip())):
        lines = block.splitlines()
        if lines[0].startswith("# "):
            continue  # the document's own title
        if lines[0].startswith("##"):
            yield f'.SH "{_text(lines[0].lstrip("# ").replace("`", "")).upper()}"'
            ends_paragraph = True
            continue
        is_list = re.match(r"\||\d+\. |- ", block)  # whose items begin paragraphs of their own
        if not ends_paragraph and not is_list:
            yield ".PP"
        ends_paragraph = False
        if lines[0].startswith("|"):
            yield from _table(lines)
        elif lines[0].startswith(("    ", "```")):
            yield from (".EX", *(_text(line) for line in lines if not line.startswith("```")), ".EE")
        else:
            for item in re.split(r"\n(?=\d+\. |- )", block):
                found = re.match(r"(\d+\.|-) ", item)
                if found:
                    yield f'.IP "{_text(found[1])}" 4'
                yield _inline(" ".join(item[found.end() if found else 0 :].split()))


def _table(lines: list[str]) -> Iterator[str]:
    """Make a paragraph of each row: the first cell its tag, the last its text, what is between, the default."""
    for line in lines[2:]:
        tag, *between, last = (
            cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]
        )
        default = "".join(f" = {cell}" for cell in between if cell.startswith("`"))
        yield from (".TP", _inline(tag + default), _inline(last))


def _inline(text: str) -> str:
    text = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text)
    pieces = re.split(r"`([^`]+)`", text.replace("**", ""))
    return "".join(rf"\fB{_escaped(one)}\fR" if i % 2 else _escaped(one) for i, one in enumerate(pieces))


def _text(line: str) -> str:
    """Escape a line, so that nothing in it is a request."""
    escaped = _escaped(line)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _escaped(text: str) -> str:
    escapes = {"\\": r"\e", "-": r"\-", '"': r"\(dq", "^": r"\(ha", "~": r"\(ti", "`": r"\(ga"}
    return "".join(escapes.get(character, character) for character in text)


def _lines(lines: Iterator[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
