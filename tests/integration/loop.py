# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loop devices of this machine that stand for volumes of a storage."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from integration.lab_host import run

MIB = 1 << 20


@dataclass(frozen=True)
class Storage:
    """A volume: its file, and its block device."""

    file: Path
    device: str

    def bytes(self, start: int, length: int) -> bytes:
        """What the storage has of it."""
        with self.file.open("rb") as file:
            file.seek(start)
            return file.read(length)

    def write(self, start: int, text: str) -> None:
        """Let it have something somewhere."""
        run(["dd", f"of={self.device}", "bs=64K", "oflag=seek_bytes", f"seek={start}", "conv=fsync,notrunc"], text=text)

    def fill(self, start: int, mib: int) -> None:
        """Let it have so many MiB of noise from a MiB on."""
        run(
            [
                "dd",
                "if=/dev/urandom",
                f"of={self.device}",
                "bs=1M",
                f"seek={start}",
                f"count={mib}",
                "conv=fsync,notrunc",
            ]
        )

    def wipe(self) -> None:
        """Let it be blank again."""
        run(
            [
                "dd",
                "if=/dev/zero",
                f"of={self.device}",
                "bs=1M",
                f"count={self.file.stat().st_size // MIB}",
                "conv=fsync",
            ]
        )

    def grow(self, mib: int) -> None:
        """Let it have so many MiB."""
        run(["truncate", "--size", f"{mib}M", str(self.file)])
        run(["losetup", "--set-capacity", self.device])


def detach_all(directory: Path) -> None:
    """Take the loop devices of a directory's files away: a test that was killed leaves its own."""
    for line in run(["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"]).splitlines():
        device, _space, file = line.partition(" ")
        if file.strip().startswith(f"{directory}/"):
            subprocess.run(["losetup", "--detach", device], check=False)


@contextmanager
def storage(directory: Path, name: str, mib: int = 32) -> Iterator[Storage]:
    """A blank volume."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / name
    file.unlink(missing_ok=True)
    run(["truncate", "--size", f"{mib}M", str(file)])
    device = run(["losetup", "--find", "--show", str(file)]).strip()
    try:
        yield Storage(file, device)
    finally:
        run(["losetup", "--detach", device])
        file.unlink()
