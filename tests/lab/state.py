# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab is, where its files lie, and the locks that keep two commands from building one lab at once."""

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from .errors import LabError

ROOT = Path("/var/lib/lxdops-lab")
CACHE = Path("/var/cache/lxdops-lab")
LOCKS = Path("/run/lxdops-lab")
MOST_HOSTS = 20


@dataclass(frozen=True)
class Lab:
    """What was asked for. `subnet` is the third number of the lab's own 10.77.SUBNET.0/24."""

    name: str
    product: str = "lxd"
    hosts: int = 1
    clustered: bool = False
    criu: bool = False
    subnet: int = 0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]{0,7}", self.name):
            raise LabError(f"lab name {self.name!r}: one to eight lower-case letters and digits, a letter first")
        if not 1 <= self.hosts <= MOST_HOSTS:
            raise LabError(f"{self.hosts} hosts: a lab has 1 to {MOST_HOSTS}")

    @property
    def directory(self) -> Path:
        """Everything the lab keeps on disk."""
        return ROOT / self.name

    @property
    def client_directory(self) -> Path:
        """The configuration directory of the client: its certificate and the hosts as remotes."""
        return self.directory / "client"

    @property
    def summary(self) -> Path:
        """The description for test programs; written last, so it exists only for a lab that was fully built."""
        return self.directory / "lab.json"

    @property
    def bridge(self) -> str:
        """The machine's bridge that joins the hosts (names of links have at most 15 characters)."""
        return f"ll-{self.name}"

    @property
    def gateway(self) -> str:
        """The machine's own address on that bridge."""
        return f"10.77.{self.subnet}.1"

    def same_shape(self, other: "Lab") -> bool:
        """Whether both were asked for in the same words (the subnet is chosen, not asked for)."""
        return asdict(self) | {"subnet": 0} == asdict(other) | {"subnet": 0}

    def __str__(self) -> str:
        kind = "cluster members" if self.clustered else "standalone hosts"
        return f"{self.hosts} {self.product} {kind}" + (" with CRIU" if self.criu else "")


def shape_file(name: str) -> Path:
    """Written first, so that whatever a killed run left can be told and removed."""
    return ROOT / name / "shape.json"


def load(name: str) -> Lab | None:
    """The lab as it was asked for, finished or not; None when there is none."""
    try:
        return Lab(**json.loads(shape_file(name).read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def save(lab: Lab) -> None:
    """Make the lab's directory and note what it is to be."""
    for directory in (ROOT, lab.directory, lab.client_directory):
        directory.mkdir(exist_ok=True)
        directory.chmod(0o711)  # LXD's containers must be able to pass through
    write(shape_file(lab.name), json.dumps(asdict(lab)))


def names() -> list[str]:
    """The labs there are, half-made ones too."""
    return sorted(entry.name for entry in ROOT.iterdir()) if ROOT.is_dir() else []


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file at once, never readable by more than `mode` says."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    fresh.chmod(mode)
    fresh.replace(path)


@contextmanager
def lab_lock(name: str) -> Iterator[None]:
    """One command at a time per lab; the file goes away with the lab."""
    path = LOCKS / f"{name}.lock"
    with _locked(path):
        try:
            yield
        finally:
            if not (ROOT / name).exists():
                path.unlink()
                with suppress(OSError):  # another lab's lock is in there
                    LOCKS.rmdir()


@contextmanager
def machine_lock() -> Iterator[None]:
    """Held shortly for what all labs share: packages, the choice of a subnet, the top directory."""
    with _locked(CACHE / "lock"):
        yield


def _locked(path: Path) -> IO[str]:
    """The file, locked. Whoever held it before may have removed it: then a lock on it is worth nothing."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("w", encoding="ascii")
        except FileNotFoundError:  # the directory was removed at this moment
            continue
        fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file
        file.close()
