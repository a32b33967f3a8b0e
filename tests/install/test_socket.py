"""What systemd opens for us is no less careful than what we would open."""

import shutil
import socket
import subprocess
import sys

import pytest

from tests.redis_server import free_port


@pytest.mark.parametrize("settings", [[], ["--set", "workers=2"]])
def test_the_whole_world_is_not_let_in_by_omission(tmp_path, settings):
    if not (activate := shutil.which("systemd-socket-activate")):
        pytest.skip("there is no systemd-socket-activate: apt-get install systemd")
    port = free_port()
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
    with subprocess.Popen(
        [activate, f"--listen=0.0.0.0:{port}", *serve, *settings], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "Listening on" in process.stderr.readline()
        with socket.create_connection(("127.0.0.1", port), timeout=20):
            said = process.stderr.read()
        assert process.wait(20) == 78
    assert (
        f"return_path_domains: expected the domains of your return paths, as systemd opens 0.0.0.0:{port}"
        in said
    )
