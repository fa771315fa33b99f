# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control group for each host, in every hierarchy the machine has: the old separate ones, or the unified one.

A daemon of the lab sees its own group as the root, so all its containers' groups are below it and easy to remove.
"""

from functools import partial
from pathlib import Path

from .processes import kill, wait_until

MOUNT = Path("/sys/fs/cgroup")
UNIFIED = ["."]


def parse_hierarchies(mountinfo: str) -> list[str]:
    """Where control groups are mounted, relative to /sys/fs/cgroup; UNIFIED for that layout."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        place = Path(before.split()[4])
        if after.split()[0] in ("cgroup", "cgroup2") and place.is_relative_to(MOUNT):
            found.append(str(place.relative_to(MOUNT)))
    return sorted(set(found))


def hierarchies() -> list[str]:
    """The machine's hierarchies."""
    return parse_hierarchies(Path("/proc/self/mountinfo").read_text())


def host_group(lab: str, number: int) -> str:
    """A host's group, relative to a hierarchy."""
    return f"lxdops-lab-{lab}/host{number}"


def add_host(lab: str, number: int) -> None:
    """The host's group and in it `init.scope`, for the daemon itself."""
    group = Path(host_group(lab, number))
    layout = hierarchies()
    for hierarchy in layout:
        top = MOUNT / hierarchy
        for directory in (top / group.parent, top / group, top / group / "init.scope"):
            directory.mkdir(exist_ok=True)
            _inherit_cpus(directory)
        if layout == UNIFIED:
            for directory in (top, top / group.parent):
                _delegate_controllers(directory)


def _inherit_cpus(directory: Path) -> None:
    """A new group of the old cpuset hierarchy admits no process until it has processors and memory nodes."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        own, parent = directory / name, directory.parent / name
        if parent.exists() and not (directory / "cgroup.controllers").exists() and not own.read_text().strip():
            own.write_text(parent.read_text())


def _delegate_controllers(directory: Path) -> None:
    """In the unified layout, give the groups below all the controllers that this one has."""
    for controller in (directory / "cgroup.controllers").read_text().split():
        (directory / "cgroup.subtree_control").write_text(f"+{controller}")


def remove(lab: str) -> None:
    """End what still runs in the lab's groups, and remove them."""
    group = Path(host_group(lab, 1)).parent
    tops = [MOUNT / group, *MOUNT.glob(f"*/{group}")]
    thaw(tops)
    for top in tops:
        wait_until(partial(_removed, top), 20, f"removal of control group {top}")


def _removed(top: Path) -> bool:
    if not top.exists():
        return True
    for directory in [*sorted(top.rglob("*/"), key=lambda path: -len(path.parts)), top]:
        if directory.is_dir():
            try:
                directory.rmdir()
            except OSError:  # busy: a process is still in it
                for pid in (directory / "cgroup.procs").read_text().split():
                    if pid != "0":
                        kill(int(pid))
                return False
    return True


def thaw(tops: list[Path]) -> None:
    """Let go what a frozen instance holds: the old freezer keeps even killed processes."""
    for name, thawed in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
        for file in [file for top in tops for file in top.rglob(name)]:
            try:
                file.write_text(thawed)
            except OSError:  # its instance has just ended
                continue
