# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What an instance's configuration becomes: the declared laid over the current, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .compare import merged, quantity
from .config_keys import MARK
from .errors import Refused
from .instance import Current, Desired, Devices, Profile, Source
from .instance_record import FLEET, SOURCE, owned
from .key_kinds import DEVICE_KINDS
from .known_keys import check_key, kinds, takes_live
from .volume_devices import volumes_of

DEVICE_TYPES = (
    "disk",
    "nic",
    "none",
    "unix-char",
    "unix-block",
    "unix-hotplug",
    "usb",
    "gpu",
    "infiniband",
    "proxy",
    "tpm",
    "pci",
)
RESTART_DEVICES = {
    "container": ("pci", "gpu"),
    "virtual-machine": ("pci", "gpu", "tpm", "unix-char", "unix-block", "proxy"),
}


def blank(desired: Desired, current: Current) -> Current:
    """What the source alone would give: the instance that the declared is laid over when it is created."""
    source, origin = desired.source or Source(), current.origin
    profiles = origin.profiles if desired.profiles is None else desired.profiles
    result = replace(
        current,
        power="stopped",
        type=desired.type or origin.type or "container",
        config={**owned(origin.config), SOURCE: source.digest},
        devices=origin.devices,
        profiles=("default",) if profiles is None else profiles,
        boot="",
    )
    return _expanded(result, expand(current.server.profiles, result.profiles))


def expand(known: Mapping[str, Profile], names: tuple[str, ...]) -> Profile:
    """What a list of profiles gives together; the last one wins."""
    config: dict[str, str] = {}
    devices: dict[str, Mapping[str, str]] = {}
    for name in names:
        if name in known:
            config.update(known[name].config)
            devices.update(known[name].devices)
    return Profile(config, devices)


def _expanded(current: Current, inherited: Profile) -> Current:
    return replace(
        current,
        expanded_config={**inherited.config, **current.config},
        expanded_devices={**inherited.devices, **current.devices},
    )


def edited(desired: Desired, current: Current) -> Current:
    """``current`` with everything the task names laid over it, itself where that changes nothing. Refuses unknown keys
    and devices that cannot be."""
    profiles = current.profiles if desired.profiles is None else desired.profiles
    config, devices = wanted_config(desired, current), wanted_devices(desired, current, profiles)
    description = current.description if desired.description is None else desired.description
    ephemeral = current.ephemeral if desired.ephemeral is None else desired.ephemeral
    found = (current.profiles, current.config, current.devices, current.description, current.ephemeral)
    if (profiles, config, devices, description, ephemeral) == found:
        return current
    result = replace(
        current,
        description=description,
        config=config,
        devices=devices,
        profiles=profiles,
        ephemeral=ephemeral,
    )
    if profiles != current.profiles:
        return _expanded(result, expand(current.server.profiles, profiles))
    gone = {name for name in current.devices if name not in devices}
    return _expanded(
        result,
        Profile(
            {
                key: value
                for key, value in current.expanded_config.items()
                if key in config or key not in current.config
            },
            {name: device for name, device in current.expanded_devices.items() if name not in gone},
        ),
    )


def wanted_config(desired: Desired, current: Current) -> dict[str, str]:
    """The local config: named keys laid over it; with purge_config nothing else but the server's keys and our
    markers."""
    for key in desired.config:
        check_key(current.name, current.type, key, current.server.keys)
    base = dict(current.config)
    if desired.purge_config:
        for key in owned(base):
            if key not in desired.config:
                del base[key]
    if desired.fleet is not None:
        base[FLEET] = desired.fleet
    return merged(base, desired.config, kinds(desired.config, current.server.keys))


def root_name(devices: Devices) -> str:
    """The name of the root disk device, ``root`` where there is none yet."""
    for name, device in devices.items():
        if device.get("type") == "disk" and device.get("path") == "/" and "source" not in device:
            return name
    return "root"


def wanted_devices(desired: Desired, current: Current, profiles: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """The local devices of an instance with these profiles. A device that a profile gives is overridden whole when an
    option of it changes, masked (``type: none``) when it is removed."""
    result = {name: dict(device) for name, device in current.devices.items()}
    if not (desired.devices or desired.root or desired.purge_devices):
        return result
    given = expand(current.server.profiles, profiles).devices
    inherited = given if profiles != current.profiles else {**current.expanded_devices, **given}
    declared = dict(desired.devices)
    root = root_name({**inherited, **current.devices})
    if desired.root:
        declared[root] = {"type": "disk", "path": "/", **(declared.get(root) or {}), **desired.root}
    if desired.purge_devices:
        # A volume is attached by a task of its own, and would be lost to the guest.
        kept = {root, *declared, *volumes_of(result).values()}
        result = {name: device for name, device in result.items() if name in kept}
    for name, options in declared.items():
        base = result.get(name) or dict(inherited.get(name, {}))
        if options is None:
            result.pop(name, None)
            if name in given or (name not in current.devices and name in inherited):
                result[name] = {"type": "none"}
            continue
        if options.get("type") not in (None, base.get("type")):
            base = {}
        device = merged(base, options, DEVICE_KINDS)
        _check_device(current.name, name, device)
        if device != base or name in result:
            result[name] = device
    return result


def _check_device(instance: str, name: str, device: Mapping[str, str]) -> None:
    found = device.get("type")
    if found not in DEVICE_TYPES:
        raise Refused(
            f"{instance}: devices.{name}.type: found {found}, allowed are {', '.join(DEVICE_TYPES)}",
            option=f"devices.{name}.type",
            allowed=DEVICE_TYPES,
        )


def check_edit(before: Current, after: Current) -> None:
    """Refuses what the server would refuse too late, or silently not keep: places that do not exist, a root that
    shrinks, moves or has no pool, a size that a pool cannot keep."""
    server = after.server
    old, new = {**before.expanded_devices, **before.devices}, {**after.expanded_devices, **after.devices}
    for name, device in new.items():
        if device == old.get(name) and before.exists:
            continue
        for option, known in (("pool", server.pools), ("network", server.networks)):
            value = device.get(option)
            if value and known is not None and value not in known:
                raise Refused(
                    f"{after.name}: devices.{name}.{option}: {value} is not on {server.name}, which has "
                    f"{', '.join(sorted(known)) or 'none'}",
                    option=f"devices.{name}.{option}",
                    found=value,
                    allowed=sorted(known),
                )
    root = root_name(new)
    _check_root(before, after, old.get(root_name(old), {}), new.get(root, {}))


def _check_root(before: Current, after: Current, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    where = f"{after.name} on {after.server.name}"
    pool, size = new.get("pool", ""), new.get("size")
    if not pool:
        raise Refused(
            f"{where}: no root disk: neither a profile nor the task gives one; set root.pool", option="root.pool"
        )
    if before.exists and pool != old.get("pool"):
        raise Refused(
            f"{where}: root.pool: found {old.get('pool')}, the task says {pool}; moving an instance to another "
            "pool is a migration",
            option="root.pool",
        )
    if not size or size == old.get("size"):
        return
    wanted, present = quantity(size), quantity(old.get("size") or "")
    if wanted is None:
        raise Refused(f"{where}: root.size: found {size}, allowed is a size like 10GiB", option="root.size", found=size)
    if present is not None and wanted < present and before.exists:
        raise Refused(
            f"{where}: root.size: {old['size']} cannot shrink to {size}; rebuild it or grow only", option="root.size"
        )
    driver, quotas = (after.server.pools or {}).get(pool, ("", True))
    if after.type == "container" and not quotas:
        raise Refused(
            f"{where}: root.size: pool {pool} ({driver}) keeps no size limits unless its file system has "
            "project quotas; use a pool "
            f"that does (btrfs, zfs, lvm, ceph), or say that it has them: lxc storage set {pool} "
            "user.lxdops.quotas=true",
            option="root.size",
            pool=pool,
        )


def impact(before: Current, after: Current) -> dict[str, str]:
    """For each option that changes and needs a restart to take effect: ``restart``."""
    result = {}
    for key in {*before.config, *after.config}:
        changes = before.config.get(key) != after.config.get(key) and not key.startswith(MARK)
        if changes and not takes_live(before.type, key, before.server.keys):
            result[f"config.{key}"] = "restart"
    for name in {*before.devices, *after.devices}:
        old, new = before.devices.get(name, {}), after.devices.get(name, {})
        for option in {*old, *new}:
            if old.get(option) != new.get(option) and _device_needs_restart(before.type, {**old, **new}, option):
                result[f"devices.{name}.{option}"] = "restart"
    if before.profiles != after.profiles:
        expanded = {*before.expanded_config, *after.expanded_config} - {*before.config, *after.config}
        for key in expanded:
            changes = before.expanded_config.get(key) != after.expanded_config.get(key)
            if changes and not takes_live(before.type, key, before.server.keys):
                result["profiles"] = "restart"
    return result


def _device_needs_restart(instance_type: str, device: Mapping[str, str], option: str) -> bool:
    # A VM's root grows at its next start (LXD 5.0: the request succeeds at once), and directories reach it over
    # virtiofs at boot.
    if instance_type == "virtual-machine" and device.get("type") == "disk":
        source = device.get("source", "")
        return option == "size" or (source.startswith("/") and not source.startswith("/dev/"))
    return device.get("type") in RESTART_DEVICES[instance_type]
