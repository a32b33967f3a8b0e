#!/bin/bash
# Unpacks mail servers from Debian's packages into roots of their own, .mta/<name>, and installs nothing: as
# packages they would replace each other and this machine's own mail server.
#   tests/mta/unpack.sh exim opensmtpd
set -euo pipefail

declare -A packages=(
    [exim]="exim4-daemon-light"
    [opensmtpd]="opensmtpd"
    [sendmail]="sendmail-bin dash coreutils"
    [courier]="courier-mta dash coreutils sed grep"
)
here=$(cd "$(dirname "$0")/../.." && pwd)/.mta
mkdir -p "$here/debs/partial"
echo '*' >"$here/.gitignore"
: >"$here/installed" # dpkg's status, empty: apt then fetches the whole closure, down to libc
[[ $(id -u) -ne 0 ]] || chown _apt "$here/debs/partial" 2>/dev/null || true

for name in "$@"; do
    [[ -n ${packages[$name]:-} ]] || { echo "unpack.sh: no such server: $name (${!packages[*]})" >&2; exit 64; }
    root=$here/$name
    [[ ! -e $root ]] || continue
    read -ra wanted <<<"${packages[$name]}"
    apt-get -qq -o Dir::State::status="$here/installed" -o Dir::Cache::archives="$here/debs" \
        -o Debug::NoLocking=1 --no-install-recommends --download-only --yes install "${wanted[@]}" >/dev/null
    debs=$(apt-get -qq -o Dir::State::status="$here/installed" -o Debug::NoLocking=1 --no-install-recommends \
        --print-uris --yes install "${wanted[@]}" | awk '{ print $2 }')
    rm -rf "$root.new"
    mkdir "$root.new"
    for deb in $debs; do
        dpkg-deb --fsys-tarfile "$here/debs/$deb" | tar -x -C "$root.new" --exclude='./usr/share/doc' \
            --exclude='./usr/share/man' --exclude='./usr/share/locale' --exclude='*/perl*' --exclude='*/gconv'
    done
    mv "$root.new" "$root"
    echo "unpack.sh: $name $(du -sh "$root" | cut -f1)"
done
