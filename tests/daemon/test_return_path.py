"""What the log says of return paths that prove something, and of those that do not."""

import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bounced.core import returnpath
from tests import reports
from tests.daemon.running import Daemon

JANE = "jane@example.org"
DOMAIN = "bounces.example.com"
KEY = bytes(range(32))
UNSIGNED = f"bounces@{DOMAIN}"


def signed(mid: str) -> str:
    return returnpath.sign(JANE, DOMAIN, kid="aa", key=KEY, mid=mid, expires=int(time.time() // 86400) + 1)


SIGNED = signed("mid000000001")


@pytest.fixture(params=["observe", "enforce"])
def asking(request, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"aa {KEY.hex()}\n")
    settings = (f"return_path_domains={DOMAIN}", f"return_path.keys_file={keys}")
    with Daemon(tmp_path, *settings, f"return_path.mode={request.param}") as running:
        yield running, request.param == "enforce"


def test_a_claim_without_proof_is_marked_or_refused_and_no_secret_is_told(asking):
    daemon, refuses = asking
    [reply] = daemon.send(reports.soft(JANE, "a"), to=UNSIGNED)
    assert reply[:3] == ("550" if refuses else "250")
    forged = daemon.wait_for("bounce.forged")
    assert (forged["return_path"], forged["refused"], forged["reason"]) == (UNSIGNED, refuses, "not signed")
    daemon.send(reports.soft(JANE, "b"), to=SIGNED)
    proven = daemon.wait_for("bounce.recorded", proven=True)
    assert (proven["recipient"], proven["soft"]) == (JANE, 1 if refuses else 2)
    daemon.process.terminate()
    assert KEY.hex() not in repr(daemon.rest_of_log())


def test_mail_for_people_is_kept_and_an_autoreply_changes_nothing_with_a_proof_too(asking):
    daemon, _ = asking
    assert daemon.send(reports.hard(JANE, "a"), to=f"postmaster@{DOMAIN}") == ["250 2.0.0 Noted"]
    daemon.wait_for("postmaster.kept")
    away = (
        b"From: jane@example.org\r\nAuto-Submitted: auto-replied\r\nSubject: Out of office\r\n\r\nSoon.\r\n"
    )
    assert daemon.send(away, to=SIGNED) == ["250 2.0.0 Noted"]
    daemon.wait_for("bounce.ignored", kind="autoreply")
    with daemon.store() as store:
        assert store.keys("bounced:addr:*") == []


def test_mail_for_people_and_a_return_path_at_once_is_kept_and_counts(asking):
    """As a server may send it: one message, both recipients, one reply."""
    daemon, refuses = asking
    recipients = [f"postmaster@{DOMAIN}", SIGNED, UNSIGNED]
    with daemon.smtp() as client:
        refused = client.sendmail("", recipients, reports.soft(JANE, "a"))
    assert list(refused) == ([UNSIGNED] if refuses else [])
    daemon.wait_for("bounce.recorded", recipient=JANE, proven=True)
    kept = daemon.wait_for("postmaster.kept")
    assert reports.soft(JANE, "a") in Path(kept["file"]).read_bytes()
    with daemon.store() as store:
        assert store.hgetall(f"bounced:addr:{JANE}")["soft_total"] == "1"


def test_who_is_hidden_is_shown_by_the_own_address_and_a_delivery_to_it_breaks_the_row(asking):
    daemon, _ = asking
    name = f"~{returnpath.rid_of(JANE)}"
    assert daemon.send(reports.soft("inside@example.net", "a"), to=SIGNED) == ["250 2.0.0 Noted"]
    daemon.wait_for("bounce.recorded", recipient=name)
    shown = daemon.command("show", JANE)
    assert shown.returncode == 0
    assert f"{JANE} is known as {name}, by reports of forwarders that hid the address:" in shown.stdout
    assert re.search(r"^in a row +1 soft$", shown.stdout, re.MULTILINE)
    assert daemon.command("show", "inside@example.net").returncode == 1
    assert daemon.send(reports.delivered(JANE, "b"), to=signed("mid000000002")) == ["250 2.0.0 Noted"]
    daemon.wait_for("bounce.delivered")
    assert re.search(r"^in a row +0 soft$", daemon.command("show", JANE).stdout, re.MULTILINE)


def test_a_socket_that_systemd_opened_is_served(tmp_path):
    """As systemd starts it: the socket is descriptor 3, and LISTEN_PID is set by the process that becomes ours."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        script = f'exec 3<&{listening.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        serve = [sys.executable, "-m", "bounced", "serve", "--set", f"state_dir={tmp_path}"]
        with subprocess.Popen(
            ["bash", "-c", script, "bash", *serve],
            pass_fds=[listening.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ,
        ) as process:
            try:
                with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
                    client.sendmail("", "b@b.example", reports.hard(JANE, "a"))
            finally:
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0


COURIER = (
    b"From: Delivery Notification <info@courier.example>\r\nSubject: Delivery failed\r\n\r\n"
    b"It could not be delivered, nobody is known at this address:\r\n\r\n  jane@example.org\r\n"
)


@pytest.mark.parametrize(
    ("reverse_path", "event"), [("info@courier.example", "bounce.unrecognised"), ("", "bounce.recorded")]
)
def test_the_reverse_path_tells_a_server_from_who_bears_a_servers_name(tmp_path, reverse_path, event):
    with Daemon(tmp_path, f"return_path_domains={DOMAIN}") as daemon:
        with daemon.smtp() as client:
            client.sendmail(reverse_path, [UNSIGNED], COURIER)
        daemon.wait_for(event)
