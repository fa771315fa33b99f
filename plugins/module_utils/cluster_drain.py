# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Draining a member of a cluster and filling it again: which instances go to which other members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .drain import Leg, Plan, guest_of, room_of, why
from .errors import Refused
from .instance_record import HOME
from .migration import journal_of
from .placement import Room, place
from .steps import Api

Instances = Sequence[Mapping[str, Any]]
MOVING = ("lxd-move-of-", "incus-move-of-")
"""Begins the name that the copy has while the cluster moves an instance (lxd/instance_post.go)."""


def members_of(on: Api, member: str) -> dict[str, str]:
    """The other members with their states, as the server names them. Raises Refused unless it is one of them."""
    clustered = on.environment.get("server_clustered")
    found = (
        {one["server_name"]: one["status"].lower() for one in on.get("cluster/members", recursion=1)}
        if clustered
        else {}
    )
    if member not in found:
        there = f"its members are {', '.join(sorted(found))}" if found else "it is no cluster"
        raise Refused(f"{on.name}: member: {member} is no member: {there}", option="member", allowed=sorted(found))
    return {name: status for name, status in found.items() if name != member}


def instances_of(on: Api) -> list[dict[str, Any]]:
    """The instances of the cluster, by name. Moves that a killed run left to the server are waited for: meanwhile an
    instance is there twice, or not at all."""
    on.settle("", "migrating")
    found = on.get("instances", recursion=2)
    return sorted((data for data in found if not data["name"].startswith(MOVING)), key=lambda data: str(data["name"]))


def rooms_of(on: Api, members: Mapping[str, str], found: Instances) -> list[Room]:
    """What each other member has free; one that is not online takes nothing."""
    return [
        room_of(on, name, [data for data in found if data["location"] == name], name)
        if status == "online"
        else Room(name, 0, 0, cordoned=status)
        for name, status in sorted(members.items())
    ]


def drained(found: Instances, member: str, rooms: Sequence[Room], weight: str) -> Plan:
    """Where the instances of a member go. Those that an earlier run has moved, and not started again, are ended."""
    mine = [data for data in found if data["location"] == member]
    placement = place([guest_of(data) for data in mine], rooms, weight)
    legs = [Leg(data["name"], member, target, data) for data in mine if (target := placement.hosts.get(data["name"]))]
    legs += [
        Leg(data["name"], member, data["location"], data)
        for data in found
        if data["location"] != member and (journal := journal_of(data["config"])) and journal.home == member
    ]
    return legs, {name: why(reasons) for name, reasons in placement.unplaced.items()}


def restored(found: Instances, member: str) -> Plan:
    """The instances whose home a member is, and those that an earlier run has brought there, and not started again."""
    away = [data for data in found if data["location"] != member and data["config"].get(HOME) == member]
    back = [data for data in found if data["location"] == member and _came_home(data)]
    return [Leg(data["name"], data["location"], member, data) for data in [*away, *back]], {}


def _came_home(data: Mapping[str, Any]) -> bool:
    journal = journal_of(data["config"])
    return journal is not None and journal.home == ""
