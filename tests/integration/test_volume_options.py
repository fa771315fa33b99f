# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What else lxd_volume_attachment takes: limits, in the kernel's control groups; filesystems that are there already,
read-only, shifted; what force says beforehand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.case import same
from integration.lab_host import LabHost, run, wait_until
from integration.loop import detach_all, storage
from integration.volume_place import FILES, ID, NAME, Place

MOUNTED = {"mode": "filesystem", "path": "/srv/data"}
ROOM = {"ext4": 32, "btrfs": 160, "xfs": 320}
"""MiB that a filesystem wants."""


@pytest.fixture(scope="module", autouse=True)
def _nothing_left() -> Iterator[None]:
    detach_all(FILES)
    yield
    detach_all(FILES)


def made(host: LabHost, directory: Path, fstype: str) -> Iterator[Place]:
    """A running container, and a volume with a filesystem that is not ours."""
    host.given(NAME, power="running")
    with storage(FILES, fstype, ROOM[fstype]) as volume:
        run([f"mkfs.{fstype}", "-q", volume.device])
        yield Place(host, volume, directory / "records")
        host.remove(NAME)


@pytest.fixture
def place(host: LabHost, tmp_path: Path) -> Iterator[Place]:
    yield from made(host, tmp_path, "ext4")


@pytest.fixture(params=["btrfs", "xfs"])
def other(request: pytest.FixtureRequest, host: LabHost, tmp_path: Path) -> Iterator[Place]:
    yield from made(host, tmp_path, request.param)


def throttles(place: Place) -> dict[str, str]:
    """What the kernel limits of the volume for the container."""
    numbers = run(["lsblk", "--nodeps", "--noheadings", "--output", "MAJ:MIN", place.storage.device]).strip()
    found = {}
    for name in ("read_bps", "write_bps", "read_iops", "write_iops"):
        path = f"/sys/fs/cgroup/blkio/lxdops-lab-{place.host.lab}/host{place.host.number}/lxc.payload.{NAME}"
        for line in Path(f"{path}/blkio.throttle.{name}_device").read_text().splitlines():
            device, _space, value = line.partition(" ")
            if device == numbers:
                found[name] = value
    return found


def limits(place: Place) -> dict[str, str]:
    """What the server has of them."""
    [device] = place.devices().values()
    return {key: value for key, value in device.items() if key.startswith("limits.")}


def test_limits_are_the_kernels_and_go_with_the_volume(place: Place) -> None:
    limited: dict[str, Any] = {**MOUNTED, "limits": {"read": "30MiB", "write": "500iops"}}
    place.done(**limited)
    assert limits(place) == {"limits.read": "30MiB", "limits.write": "500iops"}
    assert throttles(place) == {"read_bps": str(30 << 20), "write_iops": "500"}
    assert not place.done(**{**limited, "limits": {"read": 30 << 20}})["changed"]
    assert not place.done(**MOUNTED)["changed"], "what is not named was touched"
    refused = place.task(**{**limited, "limits": {"read": "10MiB"}})
    assert "limits.read: the server limits a filesystem of a container only when it is attached" in refused["msg"]
    assert "found running, allowed is stopped" in refused["msg"]

    place.host.power(NAME, "stop", force=True)
    changed: dict[str, Any] = {**MOUNTED, "limits": {"read": "10MiB", "write": None}}
    checked = place.task(check=True, **changed)
    assert limits(place) == {"limits.read": "30MiB", "limits.write": "500iops"}
    applied = place.done(**changed)
    same(applied["diff"], checked["diff"])
    assert applied["steps"] == [f"limit volume {ID} of {NAME}: limits.read 10MiB, limits.write (none)"]
    assert not place.done(**changed)["changed"]
    place.host.power(NAME, "start")
    assert throttles(place) == {"read_bps": str(10 << 20)}

    assert "block device" in place.done(state="detached")["steps"][1]
    assert throttles(place) == {}, "the next volume on this device would be limited"
    assert place.is_free()


def test_a_block_device_of_a_container_is_not_limited(place: Place) -> None:
    refused = place.task(limits={"max": "10MiB"})
    assert "limits: the server limits no block device of a container; allowed is mode: filesystem" in refused["msg"]
    boot = place.task(boot_priority=5)
    assert "boot_priority: a container does not boot from a disk; the nearest is an instance of an image" in boot["msg"]
    assert (place.kept(), place.devices()) == ([], {})


@pytest.mark.thorough
def test_other_filesystems_are_mounted_as_they_are(other: Place) -> None:
    fstype = other.storage.file.name
    wrong = other.task(**MOUNTED, fstype="ext4")
    assert f"fstype: found {fstype}, the task says ext4; what is there is never formatted" in wrong["msg"]
    other.done(**MOUNTED, fstype=fstype)
    mounted = f" on /srv/data type {fstype} "
    wait_until(lambda: mounted in other.host.shell(NAME, "mount"), f"it has{mounted}")
    grown = other.task(**MOUNTED, fstype=fstype, size=f"{ROOM[fstype] + 16}MiB")
    assert "size: only ext2, ext3 and ext4 are grown; grow this one yourself" in grown["msg"]
    other.done(state="detached")
    assert (other.kept(), other.devices(), other.is_free()) == ([], {}, True)


def test_a_filesystem_can_be_read_only(place: Place) -> None:
    place.done(**MOUNTED, readonly=True)
    assert "Read-only file system" in place.host.shell(NAME, "touch /srv/data/file")
    place.done(state="detached")


def test_what_cannot_be_shifted_is_told(place: Place) -> None:
    result = place.task(**MOUNTED, shift=True)
    if not result.get("failed"):  # a server and a kernel that can
        assert place.host.shell(NAME, "stat -c %u /srv/data").strip() == "0"
        place.done(state="detached")
        return
    assert "shift: this server and its kernel cannot shift the filesystem of" in result["msg"]
    assert "The nearest that works is a blank volume with format: true" in result["msg"]
    assert (place.kept(), place.devices(), place.is_free()) == ([], {}, True)


def test_force_says_beforehand_who_loses_it(place: Place) -> None:
    place.done(path="/dev/data")
    place.host.shell(NAME, "sleep 600 < /dev/data > /dev/null 2>&1 & echo $! > /tmp/pid")
    checked = place.task(check=True, state="detached", force=True)
    assert "(sleep) uses it" in checked["lost"][0]
    assert len(place.devices()) == 1
    same(place.done(state="detached", force=True)["lost"], checked["lost"])


def test_a_path_that_another_device_has_is_refused(place: Place) -> None:
    found = place.host.query(f"instances/{NAME}")
    devices = {**found["devices"], "taken": {"type": "disk", "path": "/srv/data", "source": "/opt"}}
    body = {key: found[key] for key in ("architecture", "config", "description", "ephemeral", "profiles")}
    place.host.call("PUT", f"instances/{NAME}", {**body, "devices": devices})
    refused = place.task(**MOUNTED)
    assert "path: the device taken has /srv/data already" in refused["msg"]
    assert place.kept() == []
