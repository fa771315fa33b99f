# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_volume_attachment on virtual machines: a disk comes while the guest runs, is written to, grows and goes, by the
storage's and the guest's own view; and a guest boots from a volume."""

import shlex
from collections.abc import Iterator

import pytest
from machines.place import MACHINE, Virtual
from volumes.place import MIB, Place, storage, wait_until

pytestmark = pytest.mark.thorough
TEXT = "written by the guest"
WRITE = f"echo {TEXT} | dd of=%s bs=512 seek=8 conv=fsync,notrunc 2>/dev/null"
ATTACHMENT = "lxd_volume_attachment"


def disks(machine: Virtual) -> dict[str, int]:
    """The disks that the guest has, and their bytes."""
    listed = machine.inside("for disk in /sys/block/sd*; do echo ${disk##*/} $(cat $disk/size); done")
    return {name: int(sectors) * 512 for name, sectors in (line.split() for line in listed.splitlines())}


def comes(machine: Virtual, before: dict[str, int]) -> str:
    """The one disk that the guest did not have before."""
    wait_until(lambda: len(disks(machine)) > len(before), "the guest sees the disk", 240)
    (name,) = set(disks(machine)) - set(before)
    return name


@pytest.mark.parametrize("protocol", ["chap", "nvme", "luks2", "rbd"])
def test_a_disk_comes_while_the_guest_runs_and_goes(machine: Virtual, protocol: str) -> None:
    before, instance = disks(machine), machine.instance()
    with storage(machine.guest, protocol, f"vm-{protocol}", name=MACHINE) as place:
        attached = place.proved(tag="data")
        assert (attached["bytes"], attached["attachment"]["mode"]) == (64 * MIB, "block")
        (device,) = place.devices().values()
        assert {key: device.get(key) for key in ("type", "path", "user.tag")} == {
            "type": "disk",
            "path": None,
            "user.tag": "data",
        }
        disk = comes(machine, before)
        machine.inside(WRITE % f"/dev/{disk}")
        # LXD 5.0 has QEMU ignore that the guest syncs, so it need not be there before.
        assert "keep what the guest writes in the host's memory" in " ".join(attached["warnings"])
        place.proved(state="detached")
        wait_until(lambda: disks(machine) == before, "the guest has lost the disk", 240)
        place.nothing_is_left()
        if protocol == "luks2":
            assert place.stored(0, 4) == b"LUKS"
            return
        assert place.stored(4096, len(TEXT)) == TEXT.encode()
        place.done(readonly=True)
        disk = comes(machine, before)
        assert machine.inside(f"cat /sys/block/{disk}/ro").strip() == "1"
        assert machine.inside(f"dd if=/dev/{disk} bs=512 skip=8 count=1 2>/dev/null | head -c {len(TEXT)}") == TEXT
        place.done(state="detached")
        wait_until(lambda: disks(machine) == before, "the guest has lost the disk", 240)
        place.nothing_is_left()
    assert machine.instance()["devices"] == instance["devices"]


def opened(machine: Virtual) -> set[str]:
    """The block devices that the machine's QEMU has open, by the kernel's word."""
    pid = machine.query(f"instances/{machine.name}/state")["pid"]
    return set(machine.guest.shell(f"readlink /proc/{pid}/fd/* | grep ^/dev/[nsr][vdb] || true").split())


def test_qemu_has_a_volume_from_attach_to_detach(blank: Virtual) -> None:
    """Whatever the guest does: here there is none."""
    blank.power("start")
    with storage(blank.guest, "nvme", "vm-none", name=blank.name) as place:
        attached = place.proved(tag="data")
        assert (attached["bytes"], attached["attachment"]["mode"]) == (64 * MIB, "block")
        (device,) = place.devices().values()
        path = blank.guest.shell(f"readlink -f {device['source']}").strip()
        assert opened(blank) == {path}
        place.proved(state="detached")
        assert opened(blank) == set()
        place.nothing_is_left()


def test_a_volume_grows_while_the_guest_runs(machine: Virtual) -> None:
    before = disks(machine)
    with storage(machine.guest, "chap", "vm-grow", name=MACHINE) as place:
        place.done()
        disk = comes(machine, before)
        size = disks(machine)[disk]
        place.grow(96)
        grown = place.proved(size="96MiB")
        assert (grown["bytes"], grown["pending"]) == (96 * MIB, ["size"])
        assert disks(machine)[disk] == size
        # What the guest is told of a new size only when it starts, it is also told when the disk comes again.
        place.done(state="detached")
        wait_until(lambda: disks(machine) == before, "the guest has lost the disk", 240)
        place.done()
        assert disks(machine)[comes(machine, before)] == 96 * MIB
        place.done(state="detached")
        wait_until(lambda: disks(machine) == before, "the guest has lost the disk", 240)
        place.nothing_is_left()


@pytest.fixture
def refusing(machine: Virtual) -> Iterator[Place]:
    with storage(machine.guest, "nvme", "vm-no", name=MACHINE) as place:
        yield place


REFUSALS = (
    ({"mode": "filesystem", "path": "/srv", "fstype": "ext4"}, "the guest of a virtual machine sees a disk"),
    ({"path": "/dev/data"}, "allowed is mode: block without path"),
    ({"limits": {"read": "10MiB"}}, "lacks the extension vm_disk_io_limits"),
)


def test_what_is_not_of_virtual_machines_is_refused(machine: Virtual, refusing: Place) -> None:
    instance = machine.instance()
    for params, words in REFUSALS:
        result = refusing.task(**params)
        assert result.get("failed"), params
        assert words in result["msg"], result["msg"]
    assert machine.instance() == instance
    refusing.nothing_is_left()


def test_a_guest_boots_from_a_volume(blank: Virtual) -> None:
    """Its own root has nothing to boot from, and comes first where nothing is said."""
    with storage(blank.guest, "chap", "vm-boot", name=blank.name) as place:
        image = shlex.quote("/run/machines/machine.qcow2")
        blank.guest.shell(f"qemu-img convert -n -O raw {image} /srv/volumes/vm-boot")
        attached = place.proved(boot_priority=10, tag="boot")
        assert attached["attachment"]["boot_priority"] == 10
        blank.power("start")
        assert blank.comes_up(), "it did not boot from the volume"
        parted = blank.inside("ls -d /sys/block/sd?/sd?1")
        assert parted.count("\n") == 1, "its root has no partition, the volume has one"
        blank.power("stop", force=True)
        place.proved(state="detached")
        place.nothing_is_left()
