# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Draining a host and filling it again: which instances go where. What they need and hosts have, for placement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .compare import quantity
from .cordon import cordon_of
from .instance_edit import root_name
from .instance_read import DRIVERS
from .instance_record import HOME, power_of
from .migration import identify, journal_of
from .needs import APART, TOGETHER, used_by
from .placement import Guest, Room, place
from .steps import Api

PROCESSORS = 16
"""Processors of instances that a host's one is good for, as Nova's cpu_allocation_ratio was."""
UNKNOWN = 64 << 20
"""Bytes of memory that an instance is taken to need that has no limit and does not run."""


def guest_of(data: Mapping[str, Any]) -> Guest:
    """What an instance needs, from ``GET /1.0/instances?recursion=2`` or 1.

    One without a limit of memory is taken to need what it uses now, else they would all go to one host.
    """
    config, devices = data["expanded_config"] or {}, data["expanded_devices"] or {}
    root = devices.get(root_name(devices), {})
    cpus = config.get("limits.cpu", "")
    apart = config.get(APART, "")
    return Guest(
        name=data["name"],
        memory=bytes_of(config.get("limits.memory")) or used_by(data) or UNKNOWN,
        cpus=int(cpus) if cpus.isdigit() else 0,
        disk={root["pool"]: bytes_of(root.get("size"))} if root.get("pool") else {},
        type=data["type"],
        architecture=data["architecture"],
        networks=frozenset(
            device["network"] for device in devices.values() if device.get("type") == "nic" and device.get("network")
        ),
        profiles=frozenset(data["profiles"] or ()),
        together=config.get(TOGETHER, ""),
        apart=frozenset(group.strip() for group in apart.split(",") if group.strip()),
    )


def bytes_of(size: str | None) -> int:
    """Bytes of a size as LXD writes it; none of a share (50%)."""
    return int(quantity(size or "") or 0)


def room_of(on: Api, name: str, instances: Sequence[Mapping[str, Any]], member: str = "") -> Room:
    """What a host, or a cluster ``member``, with these instances has, and what is free on it now."""
    query = {"target": member} if member else {}
    resources = on.get("resources", **query)
    there = [guest_of(data) for data in instances]
    disk = {}
    for pool in on.get("storage-pools", recursion=1):
        space = (on.find(f"storage-pools/{pool['name']}/resources", **query) or {}).get("space") or {}
        disk[pool["name"]] = space.get("total", 0) - space.get("used", 0)
    return Room(
        name=name,
        memory=resources["memory"]["total"] - resources["memory"]["used"],
        cpus=resources["cpu"]["total"] * PROCESSORS - sum(guest.cpus for guest in there),
        disk=disk,
        types=frozenset(DRIVERS.get(driver, driver) for driver in on.environment["driver"].split(" | ")),
        architectures=frozenset(on.environment.get("architectures") or ()),
        networks=frozenset(network["name"] for network in on.get("networks", recursion=1)),
        profiles=frozenset(profile["name"] for profile in on.get("profiles", recursion=1)),
        cordoned=cordon_of(on, member),
        together=frozenset(guest.together for guest in there) - {""},
        apart=frozenset(group for guest in there for group in guest.apart),
    )


@dataclass(frozen=True)
class Destination:
    """Another host: its room, what identifies it, and the instances on it."""

    room: Room
    identity: str = ""
    instances: tuple[Mapping[str, Any], ...] = ()


def destination_of(on: Api, name: str) -> Destination:
    """A host, as it is now."""
    there = on.get("instances", recursion=1)
    return Destination(room_of(on, name, there), identify(on), tuple(there))


def closed(name: str, reason: str) -> Destination:
    """A host that takes nothing."""
    return Destination(Room(name, 0, 0, cordoned=reason))


@dataclass(frozen=True)
class Leg:
    """Where one instance goes from and to: hosts by name, None for the host that is drained or filled again."""

    name: str
    source: str | None
    target: str | None
    data: Mapping[str, Any]

    @property
    def shown(self) -> dict[str, Any]:
        """What a result says of it beside what was done."""
        return {
            "name": self.name,
            "source": self.source,
            "target": self.target,
            "type": self.data["type"],
            "state": power_of(self.data),
        }


ELSEWHERE = "a move from or to a server that is not among the targets is under way: end that first"
LEAVING = "its move away is under way: end it (state: drained), or give it up (lxd_migration, state: aborted)"
Plan = tuple[list[Leg], dict[str, str]]
"""The legs, and why others go nowhere."""


def drained(found: Sequence[Mapping[str, Any]], here: str, others: Sequence[Destination], weight: str) -> Plan:
    """Where the instances found on a host go.

    A move that an earlier run has begun is ended where it was to go, also where only its copy is left.
    """
    begun = {data["name"]: journal for data in found if (journal := journal_of(data["config"]))}
    placement = place(
        [guest_of(data) for data in found if data["name"] not in begun], [other.room for other in others], weight
    )
    names = {other.identity: other.room.name for other in others}
    targets = {**placement.hosts, **{name: names.get(journal.target) for name, journal in begun.items()}}
    legs = [Leg(data["name"], None, target, data) for data in found if (target := targets.get(data["name"]))]
    there = {data["name"] for data in found}
    legs += [
        Leg(data["name"], None, other.room.name, data)
        for other in others
        for data in other.instances
        if data["name"] not in there and came_from(data, here)
    ]
    nowhere = {name: why(reasons) for name, reasons in placement.unplaced.items()}
    nowhere |= {name: ELSEWHERE for name in begun if not targets[name]}
    return legs, nowhere


def restored(found: Sequence[Mapping[str, Any]], here: str, name: str, others: Sequence[Destination]) -> Plan:
    """Where the instances come from whose home a host is; ``name`` is what they have noted.

    A move home of which only the copy is left is ended. A host that cannot be reached may have some: it is named.
    """
    legs = [
        Leg(data["name"], other.room.name, None, data)
        for other in others
        for data in other.instances
        if data["config"].get(HOME) == name
    ]
    coming = {leg.name for leg in legs}
    names = {other.identity: other.room.name for other in others}
    nowhere = {
        other.room.name: f"{other.room.cordoned}; instances whose home this host is may be there"
        for other in others
        if not other.identity
    }
    nowhere |= {data["name"]: LEAVING for other in others for data in other.instances if came_from(data, here)}
    for data in found:
        journal = journal_of(data["config"])
        if journal is None or data["name"] in coming:
            continue
        if journal.target != here:
            nowhere[data["name"]] = LEAVING
        elif journal.source in names:
            legs.append(Leg(data["name"], names[journal.source], None, data))
        else:
            nowhere[data["name"]] = ELSEWHERE
    return legs, nowhere


def why(reasons: Mapping[str, int]) -> str:
    """Why an instance goes nowhere, in words."""
    return "; ".join(f"{reason} ({hosts} hosts)" if hosts > 1 else reason for reason, hosts in reasons.items())


def came_from(data: Mapping[str, Any], here: str) -> bool:
    """Whether an instance is a copy that a move has brought from a server."""
    journal = journal_of(data["config"])
    return journal is not None and journal.source == here and journal.target != here
