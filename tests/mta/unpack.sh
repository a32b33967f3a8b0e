#!/bin/bash
# Unpacks mail servers from Debian's packages into roots of their own, .mta/<name>, and installs nothing: as
# packages they would replace each other and this machine's own mail server.
#   tests/mta/unpack.sh exim opensmtpd
set -euo pipefail

declare -A packages=(
    [exim]="exim4-daemon-light"
    [opensmtpd]="opensmtpd"
    [courier]="courier-mta dash coreutils sed"
    [sendmail]="sendmail-bin dash coreutils sed"
)
# Most of the bulk, and none of it is used: no server here runs Perl or converts character sets.
unneeded=(usr/share/{doc,man,locale,perl} usr/lib/x86_64-linux-gnu/{gconv,perl,perl-base})

here=$(cd "$(dirname "$0")/../.." && pwd)/.mta
mkdir -p "$here"
echo '*' >"$here/.gitignore"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt fetches as a user of its own

for name in "$@"; do
    [[ -n ${packages[$name]:-} ]] || { echo "unpack.sh: no such server: $name; there is ${!packages[*]}" >&2; exit 64; }
    [[ ! -e $here/$name ]] || continue
    mkdir -p "$work/$name/debs/partial" "$work/$name/root"
    read -ra wanted <<<"${packages[$name]}"
    # An empty dpkg status makes apt fetch all that the packages need, down to libc.
    : >"$work/status"
    apt-get -qq -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/$name/debs" \
        -o Debug::NoLocking=1 --no-install-recommends --download-only --yes install "${wanted[@]}" >/dev/null
    for deb in "$work/$name"/debs/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/$name/root" "${unneeded[@]/#/--exclude=./}"
    done
    rm -rf "$here/$name.part"
    mv "$work/$name/root" "$here/$name.part" # in two steps, so that a root is whole or not there
    mv "$here/$name.part" "$here/$name"
    echo "unpack.sh: $name, $(du -sh "$here/$name" | cut -f1)"
done
