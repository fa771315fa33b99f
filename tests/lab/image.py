# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container image of about a megabyte: busybox and a first process of our own."""

import gzip
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

from .state import CACHE

BUSYBOX = Path("/usr/bin/busybox")
GUEST = Path(__file__).with_name("guest")
ALIASES = {"tiny": "1", "tiny2": "2"}  # alias -> release; a different release makes a different fingerprint

PROGRAMS = {"init": "sbin/init", "login-prompt": "sbin/login-prompt", "udhcpc": "etc/udhcpc"}  # of ours, see guest/
FILES = {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nNAME="Debian GNU/Linux"\nPRETTY_NAME="Tiny Debian busybox"\n',
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/resolv.conf": "",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
DIRECTORIES = (
    "bin dev etc home mnt proc root run sbin srv sys tmp usr usr/bin usr/sbin usr/share usr/share/udhcpc "
    "var var/lib var/log var/tmp"
).split()


def build() -> dict[str, Path]:
    """The image files by alias, from the cache where they were built from the same parts before."""
    parts = hashlib.sha256(BUSYBOX.read_bytes())
    for source in (Path(__file__), *(GUEST / name for name in PROGRAMS)):
        parts.update(source.read_bytes())
    images = {alias: CACHE / "images" / f"{alias}-{parts.hexdigest()[:16]}.tar.gz" for alias in ALIASES}
    for alias, image in images.items():
        if not image.exists():
            image.parent.mkdir(parents=True, exist_ok=True)
            for old in image.parent.glob(f"{alias}-*"):
                old.unlink()
            fresh = image.with_suffix(".new")
            fresh.write_bytes(_archive(ALIASES[alias]))
            fresh.replace(image)
    return images


def _archive(release: str) -> bytes:
    """The unified image tarball; the same input always gives the same bytes, so the same fingerprint."""
    description = f"Tiny busybox, release {release}"
    metadata = {
        "architecture": platform.machine(),
        "creation_date": 1700000000,
        "properties": {"os": "tiny", "release": release, "description": description, "name": f"tiny-{release}"},
    }
    applets = subprocess.run([BUSYBOX, "--list-full"], check=True, capture_output=True, text=True).stdout.split()
    target = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        _file(tar, "metadata.yaml", json.dumps(metadata).encode(), 0o644)  # JSON is YAML
        _entry(tar, "rootfs", tarfile.DIRTYPE, 0o755)
        for directory in DIRECTORIES:
            _entry(tar, f"rootfs/{directory}", tarfile.DIRTYPE, 0o1777 if directory.endswith("tmp") else 0o755)
        _file(tar, "rootfs/bin/busybox", BUSYBOX.read_bytes(), 0o755)
        for applet in applets:
            if applet not in ("bin/busybox", "sbin/init"):
                _entry(tar, f"rootfs/{applet}", tarfile.SYMTYPE, 0o777, "/bin/busybox")
        for name, path in PROGRAMS.items():
            _file(tar, f"rootfs/{path}", (GUEST / name).read_bytes(), 0o755)
        _file(tar, "rootfs/etc/shadow", b"root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n", 0o640)
        for path, text in FILES.items():
            _file(tar, f"rootfs/{path}", text.encode(), 0o644)
        _file(tar, "rootfs/etc/tiny-release", f"{release}\n".encode(), 0o644)
    return target.getvalue()


def _entry(tar: tarfile.TarFile, name: str, kind: bytes, mode: int, link: str = "") -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, link
    tar.addfile(entry)


def _file(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = mode, len(content)
    tar.addfile(entry, io.BytesIO(content))
