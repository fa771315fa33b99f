# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Reads the instance on both servers, and of the target what a move that begins needs to know."""

from __future__ import annotations

from collections.abc import Mapping

from .cordon import cordon_of
from .instance import Current, Profile, Server
from .instance_read import DRIVERS, read_current
from .instance_record import power_of
from .migration import Link, Move, Pair, Place, identify
from .steps import Api, Reader


def read_pair(on: Link, move: Move) -> Pair:
    """The instance here and there."""
    source, target = _current(on.source, move.name), _current(on.target, move.new_name)
    here, there = identify(on.source), identify(on.target)
    if not source.exists or target.exists:
        return Pair(source, target, here, there)
    return Pair(source, target, here, there, read_place(on.target, source), read_origin(on.source))


def _current(on: Api, name: str) -> Current:
    return read_current(on, name, Server(name=on.name, product=on.product))


def read_origin(on: Reader) -> Place:
    """What tells the source server from the target."""
    fingerprint = on.environment.get("certificate_fingerprint", "")
    return Place(name=on.environment.get("server_name", ""), product=on.product, fingerprint=fingerprint)


def read_place(on: Reader, source: Current) -> Place:
    """What the target offers to an instance."""
    profiles = {name: on.find(f"profiles/{name}") for name in source.profiles}
    volumes = {
        (pool, volume)
        for pool, volume in custom_volumes(source.expanded_devices)
        if on.find(f"storage-pools/{pool}/volumes/custom/{volume}") is not None
    }
    return Place(
        name=on.environment.get("server_name", ""),
        product=on.product,
        fingerprint=on.environment.get("certificate_fingerprint", ""),
        architectures=tuple(on.environment.get("architectures") or ()),
        types=frozenset(DRIVERS.get(driver, driver) for driver in on.environment["driver"].split(" | ")),
        pools=frozenset(pool["name"] for pool in on.get("storage-pools", recursion=1)),
        networks=frozenset(network["name"] for network in on.get("networks", recursion=1)),
        profiles={
            name: Profile(data["config"], data["devices"]) for name, data in profiles.items() if data is not None
        },
        memory=on.get("resources")["memory"]["total"],
        cordoned=cordon_of(on),
        volumes=frozenset(volumes),
        listening=_listening(on) if any(map(listens, source.expanded_devices.values())) else {},
    )


def listens(device: Mapping[str, str]) -> str:
    """Where a proxy device has the host listen, or empty."""
    on_host = device.get("type") == "proxy" and device.get("bind", "host") == "host"
    return device.get("listen", "") if on_host else ""


def _listening(on: Reader) -> dict[str, str]:
    return {
        listens(device): data["name"]
        for data in on.get("instances", recursion=1, **{"all-projects": "true"})
        if power_of(data) in ("running", "frozen")
        for device in (data["expanded_devices"] or {}).values()
        if listens(device)
    }


def custom_volumes(devices: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str]]:
    """The custom volumes that disks use, as (pool, volume)."""
    return [
        (device["pool"], device["source"])
        for device in devices.values()
        if device.get("type") == "disk" and device.get("pool") and device.get("source")
    ]
