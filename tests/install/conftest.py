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
def bootable(tmp_path_factory):
    """Skips where systemd cannot be booted: a container may have namespaces, and lack what else it takes."""
    reason = machine.impossible()
    if not reason:
        try:
            machine.run("true", tmp_path_factory.mktemp("boot"))
        except (OSError, AssertionError, subprocess.SubprocessError) as error:
            reason = str(error)
    if reason:
        pytest.skip(f"systemd cannot be booted: {reason}")
