# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each protocol: a volume comes, is written to, grows and goes, by the storage's and the kernel's own view."""

import pytest
from volumes.place import MIB, NAME, PASSPHRASE, Guest, Place, storage, wait_until

PROTOCOLS = ("chap", pytest.param("iscsi", marks=pytest.mark.thorough), "nvme", "fc", "nfs", "rbd")
NOTICED = ("nvme", "rbd")
"""The protocols that tell the host of a new size, before it is asked for."""
KEPT = {"nfs": "/dev/lxdops/", "rbd": "/dev/rbd/", "luks": "/dev/mapper/lxdops-", "luks2": "/dev/mapper/lxdops-"}
"""How the paths of devices begin that are not of udev's names by what a device is; all keep theirs after a boot."""
WRITING = """(while [ ! -e /tmp/end ]; do
    dd if=/dev/zero of=/dev/data bs=64k count=16 seek=64 conv=fsync,notrunc
done) </dev/null >/dev/null 2>&1 &"""
TEXT = "written by the guest"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_volume_comes_is_written_to_grows_and_goes(guest: Guest, protocol: str) -> None:
    with storage(guest, protocol, f"round-{protocol}") as place:
        round_trip(place, 64 * MIB)
        assert place.stored(4096, len(TEXT)) == TEXT.encode()


@pytest.mark.parametrize("kind", [pytest.param("luks", marks=pytest.mark.thorough), "luks2"])
def test_an_encrypted_volume_is_noise_on_the_storage(guest: Guest, kind: str) -> None:
    with storage(guest, kind, f"round-{kind}") as place:
        round_trip(place, 64 * MIB)
        assert place.stored(0, 4) == b"LUKS"
        file = f"/srv/volumes/{place.volume}"
        assert guest.shell(f"grep -c '{TEXT}' {file} || true").strip() == "0"
        opened = f"cryptsetup open --readonly --key-file=- {file} proof"
        guest.shell(opened, PASSPHRASE)
        found = guest.shell(f"dd if=/dev/mapper/proof bs=512 skip=8 count=1 2>/dev/null | head -c {len(TEXT)}")
        guest.shell("cryptsetup close proof")
        assert found == TEXT


def test_a_path_is_cut_under_writes_and_heals(guest: Guest) -> None:
    with storage(guest, "multipath", "paths") as place:
        place.proved(path="/dev/data")
        (device,) = place.devices().values()
        assert device["source"].startswith("/dev/disk/by-id/dm-uuid-mpath-")
        assert len(paths(guest)) == 2
        place.inside(WRITING)
        guest.shell("target cut 127.0.0.2")
        try:
            wait_until(lambda: sorted(paths(guest)) == ["active", "failed"], "a path fails", 120)
            place.inside(f"echo {TEXT} | dd of=/dev/data bs=512 seek=65536 conv=fsync,notrunc")
            assert place.stored(65536 * 512, len(TEXT)) == TEXT.encode()
        finally:
            guest.shell("target heal")
        wait_until(lambda: paths(guest) == ["active", "active"], "the path is back", 120)
        place.inside("touch /tmp/end; while pidof dd; do sleep 0.1; done; rm /tmp/end")
        place.grow(96)
        place.proved(path="/dev/data", size="96MiB")
        assert place.inside("blockdev --getsize64 /dev/data").strip() == str(96 * MIB)
        place.proved(state="detached")
        place.nothing_is_left()


def paths(guest: Guest) -> list[str]:
    """The states of the paths of the only map, by device-mapper's word."""
    return guest.shell("multipathd show paths raw format '%t'").split()


def round_trip(place: Place, size: int) -> None:
    attached = place.proved(path="/dev/data")
    assert attached["bytes"] == size
    (device,) = place.devices().values()
    assert device["source"].startswith(KEPT.get(place.protocol, "/dev/disk/by-"))
    place.inside(f"echo {TEXT} | dd of=/dev/data bs=512 seek=8 conv=fsync,notrunc")
    inside = int(place.inside("blockdev --getsize64 /dev/data"))
    place.grow(96)
    grown = (place.done if place.protocol in NOTICED else place.proved)(path="/dev/data", size="96MiB")
    assert grown["bytes"] == 96 * MIB
    assert int(place.inside("blockdev --getsize64 /dev/data")) == inside + 32 * MIB
    place.proved(state="detached")
    place.nothing_is_left()
    assert place.instance(NAME)["status"] == "Running"
