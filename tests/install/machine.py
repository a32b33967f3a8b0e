"""A machine to install on: systemd boots in namespaces of its own, over this machine's files, copied on write.

It has its own processes, network (the loopback, so port 25 is free), mounts, /run, /tmp, /dev and control groups;
what is written anywhere but in /test is gone with it. Needs root, with the rights to make namespaces.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.process import wait_until

INIT = Path("/lib/systemd/systemd")
SECONDS = 90
NAMESPACES = "--pid --fork --kill-child --mount --uts --ipc --net --cgroup"

INSIDE = """
mount --make-rprivate /
base={test}/base
mkdir "$base"
mount -t tmpfs tmpfs "$base"
mkdir "$base/upper" "$base/work" "$base/root"
root=$base/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$root"
mount -t proc proc "$root/proc"
mount --bind /dev/null "$root/proc/cgroups"  # no resource controllers
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for directory in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs "$root/$directory"; done
chmod 1777 "$root/tmp"
for device in null zero full random urandom tty; do
    : > "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
: > "$root/dev/console"
mount --bind "$(tty)" "$root/dev/console"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mkdir -p "$root/test"
mount --bind {test} "$root/test"
{binds}
# Nothing starts but what the test starts: what comes up with a machine would set up the kernel, which is not ours.
rm -rf "$root/etc/systemd/system" "$root"/lib/systemd/system/*.wants "$root/var/log/journal"
mkdir -p "$root/etc/systemd/system"
cp "$root/test/test.target" "$root/test/test.service" "$root/etc/systemd/system/"
export container=test
cd "$root"
mkdir -p mnt
pivot_root . mnt  # no chroot: from within one there are no user namespaces to be had
exec chroot . sh -c 'umount -l /mnt; mount --make-rshared /; exec "$0" "$@"' \\
    {init} --system --unit=test.target --show-status=no --log-target=console --log-level=warning
"""
TARGET = """
[Unit]
DefaultDependencies=no
Wants=test.service systemd-journald.service
"""
SERVICE = """
[Unit]
DefaultDependencies=no
After=systemd-journald.service
[Service]
Type=oneshot
ExecStart=/bin/bash -eu /test/script
ExecStopPost=/bin/sh -c 'echo $EXIT_STATUS > /test/status; journalctl -o cat > /test/journal; systemctl --force exit'
StandardOutput=append:/test/output
StandardError=append:/test/errors
"""


def impossible() -> str:
    """Say why it cannot be done here; "": it can."""
    if not INIT.exists():
        return "there is no systemd: apt-get install systemd"
    if not os.access(_own_control_group(), os.W_OK):
        return "no control group (version 2) may be made"
    tried = subprocess.run(
        ["unshare", *NAMESPACES.split(), "true"], capture_output=True, text=True, check=False
    )
    return tried.stderr


def run(script: str, directory: Path, **places: Path) -> str:
    """Boot, run a bash script as root in there, and return what it wrote to stdout; `directory` is its /test.

    Each of `places` is seen read-only as /opt/<name>. Raises AssertionError when a command of the script fails.
    """
    binds = [
        f'mkdir "$root/opt/{name}"\nmount --bind -o ro {place} "$root/opt/{name}"'
        for name, place in places.items()
    ]
    files = {
        "test.target": TARGET,
        "test.service": SERVICE,
        "script": script,
        "inside": INSIDE.format(test=directory, init=INIT, binds="\n".join(binds)),
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    for name in ("status", "output", "errors", "journal"):
        (directory / name).unlink(missing_ok=True)
    with _control_group() as group:
        enter = f"echo $$ > {group}/cgroup.procs; exec unshare {NAMESPACES} sh -eu {directory}/inside"
        booted = subprocess.run(
            # systemd writes to a console only if that is a terminal
            ["script", "--quiet", "--return", "--command", enter, "/dev/null"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            env={"PATH": os.environ["PATH"], "TERM": "dumb"},
        )
    said = {
        name: path.read_text() if (path := directory / name).exists() else ""
        for name in ("status", "output", "errors", "journal")
    }
    assert said["status"].strip() == "0", "\n".join([booted.stdout[-2000:], *said.values()])
    return said["output"]


@contextmanager
def _control_group() -> Iterator[Path]:
    """Make a control group for systemd to do with as it likes; remove it with all that is below."""
    group = _own_control_group() / f"bounced-test-{os.getpid()}"
    group.mkdir()
    try:
        yield group
    finally:
        if (kill := group / "cgroup.kill").exists():
            kill.write_text("1")
        wait_until(lambda: "populated 0" in (group / "cgroup.events").read_text())
        for below, _, _ in os.walk(group, topdown=False):
            Path(below).rmdir()


def _own_control_group() -> Path:
    """Where ours is in the unified hierarchy; a directory that does not exist when there is none."""
    hierarchy = re.search(r"^\S+ (\S+) cgroup2 ", Path("/proc/mounts").read_text(), re.MULTILINE)
    own = re.search(r"^0::(.*)$", Path("/proc/self/cgroup").read_text(), re.MULTILINE)
    return Path(hierarchy[1] + own[1]) if hierarchy and own else Path("/nowhere")
