# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What stands in the way of a move, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .compare import quantity
from .instance import Current
from .instance_edit import expand, root_name
from .instance_record import HOME, REBUILD
from .migration import Move, Place
from .migration_read import custom_volumes, listens
from .volume_devices import VOLUME, volumes_of

HOST_DEVICES = ("unix-char", "unix-block", "unix-hotplug", "usb", "gpu", "pci", "infiniband", "tpm")
"""Devices that are of the host."""
MAPPING = "/dev/mapper/lxdops-"
"""Begins the path of a volume that is encrypted (luks.py)."""
WRONG = "encrypted on one of the hosts and not on the other: say its encryption to both"
LIVE_CURE = {"it is suspended": "start it first", "method live": "method auto works"}
ANY = {"0.0.0.0", "[::]"}  # noqa: S104
"""Addresses that stand for all of a host's."""


def devices_there(move: Move, source: Current) -> dict[str, dict[str, str]]:
    """The local devices of the copy: those of the source, in the pool and the networks that the task says."""
    devices = {name: dict(device) for name, device in source.devices.items()}
    if move.pool:
        root = root_name(source.expanded_devices)
        devices[root] = {**source.expanded_devices.get(root, {"type": "disk", "path": "/"}), "pool": move.pool}
    for name, device in source.expanded_devices.items():
        network = device.get("network", "")
        if device.get("type") == "nic" and network in move.networks:
            devices[name] = {**device, "network": move.networks[network]}
    for volume, name in volumes_of(devices).items():
        devices[name]["source"] = move.volumes.get(volume) or devices[name].get("source", "")
    return devices


def blockers(move: Move, source: Current, here: Place, there: Place) -> list[str]:
    """All that stands in the way."""
    return [*_of_servers(source, here, there), *_of_source(move, source), *_of_devices(move, source, there)]


def _of_servers(source: Current, here: Place, there: Place) -> Iterator[str]:
    if here.fingerprint == there.fingerprint:
        yield "source and target are the same server"
    if here.product != there.product:
        yield f"the source is {here.product}, the target {there.product}: they do not take each other's copies"
    # A cordon keeps new instances away, and not those that come home.
    if there.cordoned and not (there.name and source.config.get(HOME) == there.name):
        yield f"the target is cordoned ({there.cordoned})"
    if source.architecture not in there.architectures:
        yield f"architecture {source.architecture}: the target has {', '.join(there.architectures)}"
    if source.type not in there.types:
        yield f"type {source.type}: the target runs {', '.join(sorted(there.types)) or 'none'}"
    for profile in source.profiles:
        if profile not in there.profiles:
            yield f"profile {profile} is not on the target"
    memory = quantity(source.expanded_config.get("limits.memory", ""))
    if memory and there.memory and memory > there.memory:
        yield f"limits.memory {source.expanded_config['limits.memory']}: the target has {there.memory >> 20} MiB in all"


def _of_source(move: Move, source: Current) -> Iterator[str]:
    live = source.power == "suspended" or (move.method == "live" and source.active)
    if live and volumes_of(source.devices):
        how = "it is suspended" if source.power == "suspended" else "method live"
        yield f"{how}: its saved memory would know the volumes that it has on this host; {LIVE_CURE[how]}"
    if live and source.type == "container" and move.new_name != move.name:
        yield f"new_name: the saved memory of a container has its name {move.name} in it"
    if move.method == "live" and source.active and source.needs_stateful:
        yield "method live: it needs config migration.stateful: true, set while it is stopped; method auto works"
    if source.power == "error":
        yield "it is in the state error"
    if "volatile.uuid" not in source.config:
        yield "the server has given it no volatile.uuid, by which its copy would be known"
    if move.method == "refresh" and source.type != "container":
        yield "method refresh: a virtual machine is not copied while it runs; method cold works"
    if source.creating:
        yield "its creation was cut short"
    if REBUILD in source.config:
        yield "a rebuild of it is under way: end that one first"


def _of_devices(move: Move, source: Current, there: Place) -> Iterator[str]:
    local = devices_there(move, source)
    devices: Mapping[str, Mapping[str, str]] = {**expand(there.profiles, source.profiles).devices, **local}
    root = devices.get(root_name(devices), {})
    if not root.get("pool"):
        yield "neither the instance nor a profile on the target gives a root disk: set pool"
    for name, device in devices.items():
        kind, pool, network = device.get("type"), device.get("pool"), device.get("network")
        if pool and pool not in there.pools:
            yield f"pool {pool} of device {name} is not on the target: set pool"
        if network and network not in there.networks:
            yield f"network {network} of device {name} is not on the target: set networks"
        if kind == "nic" and device.get("parent") and device["parent"] not in there.networks:
            yield f"interface {device['parent']} of device {name} is not on the target"
        if VOLUME not in device and not move.host_devices and of_the_host(device):
            yield (
                f"device {name} ({kind} {device.get('source', '')}) is of the host: say host_devices: true if the "
                "target has the same"
            )
        for address, other in there.listening.items():
            if clash(listens(device), address):
                yield f"device {name} listens at {listens(device)}, as {other} on the target does at {address}"
    yield from unnamed_volumes(move, source)
    for pool, volume in custom_volumes(devices):
        if (pool, volume) not in there.volumes:
            yield f"volume {volume} of pool {pool} is not on the target"


def unnamed_volumes(move: Move, source: Current) -> Iterator[str]:
    """The volumes of external storages that the task does not say are connected to the target."""
    for volume, name in volumes_of(source.devices).items():
        if volume not in move.volumes:
            yield (
                f"volume {volume} (device {name}) is connected to the source: connect it to the target too "
                "(lxd_volume_attachment, state: connected) and say it in volumes; the roles instance_migration and "
                "host_maintenance do so, and need its connection"
            )
        elif wrong_path(source.devices[name], move.volumes[volume]):
            yield f"volume {volume} (device {name}) is {WRONG}"


def wrong_path(device: Mapping[str, str], path: str | None) -> bool:
    """Whether a path on another host is not of what a device is: an encrypted volume is never had as it is stored."""
    encrypted = device.get("source", "").startswith(MAPPING)
    return path is not None and encrypted != path.startswith(MAPPING)


def clash(listen: str, other: str) -> bool:
    """Whether two proxy devices listen at the same place: ``tcp:ADDRESS:PORTS``, ``udp:...`` or ``unix:PATH``."""
    (kind, _colon, rest), (other_kind, _colon, other_rest) = listen.partition(":"), other.partition(":")
    if kind != other_kind or kind == "unix":
        return listen == other != ""
    (address, _colon, ports), (other_address, _colon, other_ports) = rest.rpartition(":"), other_rest.rpartition(":")
    same = address == other_address or ANY.intersection((address, other_address))
    return bool(same and _ports(ports) & _ports(other_ports))


def _ports(text: str) -> set[int]:
    """Ports as LXD writes them: ``80``, ``80-90``, ``80,443-445``."""
    ranges = [part.partition("-") for part in text.split(",") if part]
    return {port for first, _dash, last in ranges for port in range(int(first), int(last or first) + 1)}


def of_the_host(device: Mapping[str, str]) -> bool:
    """Whether a device is, or a disk is a path, of the host."""
    kind = device.get("type")
    path = not device.get("pool") and device.get("source", "").startswith("/")
    return kind in HOST_DEVICES or (kind == "disk" and path)
