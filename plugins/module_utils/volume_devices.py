# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The devices of an instance that are volumes of external storages, as any domain may need to know them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from .config_keys import MARK
from .instance import Current
from .instance_record import RELEASED

VOLUME = MARK + "volume"
"""The key of a device that says which volume it is: an opaque id, since a guest can read it."""

Devices = Mapping[str, Mapping[str, str]]


def volumes_of(devices: Devices) -> dict[str, str]:
    """The volumes, and the name of the device of each."""
    return {device[VOLUME]: name for name, device in sorted(devices.items()) if VOLUME in device}


def shown_volumes(devices: Devices) -> list[dict[str, str]]:
    """The volumes as results show them."""
    return [
        {"volume": volume, "device": name, "source": devices[name].get("source", "")}
        for volume, name in volumes_of(devices).items()
    ]


def released(config: Mapping[str, str]) -> frozenset[str]:
    """The devices whose volumes are disconnected from the host though a stopped instance still has them, since it is
    about to be elsewhere: the marker RELEASED."""
    return frozenset(name for name in config.get(RELEASED, "").split(",") if name)


def with_released(config: Mapping[str, str], devices: frozenset[str]) -> dict[str, str]:
    """The config that notes them."""
    own = {key: value for key, value in config.items() if key != RELEASED}
    return {**own, RELEASED: ",".join(sorted(devices))} if devices else own


def connected(current: Current) -> list[str]:
    """The volumes of an instance that its host may still have."""
    gone = released(current.config)
    return [volume for volume, name in volumes_of(current.devices).items() if name not in gone]
