# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRIU from a newer Debian, which this release's LXD can use after some of its arguments are changed."""

from pathlib import Path

# Debian 12's own CRIU fails on new kernels. The newer one has its own libc, so it runs through that libc's loader.
#
# * dump: iptables-restore may be missing, nftables is not;
# * `tty.info`: LXC notes the console there, and refuses to restore without one;
# * restore: the images lie in a directory of the container's root, which CRIU's child is not from its first moment on
#   ("timens-0.img: Permission denied"); the container's own directory above it stays closed to others;
# * restore: no security module's profile where the kernel has none, and no console to map.
WRAPPER = """#!/bin/sh
prefix={prefix}
loader="$prefix/usr/lib64/ld-linux-x86-64.so.2"
libraries="$prefix/usr/lib/x86_64-linux-gnu"
previous= images=.
for word; do
    if [ "$previous" = -D ]; then images=$word; fi
    previous=$word
done
case $1 in
dump | pre-dump)
    "$loader" --library-path "$libraries" --argv0 criu "$prefix/usr/sbin/criu" "$@" --network-lock nftables
    code=$?
    rm -f "$images/tty.info"
    exit $code
    ;;
restore)
    chmod 711 "$images"
    count=$#
    while [ "$count" -gt 0 ]; do
        word=$1
        shift
        count=$((count - 1))
        if [ "$word" = --ext-mount-map ] && [ "$1" = console: ] ||
            {{ [ "$word" = --lsm-profile ] && [ ! -d /sys/kernel/security/apparmor ]; }}; then
            shift
            count=$((count - 1))
        else
            set -- "$@" "$word"
        fi
    done
    ;;
esac
# LXC finds the restored process as its own child, so no shell may stand between the two
exec "$loader" --library-path "$libraries" --argv0 criu "$prefix/usr/sbin/criu" "$@"
"""


def wrapper(prefix: Path) -> Path:
    """The directory that holds a `criu` to be put first in the daemon's PATH."""
    script = prefix / "bin/criu"
    text = WRAPPER.format(prefix=prefix)
    if not script.exists() or script.read_text() != text:
        script.parent.mkdir(exist_ok=True)
        fresh = script.with_name("criu.new")
        fresh.write_text(text)
        fresh.chmod(0o755)
        fresh.replace(script)
    return script.parent
