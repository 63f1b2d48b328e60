#!/usr/bin/env bash
# Tries bin/dev and a few browser tests on a bare Debian: a fresh root that holds python3, git, ca-certificates and
# nothing else. What is committed is tried. Run it as root, with debootstrap at hand; it takes ten minutes and 3 GB.
#   tools/try_bare.sh [--keep] [suite] [mirror]
# --keep leaves the root where it is, to look around in it.
set -euo pipefail
cd "$(dirname "$0")/.."

keep=
if [ "${1:-}" = --keep ]; then keep=yes; shift; fi
suite=${1:-bookworm}
mirror=${2:-http://deb.debian.org/debian}
tests=(tests/tools/test_stripe_browser.py tests/journeys/test_guest_order.py)

stop() { printf '%s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || stop "Making a root needs root: sudo tools/try_bare.sh"
command -v debootstrap >/dev/null 2>&1 || stop "This needs debootstrap: apt-get install debootstrap"

root=$(mktemp -d /var/tmp/shop-bare-XXXXXX)
chmod 755 "$root"
clean_up() {
  if mountpoint -q "$root/proc"; then inside 'bin/dev --stop' >/dev/null 2>&1 || true; fi
  local place
  for place in dev/shm dev/pts dev proc; do
    if mountpoint -q "$root/$place"; then umount "$root/$place"; fi
  done
  if [ -n "$keep" ]; then echo "The root is $root"; else rm -rf --one-file-system "$root"; fi
}
trap clean_up EXIT

inside() {
  chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    bash -c "cd /srv/shop && $1"
}

echo "Making a bare $suite in $root"
debootstrap --variant=minbase --include=python3,git,ca-certificates "$suite" "$root" "$mirror" >"$root.log" 2>&1 ||
  stop "debootstrap did not finish; $root.log says why."
rm "$root.log"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount --bind /dev/pts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
# The way out of here: names, and whom this machine trusts.
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
git clone --quiet . "$root/srv/shop"

echo "bin/dev"
inside 'bin/dev --port 8600 --detach'
inside "python3 -c 'from urllib.request import urlopen; urlopen(\"http://127.0.0.1:8600/products\")'"
inside 'bin/dev --stop'

echo "bin/test ${tests[*]}"
inside "bin/test ${tests[*]}"

echo "bin/test, by somebody who may not install"
rm -rf "$root/srv/shop"
git clone --quiet . "$root/srv/shop"
inside 'useradd --create-home ada && chown -R ada . && apt-get purge -qq -y libatomic1 >/dev/null'
inside "su ada -c 'bin/test --version'" && stop "It should have said what is missing."
echo "It said what is missing."
