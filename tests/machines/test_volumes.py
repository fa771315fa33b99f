# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_volume_attachment on virtual machines: QEMU has a volume from attach to detach, by the kernel's word, and what is
not of virtual machines is refused."""

from collections.abc import Iterator

import pytest
from machines.place import MACHINE, Virtual
from volumes.place import MIB, Place, storage

pytestmark = pytest.mark.thorough


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
