# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_snapshot of a virtual machine: its file systems are frozen from inside while it is taken, by the guest's own
word, and thawed whatever becomes of us."""

import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from machines.place import MACHINE, Virtual
from volumes.place import KILLED, storage, wait_until

pytestmark = pytest.mark.thorough
SNAPSHOT = "lxd_snapshot"
PARTS = ("changed", "steps", "diff")
PLACE = "/mnt"
WRITER = f"""
setsid sh -c 'while :; do
    cut -d" " -f1 /proc/uptime > {PLACE}/now
    sync -f {PLACE}/now
    cat {PLACE}/now >> /run/writes
    sleep 0.2
done' < /dev/null > /dev/null 2>&1 &
echo $! > /run/writer
"""
"""Writes to the file system all the time, and notes when a write was done where nothing is frozen."""


@pytest.fixture
def mounted(machine: Virtual) -> Iterator[Virtual]:
    """The machine with a file system on a disk, which something writes to."""
    before = set(machine.inside("ls /sys/block").split())
    with storage(machine.guest, "nvme", "vm-quiet", name=MACHINE) as place:
        place.done()
        wait_until(
            lambda: len(set(machine.inside("ls /sys/block").split()) - before) == 1, "the guest sees the disk", 240
        )
        (disk,) = set(machine.inside("ls /sys/block").split()) - before
        machine.inside(f"mke2fs -q /dev/{disk} > /dev/null && mount -t ext4 /dev/{disk} {PLACE} && : > /run/writes")
        machine.inside(WRITER)
        yield machine
        machine.inside(f"kill $(cat /run/writer); while ! umount {PLACE}; do sleep 1; done")
        for name in machine.query(f"instances/{machine.name}/snapshots"):
            machine.guest.shell(f"timeout 120 lxc delete {machine.name}/{name.rpartition('/')[2]}")
        place.done(state="detached")
        place.nothing_is_left()


def frozen(machine: Virtual) -> bool:
    """Whether the guest's file system takes no writes: to freeze it again the kernel refuses then, and only then."""
    script = f"fsfreeze --freeze {PLACE} 2> /dev/null && fsfreeze --unfreeze {PLACE} && echo not || echo frozen"
    return machine.inside(script).strip() == "frozen"


def pauses(machine: Virtual) -> float:
    """The longest time, in seconds, that the writer stood still."""
    times = [float(line) for line in machine.inside("cat /run/writes").split()]
    return max((later - sooner for sooner, later in pairwise(times)), default=0.0)


def writes(machine: Virtual) -> bool:
    """Whether the writer goes on."""
    before = machine.inside("wc -l < /run/writes")
    end = time.monotonic() + 240
    while time.monotonic() < end:
        if machine.inside("wc -l < /run/writes") != before:
            return True
        time.sleep(1)
    return False


def test_a_snapshot_is_taken_of_frozen_file_systems(mounted: Virtual) -> None:
    """A command in the guest, run before, sees them thawed; one that looks while it is taken sees them frozen."""
    quiet = {"quiesce": {"before": "touch /run/before", "after": "touch /run/after", "timeout": 200}}
    taken = mounted.proved(PARTS, SNAPSHOT, snapshot="quiet", **quiet)
    assert "its file systems frozen" in " ".join(taken["steps"])
    assert mounted.inside("ls /run/before /run/after").split() == ["/run/before", "/run/after"]
    (found,) = mounted.query(f"instances/{mounted.name}/snapshots?recursion=1")
    assert found["name"] == "quiet"
    assert "user.lxdops.quiesced" not in mounted.instance()["config"]
    assert not frozen(mounted)
    assert writes(mounted)
    assert pauses(mounted) > 1.0, "it wrote all the time"
    gone = mounted.proved(PARTS, SNAPSHOT, snapshot="quiet", state="absent")
    assert gone["steps"]


def test_what_a_killed_task_froze_is_thawed(mounted: Virtual) -> None:
    """In time, by what it left in the guest and beside it; the next task finds nothing to clean up."""
    quiet = {"snapshot": "killed", "quiesce": {"timeout": 100}}
    about = {"name": mounted.name, **quiet}
    for number in (2, 3, 4):
        answer = mounted.guest.ask("task", module=SNAPSHOT, arguments=about, death=[number, "after"])
        if answer["code"] != KILLED:
            break
        wait_until(lambda: writes(mounted) and not frozen(mounted), "it is thawed", 300)
        done = mounted.done(SNAPSHOT, **quiet)
        assert "user.lxdops.quiesced" not in mounted.instance()["config"]
        assert not mounted.done(SNAPSHOT, **quiet)["changed"]
        assert done["changed"] in (True, False)
        mounted.done(SNAPSHOT, snapshot="killed", state="absent")
    assert number > 2
