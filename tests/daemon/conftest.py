"""A daemon with its own store for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.running import Daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon without settings, but for its directory and a free port."""
    with Daemon(tmp_path) as running:
        yield running
