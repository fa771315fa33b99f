# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A file as a block device, and the share of a storage that the file is on. LXD would mount a file as such.

Which loop device is free is another after each boot, so instances have a link to it, whose name follows from the file.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .block import LINKS
from .errors import OperationFailed
from .host_program import run_program

SHARES = "/var/lib/lxdops/shares"
"""Where shares are mounted: no other program does so there."""


def loops() -> dict[str, str]:
    """The loop devices, and the file of each."""
    found = {}
    for path in sorted(Path("/sys/block").glob("loop*/loop/backing_file")):
        try:
            found[f"/dev/{path.parents[1].name}"] = path.read_text().rstrip("\n").removesuffix(" (deleted)")
        except OSError:
            continue  # It has gone.
    return found


def attach_loop(file: str) -> str:
    """The block device of a file, the one that it has if it has one; by its link."""
    if not os.path.isfile(file):
        raise OperationFailed(f"{file}: there is no such file on the share")
    found = next((device for device, its in loops().items() if its == file), "")
    # Directly, not by the cache of this host: what is written is the storage's.
    device = found or run_program("losetup", "--find", "--show", "--direct-io=on", file).stdout.strip()
    link = _link(file)
    if not (link.is_symlink() and os.readlink(link) == device):
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(device)
    return str(link)


def grow_loop(file: str) -> None:
    """Let the block devices of a file be as large as it is."""
    with open(file, "rb") as opened:
        os.fstat(opened.fileno())  # NFS asks the server for the size of what is opened.
    for device in [device for device, its in loops().items() if its == file]:
        run_program("losetup", "--set-capacity", device)


def detach_loop(file: str) -> None:
    """Take the block devices of a file away. The link goes first: it must never lead to what is another file's."""
    _link(file).unlink(missing_ok=True)
    for device in [device for device, its in loops().items() if its == file]:
        run_program("losetup", "--detach", device)


def _link(file: str) -> Path:
    return Path(LINKS, hashlib.sha256(file.encode()).hexdigest()[:12])


def shares() -> dict[str, str]:
    """The shares that are mounted for volumes: the directory, and what is mounted there."""
    fields = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return {directory: source for source, directory, *_rest in fields if directory.startswith(f"{SHARES}/")}


def share_of(export: str) -> str:
    """The directory where a share is mounted, or empty."""
    wanted = export.rstrip("/")
    return next((directory for directory, source in shares().items() if source.rstrip("/") == wanted), "")


def leave_share(directory: str, force: bool = False) -> None:
    """Unmount a share when no block device is made of its files any more."""
    if any(file.startswith(f"{directory}/") for file in loops().values()):
        return
    run_program("umount", *(("--force", "--lazy") if force else ()), directory)
    os.rmdir(directory)


def clear_shares() -> None:
    """Remove the directories that a run made which was killed before it mounted a share there, or after it unmounted
    it."""
    mounted = shares()
    for directory in Path(SHARES).glob("*"):
        if str(directory) not in mounted and not any(directory.iterdir()):
            directory.rmdir()
