"""The forty tests of docs/security.md against a running daemon, seen only from outside.

Those that need more than a few seconds are marked `slow` and run with `make torture`. What a test measured is printed
at the end, by its number.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.running import Daemon

FIGURES = pytest.StashKey[dict[str, str]]()
# So that the loopback addresses of the tests count like any other.
NOT_EXEMPT = "smtp.limits.exempt="


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = {}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = config.stash.get(FIGURES, {})
    if figures:
        terminalreporter.section("figures")
    for name, figure in sorted(figures.items(), key=lambda item: int(item[0].split()[0])):
        terminalreporter.line(f"{name}: {figure}")


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Note what was measured, under the number of the test."""
    figures = request.config.stash[FIGURES]
    return figures.__setitem__


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon at its defaults, for which the tests' own addresses are strangers."""
    with Daemon(tmp_path, NOT_EXEMPT) as running:
        yield running
