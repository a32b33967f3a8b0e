#!/bin/bash
# Unpacks Prometheus and promtool from Debian's package into .prometheus, and installs nothing.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)/.prometheus
[[ ! -e $here/promtool ]] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 777 "$work" # apt fetches as a user of its own
(cd "$work" && apt-get -qq download prometheus && dpkg-deb -x prometheus_*.deb root)
mkdir -p "$here"
echo '*' >"$here/.gitignore"
mv "$work/root/usr/bin/prometheus" "$here/prometheus"
mv "$work/root/usr/bin/promtool" "$here/promtool"
echo "unpack.sh: $("$here/promtool" --version 2>&1 | head -1)"
