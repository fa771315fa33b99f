# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What is on a block device: nothing, a filesystem or something else; made and grown with the host's own programs."""

from __future__ import annotations

import os
import struct

from .errors import OperationFailed
from .host_program import run_program

EXT = ("ext2", "ext3", "ext4")
"""The filesystems that this makes and grows."""
MIB = 1 << 20
NOTHING, AMBIVALENT = 2, 8
"""What blkid ends with."""
FIXED = 1
"""What e2fsck ends with when it has corrected something."""
SUPERBLOCK, MAGIC = 1024, 0xEF53


def content_of(path: str) -> str:
    """The kind of filesystem, or of other known data, on a device; empty where it is blank."""
    done = run_program("blkid", "--probe", "--output", "export", path, allowed=(0, NOTHING, AMBIVALENT))
    if done.returncode == AMBIVALENT:
        return "data of more than one kind"
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    kind = found.get("TYPE") or (f"partitions ({found['PTTYPE']})" if "PTTYPE" in found else "")
    return kind or ("" if _is_blank(path) else "unknown data")


def make_filesystem(path: str, kind: str, owner: int) -> None:
    """Make an ext filesystem; ``owner``: the user and group of the host that its root belongs to."""
    run_program(f"mkfs.{kind}", "-q", "-F", "-E", f"root_owner={owner}:{owner}", path)


def filesystem_size(path: str) -> int | None:
    """Bytes of an ext filesystem, or None for another (the superblock: Documentation/filesystems/ext4)."""
    try:
        with open(path, "rb") as device:
            device.seek(SUPERBLOCK)
            block = device.read(1024)
    except OSError as error:
        raise OperationFailed(f"{path}: its filesystem cannot be read: {error.strerror}") from None
    (magic,) = struct.unpack_from("<H", block, 0x38)
    low, exponent, (high,) = *struct.unpack_from("<I12xI", block, 0x4)[:1], block[0x18], (0,)
    if magic != MAGIC:
        return None
    (wide,) = struct.unpack_from("<I", block, 0x60)
    if wide & 0x80:  # INCOMPAT_64BIT
        (high,) = struct.unpack_from("<I", block, 0x150)
    return int((high << 32) + low) << (10 + exponent)


def grow_filesystem(path: str) -> None:
    """Let an ext filesystem that is not mounted fill its device."""
    run_program("e2fsck", "-f", "-p", path, allowed=(0, FIXED))
    run_program("resize2fs", path)


def _is_blank(path: str) -> bool:
    """Whether the first and last MiB are zeros; blkid knows no signature elsewhere."""
    with open(path, "rb") as device:
        end = device.seek(0, os.SEEK_END)
        parts = []
        for start in (0, max(0, end - MIB)):
            device.seek(start)
            parts.append(device.read(MIB))
    return not any(part.strip(b"\0") for part in parts)
