"""The units under a real systemd: installed as docs/running.md says, and used as it says."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.install import machine
from tests.install.texts import ROOT, block
from tests.reports import Fate, postfix_style

INSTALLED = """
# The Python of these tests, as /opt/python, with what they have installed: no network is needed.
export PATH=/opt/python/bin:$PATH
echo /opt/python/lib > /etc/ld.so.conf.d/000-python.conf && ldconfig
python3 -m venv --without-pip /opt/bounced
site=$(/opt/bounced/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo /opt/dependencies > "$site/dependencies.pth"
python3 -m pip --python /opt/bounced/bin/python install --quiet --no-index --no-deps /test/*.whl
export PATH=/usr/bin:/usr/sbin:/bin:/sbin
{places}
cat > /etc/bounced/bounced.toml <<'...'
{settings}
...
"""

# Each section writes what a test below looks at.
USED = """
section() { exec > "/test/$1" 2>&1; }
count() { journalctl --quiet --unit bounced --output cat --no-pager --grep "$1" | wc -l; }
await() { until [ "$(count "$1")" -ge "${2:-1}" ]; do sleep 0.1; done; }
main() { systemctl show --property MainPID --value bounced; }

section verified
systemd-analyze verify /etc/systemd/system/bounced.service /etc/systemd/system/bounced.socket
man --warnings --encoding UTF-8 bounced > /dev/null

section started
bounced check-config > /dev/null
systemctl enable --now bounced
systemctl is-active bounced.service bounced.socket
grep -E '^(CapPrm|CapBnd|NoNewPrivs|Seccomp):' /proc/$(main)/status
stat --format '%U %a' /var/lib/bounced /etc/bounced

section taken
for address in 127.0.0.1 ::1; do python3 /test/send.py "$address"; done
setpriv --reuid bounced --regid bounced --clear-groups bounced show jane@example.org

section reloaded
systemctl reload bounced
await daemon.reloaded
echo done

section killed
kill -KILL $(main)
python3 /test/send.py 127.0.0.1
systemctl show --property NRestarts bounced

section exposure
systemd-analyze security --no-pager bounced.service

section credentials
install -m 600 -D /dev/stdin /etc/credstore/bounced.redis-password <<< secret-of-redis
install -m 600 -D /dev/stdin /etc/credstore/bounced.return-path.keys <<< "aa $(printf '%064d' 7)"
redis-server --port 6399 --requirepass secret-of-redis --appendonly yes --dir /tmp --daemonize yes > /dev/null
cat >> /etc/bounced/bounced.toml <<'...'
[redis]
url = "redis://127.0.0.1:6399/0"
password_file = "redis-password"
[return_path]
mode = "observe"
keys_file = "return-path.keys"
...
systemctl restart bounced
python3 /test/send.py 127.0.0.1
redis-cli -p 6399 -a secret-of-redis --no-auth-warning EXISTS bounced:hard:jane@example.org
count reload.failed

section stopped
systemctl stop bounced.socket bounced.service
systemctl show --property Result --property ExecMainStatus bounced
journalctl --quiet --unit bounced --output cat --no-pager --grep daemon.stopped | tail -1

section mistaken
echo 'smpt = 1' >> /etc/bounced/bounced.toml
systemctl start bounced || true
until systemctl is-failed --quiet bounced; do sleep 0.1; done
systemctl show --property ExecMainStatus bounced
journalctl --quiet --unit bounced --output cat --no-pager | grep 'no such setting' | tail -1
"""
SEND = """
import smtplib, sys
with smtplib.SMTP(sys.argv[1], 25, timeout=20) as client:
    client.sendmail("", "bounces@bounces.example.com", open("/test/report.eml", "rb").read())
print("taken")
"""


@pytest.fixture(scope="module")
def said(bootable, wheel, tmp_path_factory):  # noqa: ARG001
    """Install, use, and return what each section wrote."""
    if not shutil.which("redis-server"):
        pytest.skip("there is no redis-server")
    directory = tmp_path_factory.mktemp("machine")
    shutil.copy(wheel, directory)
    (directory / "send.py").write_text(SEND)
    (directory / "report.eml").write_bytes(postfix_style([Fate("jane@example.org")], "letter"))
    install = INSTALLED.format(
        places=block("docs/running.md", "sh", "systemd-sysusers"),
        settings=block("docs/running.md", "toml", "return_path_domains"),
    )
    machine.run(
        install + USED,
        directory,
        python=Path(sys.base_prefix),
        dependencies=Path(sysconfig.get_path("purelib")),
    )
    return lambda section: (directory / section).read_text()


def test_the_units_have_no_mistakes_and_the_manual_page_is_found(said):
    assert said("verified") == ""


def test_it_starts_without_any_capability(said):
    words = said("started")
    assert "active\nactive\n" in words
    assert re.findall(r"^(Cap\w+):\t(\w+)$", words, re.MULTILINE) == [
        ("CapPrm", "0" * 16),
        ("CapBnd", "0" * 16),
    ]
    assert "NoNewPrivs:\t1\nSeccomp:\t2\n" in words
    assert words.endswith("bounced 700\nroot 755\n")


def test_it_answers_on_port_25_of_both_protocols_and_its_own_store_runs_in_the_sandbox(said):
    assert said("taken").startswith("taken\ntaken\naddress      jane@example.org\nstate        rest until ")


def test_reload_reaches_it(said):
    assert said("reloaded") == "done\n"


def test_who_connects_while_it_starts_again_waits(said):
    assert said("killed") == "taken\nNRestarts=1\n"


def test_exposure_as_systemd_sees_it_running(said):
    [exposure] = re.findall(r"Overall exposure level for bounced.service: ([\d.]+)", said("exposure"))
    assert float(exposure) <= 1.3


def test_secrets_come_as_credentials_and_redis_may_be_anothers(said):
    assert said("credentials") == "taken\n1\n0\n"


def test_it_stops_in_good_order(said):
    words = said("stopped").splitlines()
    assert words[:2] == ["Result=success", "ExecMainStatus=0"]
    assert json.loads(words[2])["event"] == "daemon.stopped"


def test_with_a_mistake_in_the_settings_it_is_not_started_again_and_again(said):
    words = said("mistaken")
    assert "ExecMainStatus=78\n" in words
    assert "smpt: no such setting; did you mean" in words


def test_exposure_of_the_unit():
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=13", "--no-pager", "systemd/bounced.service"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    sys.stdout.write(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout
