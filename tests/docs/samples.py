"""The samples of the documents: fenced blocks, by their language and by what their info string says.

A block is run unless its info string says `norun:` and why. In what a `console` block shows as output, times may
differ, and `...` stands for anything in a line.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

# What a time looks like, and a port that the system chose; both differ from run to run.
_VARIES = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00))?|\.\.\.")


class Block(NamedTuple):
    document: Path
    line: int
    language: str
    norun: str  # why it is not run; "": it is
    text: str

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}"


class Command(NamedTuple):
    typed: str
    output: str


def blocks(document: Path, *languages: str) -> list[Block]:
    text = document.read_text("utf-8")
    found = []
    for match in re.finditer(r"^```(\w+)(?: norun: ([^\n]+))?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        language, norun, inside = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        if language in languages:
            found.append(Block(document, line, language, norun or "", inside))
    return found


def odd_fences(document: Path) -> list[str]:
    """Lines that open a block in a way that `blocks` does not understand, and commands that no block holds."""
    fenced = re.compile(r"^```(?:\w+|\{\w+\} ?\S*)(?: norun: [^\n]+)?\n.*?^```$", re.MULTILINE | re.DOTALL)
    text = fenced.sub("", document.read_text("utf-8"))
    return re.findall(r"^(?: *```.*|    (?:\S*bounced [a-z]|make |redis-cli ).*)$", text, re.MULTILINE)


def commands(console: str) -> list[Command]:
    """What is typed behind `$ ` and continued behind `> `, and what is shown below it."""
    found: list[Command] = []
    for line in console.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append(Command(line[2:], ""))
        elif line.startswith("> ") and not found[-1].output:
            found[-1] = Command(found[-1].typed + line[2:], "")
        else:
            found[-1] = Command(found[-1].typed, found[-1].output + line)
    return found


def matches(shown: str, printed: str) -> bool:
    pattern, position = "", 0
    for varies in _VARIES.finditer(shown):
        pattern += re.escape(shown[position : varies.start()])
        pattern += ".*" if varies[0] == "..." else r"[-\dTZ:.+]+"
        position = varies.end()
    pattern += re.escape(shown[position:])
    return re.fullmatch(pattern, printed) is not None


def calls(shell: str) -> Iterator[list[str]]:
    """Each call of `bounced` in shell text: the words behind its name."""
    for line in shell.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
        lexer.whitespace_split = True
        words: list[str] = []
        for token in (*lexer, ";"):
            if not set(token) <= set("|&;()"):
                words.append(token)
                continue
            redirected = next((i for i, word in enumerate(words) if set(word) <= set("<>")), len(words))
            call = " ".join(map(shlex.quote, words[:redirected]))
            words = []
            if name := _PROGRAM.match(call):
                yield shlex.split(call[name.end() :])


_PROGRAM = re.compile(
    r"(?:sudo -u bounced |\w+=\S+ )*(?:\.venv/bin/|/opt/bounced/bin/|ExecStart=/usr/bin/)?bounced "
)


def mentions(document: Path) -> list[str]:
    """`bounced ...` in running text and tables."""
    text = re.sub(r"^```.*?^```$", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [found.replace("\\|", "|") for found in re.findall(r"`(bounced [a-z][^`]*)`", text)]
