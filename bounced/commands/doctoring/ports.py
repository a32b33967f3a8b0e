"""Who listens where mail should come in."""

import contextlib
import shutil
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bounced.commands.doctoring import Finding, error, ok, warning
from bounced.settings import Endpoint, Settings

ABOUT = "port"
SECONDS = 5.0
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
LISTENING = "0A"


def findings(settings: Settings) -> Iterator[Finding]:
    """Connect to where systemd listens for us, else to smtp.listen, and see who answers."""
    endpoints = _of_systemd() or [one for one in settings.smtp.listen if one.port]
    for endpoint in endpoints:
        yield _answer(endpoint)
    if settings.return_path_domains and all(endpoint.is_loopback for endpoint in endpoints):
        advice = (
            "enable bounced.socket, or set smtp.listen; well if a mail server or proxy here hands mail on"
        )
        yield warning(ABOUT, "only this machine can connect: no server can hand us a bounce", advice)


def _of_systemd() -> list[Endpoint]:
    """The addresses of bounced.socket, if it is active."""
    if not shutil.which("systemctl"):
        return []
    command = ["systemctl", "show", "bounced.socket", "--property=ActiveState,Listen"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    lines = done.stdout.splitlines()
    if "ActiveState=active" not in lines:
        return []
    words = [line.removeprefix("Listen=").split(" ")[0] for line in lines if line.startswith("Listen=")]
    return [Endpoint.parse(word) for word in words if not word.startswith("/")]


def _answer(endpoint: Endpoint) -> Finding:
    try:
        with smtplib.SMTP(timeout=SECONDS) as client:
            code, banner = client.connect(ANY.get(endpoint.host, endpoint.host), endpoint.port)
            with contextlib.suppress(smtplib.SMTPException):
                client.quit()
    except ConnectionRefusedError:
        return error(
            ABOUT, f"nobody listens on {endpoint}", "systemctl start bounced; its log says why it ended"
        )
    except (OSError, smtplib.SMTPException) as problem:
        advice = f"see who it is: {_holders(endpoint.port)}, and the log: journalctl -u bounced"
        return error(ABOUT, f"who listens on {endpoint} does not answer: {problem}", advice)
    words = banner.decode("utf-8", "replace")
    if code == 220 and words.endswith(" bounced"):
        return ok(ABOUT, f"bounced answers on {endpoint}")
    if code == 421:
        return warning(ABOUT, f"{endpoint} is busy: {code} {words}", "journalctl -u bounced; see smtp.limits")
    advice = "stop it, or give either another port (smtp.listen, or bounced.socket)"
    return error(ABOUT, f"{endpoint} is taken by {_holders(endpoint.port)}: {code} {words}", advice)


def _holders(port: int) -> str:
    """Name the processes that listen on a port, as far as we may see them."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, here, _, state, *more = line.split()
            if state == LISTENING and int(here.rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{more[5]}]")
    names = set()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):  # it has just ended, or is not ours to look at
            if str(descriptor.readlink()) in inodes:
                process = descriptor.parent.parent
                names.add(f"{(process / 'comm').read_text().strip()} (process {process.name})")
    return ", ".join(sorted(names)) or "a process that only root can see"
