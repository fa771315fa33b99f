# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What becomes of a write that the guest of a virtual machine has synced to a volume. Pure.

For a block device of the host that is in no pool, LXD and Incus have QEMU keep what the guest writes in the host's
memory, and ignore when the guest syncs it ("Using unsafe cache I/O", addDriveConfig in driver_qemu.go of both), unless
the device has ``io.cache``.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from .instance import Current

CACHE = "io.cache"
EXTENSION = "disk_io_cache"
"""The API extension of servers that have it: LXD after 5.0, and Incus."""


def cached(kind: str, extensions: Container[str]) -> dict[str, str]:
    """The options of a disk, so that what the guest has synced is on the volume, and all who read it see it."""
    return {CACHE: "none"} if kind == "virtual-machine" and EXTENSION in extensions else {}


def warned(volume: str, instance: Current, device: Mapping[str, str]) -> list[str]:
    """What a user should know of a volume of an instance; ``device``: as it is or, empty, as it is to be."""
    options = device or cached(instance.type, instance.server.extensions)
    if instance.type != "virtual-machine" or CACHE in options:
        return []
    nearest = (
        f"set {CACHE} of the device, or detach and attach it"
        if EXTENSION in instance.server.extensions
        else (f"it has no option {CACHE} (API extension {EXTENSION}) to say otherwise")
    )
    return [
        f"{instance.name} on {instance.server.name}: {volume}: the server has QEMU keep what the guest writes in the "
        "host's memory, and ignore when the guest syncs it: where the host dies, what was written last is lost, and "
        f"who reads the volume on another host meanwhile sees old data. A detach writes it all; {nearest}"
    ]
