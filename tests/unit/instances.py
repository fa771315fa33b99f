# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances to plan for, as short as tests want them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.lxdops.compute.plugins.module_utils.instance import (
    Current,
    Desired,
    Origin,
    Profile,
    Server,
    Source,
)
from ansible_collections.lxdops.compute.plugins.module_utils.instance_record import SOURCE

TINY = Source(type="image", alias="tiny")
ROOT = {"type": "disk", "path": "/", "pool": "fast"}
NIC = {"type": "nic", "network": "lab0"}
DEFAULT = Profile({}, {"root": ROOT, "eth0": NIC})
SERVER = Server(
    name="host1",
    pools={"fast": ("btrfs", True), "plain": ("dir", False)},
    networks={"lab0": ("bridge", True)},
    profiles={"default": DEFAULT, "big": Profile({"limits.memory": "8GiB", "raw.lxc": "x"}, {})},
)
IMAGE = Origin(type="container", fingerprint="f" * 64)
BOOT = "2026-11-22T10:00:00.5Z"
MARKED = {SOURCE: TINY.digest, "volatile.base_image": "f" * 64, "volatile.uuid": "u"}


def absent(**fields: Any) -> Current:
    """No such instance, on a server where one can be made."""
    return Current(**{"name": "web1", "server": SERVER, "origin": IMAGE, **fields})


def existing(power: str = "running", **fields: Any) -> Current:
    """An instance that was made by us from TINY."""
    config = {**MARKED, **fields.pop("config", {})}
    devices = fields.pop("devices", {})
    return Current(
        **{
            "name": "web1",
            "power": power,
            "config": config,
            "devices": devices,
            "expanded_config": config,
            "expanded_devices": {**DEFAULT.devices, **devices},
            "profiles": ("default",),
            "boot": BOOT,
            "etag": "e1",
            "server": SERVER,
            "origin": IMAGE,
            **fields,
        }
    )


def virtual_machine(power: str = "running", **fields: Any) -> Current:
    """The same as a virtual machine."""
    return replace(existing(power, **fields), type="virtual-machine")


def want(state: str = "started", **fields: Any) -> Desired:
    """A task for web1."""
    return Desired(**{"name": "web1", "state": state, **fields})
