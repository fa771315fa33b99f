# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Block devices as the kernel sees them: their size, and who holds one."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
BY_ID = "/dev/disk/by-id"
LINKS = "/dev/lxdops/"
"""Where links of ours are, which a boot takes away."""
STABLE = ("/dev/disk/", "/dev/mapper/", "/dev/rbd/", LINKS)
PREFERRED = ("dm-uuid-", "wwn-", "nvme-", "scsi-")
"""The beginnings of names in by-id, the better ones first: that of a multipath map is before those of its paths."""
PAUSE = 0.1
SECONDS_TO_WRITE = 180.0
"""More than open-iscsi waits for a session that is lost, before what waits for it fails (replacement_timeout)."""


@dataclass(frozen=True)
class Disk:
    """A block device that has something behind it. ``number``: major:minor. ``size``: bytes, those of the volume."""

    path: str
    number: str
    size: int
    header: int = 0
    """The bytes of these that the device itself lacks, since a header of LUKS has them."""


def read_kernel(path: Path) -> str:
    """A file of the kernel, or nothing where it is gone."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def boot() -> str:
    """Which boot of the host this is."""
    return read_kernel(Path("/proc/sys/kernel/random/boot_id"))


def find_disk(path: str) -> Disk | None:
    """The block device at a path, or None. A loop device without a file is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISBLK(found.st_mode):
        return None
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    size = read_kernel(Path(f"/sys/dev/block/{number}/size"))
    return Disk(path, number, int(size) * SECTOR) if size.strip("0") else None


def stable_path(path: str, by_id: str = BY_ID) -> str:
    """A path that the device has after the next boot too, where udev made one; else the same."""
    if path.startswith(STABLE) or not os.path.isdir(by_id):
        return path
    real = os.path.realpath(path)
    names = sorted(name for name in os.listdir(by_id) if os.path.realpath(f"{by_id}/{name}") == real)
    for beginning in PREFERRED:
        for name in names:
            if name.startswith(beginning):
                return f"{by_id}/{name}"
    return path


def holders(disk: Disk) -> tuple[str, ...]:
    """Who holds a device, in words; nobody may when it goes. Devices made of it, mounts in whatever mount namespace,
    swap, processes that have it open, and what only the kernel itself knows of."""
    found = [*_made_of(disk), *_mounts(disk), *_swap(disk), *processes_using(disk)]
    if not found and _is_claimed(disk):
        found.append("the kernel: it is claimed exclusively, as by a mount that was taken away while in use")
    return tuple(found)


def holders_after(disk: Disk, seconds: float) -> tuple[str, ...]:
    """Who still holds it after some time: the kernel takes a mount down on its own time."""
    end = time.monotonic() + seconds
    found = holders(disk)
    while found and time.monotonic() < end:
        time.sleep(PAUSE)
        found = holders(disk)
    return found


def unwritten(disk: Disk) -> str:
    """Why what this host keeps of a device, and of filesystems on it, cannot be written; or empty, and it is written.

    A volume that is disconnected loses it without a word: the kernel does not tell (blkdev_flushbuf).
    """
    for pid, place in _mounted(disk):
        path = f"/proc/{pid}/root{place}"
        why = _sync("--file-system", path)
        if why and os.path.exists(path):
            return why
    return _sync(disk.path)


def _sync(*words: str) -> str:
    """By a process of its own: one that waits for a storage which does not answer cannot be ended."""
    writer = subprocess.Popen(
        ["sync", *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        said = writer.communicate(timeout=SECONDS_TO_WRITE)[1].decode(errors="replace").strip()
    except subprocess.TimeoutExpired:
        return f"the storage has not answered for {SECONDS_TO_WRITE:g} seconds"
    return said if writer.returncode else ""


def processes_using(disk: Disk, container: str = "") -> tuple[str, ...]:
    """The processes that have the device open, or a file of a filesystem on it. ``container``: only those of one, by
    the name that LXC has for it."""
    numbers = _numbers(disk)
    devices = {os.makedev(*map(int, number.split(":"))) for number in numbers}
    mapped = {"{:02x}:{:02x}".format(*map(int, number.split(":"))) for number in numbers}
    mine = re.compile(rf"/lxc\.payload\.{re.escape(container)}(/|$)", re.MULTILINE)
    return tuple(
        f"process {pid} ({read_kernel(Path(f'/proc/{pid}/comm'))}) uses it"
        for pid in _processes()
        if (_has_open(pid, devices) or _has_mapped(pid, mapped))
        and (not container or mine.search(read_kernel(Path(f"/proc/{pid}/cgroup"))))
    )


def _numbers(disk: Disk) -> set[str]:
    """Of a device and its partitions."""
    parts = (part.parent for part in Path(f"/sys/dev/block/{disk.number}").glob("*/partition"))
    return {disk.number, *(read_kernel(part / "dev") for part in parts)}


def _made_of(disk: Disk) -> Iterator[str]:
    directory = Path(f"/sys/dev/block/{disk.number}")
    for holder in [*directory.glob("holders/*"), *directory.glob("*/holders/*")]:
        yield f"{holder.name} is made of it"


def _mounts(disk: Disk) -> Iterator[str]:
    for pid, place in _mounted(disk):
        comm = read_kernel(Path(f"/proc/{pid}/comm"))
        yield f"it is mounted on {place} where process {pid} ({comm}) is"


def _mounted(disk: Disk) -> Iterator[tuple[int, str]]:
    """A process of each mount namespace where it is mounted, and the directory there."""
    numbers, paths = _numbers(disk), {disk.path, os.path.realpath(disk.path)}
    seen: set[str] = set()
    for pid in _processes():
        try:
            namespace = os.readlink(f"/proc/{pid}/ns/mnt")
        except OSError:
            continue  # It has ended.
        if namespace in seen:
            continue
        seen.add(namespace)
        for line in read_kernel(Path(f"/proc/{pid}/mountinfo")).splitlines():
            fields, _dash, source = line.partition(" - ")
            # btrfs has numbers of its own, and names its device.
            if fields.split()[2] in numbers or (source.split()[1:2] and source.split()[1] in paths):
                yield pid, re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), fields.split()[4])


def _swap(disk: Disk) -> Iterator[str]:
    for line in read_kernel(Path("/proc/swaps")).splitlines()[1:]:
        found = find_disk(line.split()[0])
        if found and found.number in _numbers(disk):
            yield "it is swap"


def _is_claimed(disk: Disk) -> bool:
    try:
        os.close(os.open(disk.path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


def _has_open(pid: int, devices: set[int]) -> bool:
    directory = f"/proc/{pid}/fd"
    try:
        files = [f"{directory}/{number}" for number in os.listdir(directory)]
    except OSError:
        return False
    for path in [*files, f"/proc/{pid}/cwd", f"/proc/{pid}/root", f"/proc/{pid}/exe"]:
        try:
            found = os.stat(path)
        except OSError:
            continue
        if found.st_dev in devices or (stat.S_ISBLK(found.st_mode) and found.st_rdev in devices):
            return True
    return False


def _has_mapped(pid: int, mapped: set[str]) -> bool:
    return any(line.split()[3] in mapped for line in read_kernel(Path(f"/proc/{pid}/maps")).splitlines())


def _processes() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid())
