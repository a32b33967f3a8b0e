"""The wheel, built once; a machine to install it on."""

import subprocess
import sys

import pytest

from tests.install import machine
from tests.install.texts import ROOT


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """A wheel of this tree, built as `make dist` does."""
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [built] = directory.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def bootable():
    """Skips where systemd cannot be booted."""
    if reason := machine.impossible():
        pytest.skip(f"systemd cannot be booted: {reason}")
