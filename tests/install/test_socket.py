"""What systemd opens for us is no less careful than what we would open."""

import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest


@contextmanager
def activated(activate, command):
    """Listen on a port of all addresses; somebody may take one that was free a moment ago."""
    for _ in range(20):
        with socket.socket() as probe:
            probe.bind(("0.0.0.0", 0))
            port = probe.getsockname()[1]
        with subprocess.Popen(
            [activate, f"--listen=0.0.0.0:{port}", *command], stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            said = process.stderr.readline()
            if "in use" not in said:
                assert "Listening on" in said
                yield process, port
                return
    pytest.fail("no port is free")


@pytest.mark.parametrize("settings", [[], ["--set", "workers=2"]])
def test_the_whole_world_is_not_let_in_by_omission(tmp_path, settings):
    if not (activate := shutil.which("systemd-socket-activate")):
        pytest.skip("there is no systemd-socket-activate: apt-get install systemd")
    serve = [
        sys.executable,
        "-m",
        "bounced",
        "serve",
        "--set",
        f"state_dir={tmp_path}",
        "--set",
        "metrics.listen=",
    ]
    with activated(activate, [*serve, *settings]) as (process, port):
        assert process.stderr is not None
        with socket.create_connection(("127.0.0.1", port), timeout=20):
            said = process.stderr.read()
        assert process.wait(20) == 78
    assert (
        f"return_path_domains: expected the domains of your return paths, as systemd opens 0.0.0.0:{port}"
        in said
    )
