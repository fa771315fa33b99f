# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A move of an instance to another member of its cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .config_keys import CORDON
from .converge import Domain, converge
from .errors import Refused
from .instance import Current, Server, view
from .instance_params import check_name
from .instance_power import powers
from .instance_read import read_current
from .instance_record import HOME
from .migration import STOP, journal_for, journal_of
from .migration_blockers import of_the_host
from .migration_read import custom_volumes
from .relocation_steps import Located, Note, Release, Relocate, Restart, ToMember
from .steps import Api, Reader, Step
from .volume_devices import VOLUME

SHARED = ("ceph", "cephfs", "lvmcluster", "powerflex", "pure", "alletra", "linstor", "truenas")
"""Storage drivers whose volumes all members reach."""


def read(on: Api, wanted: Relocate) -> Located:
    """The instance, and where it could be."""
    current = read_current(on, wanted.name, Server(name=on.name, product=on.product))
    if not on.environment.get("server_clustered"):
        return Located(current, {})
    # While the cluster moves it, it has its name on neither member for a moment.
    if not current.exists and on.settle(f"instances/{wanted.name}"):
        current = read_current(on, wanted.name, Server(name=on.name, product=on.product))
    members = {one["server_name"]: one for one in on.get("cluster/members", recursion=1)}
    config = members[wanted.member]["config"] if wanted.member in members else {}
    states = {name: one["status"].lower() for name, one in members.items()}
    stays = current.location == wanted.member or not current.exists
    return Located(current, states, (config or {}).get(CORDON, ""), () if stays else left_behind(on, current))


def left_behind(on: Reader, current: Current) -> tuple[str, ...]:
    """The custom volumes of an instance that only its member has."""
    volumes = custom_volumes(current.expanded_devices)
    drivers = {pool: on.get(f"storage-pools/{pool}")["driver"] for pool in {pool for pool, _volume in volumes}}
    return tuple(f"{volume} of pool {pool}" for pool, volume in volumes if drivers[pool] not in SHARED)


def plan(wanted: Relocate, located: Located) -> list[Step[Located, Api]]:
    """The steps, or Refused."""
    current, where = located.instance, f"{wanted.name} on {located.instance.server.name}"
    if not current.exists:
        raise Refused(f"{where}: there is no such instance", option="name")
    if wanted.member not in located.members:
        found = f"its members are {', '.join(located.members)}" if located.members else "it is no cluster"
        raise Refused(
            f"{where}: target.member: {wanted.member} is no member: {found}",
            option="target.member",
            allowed=sorted(located.members),
        )
    journal = journal_of(current.config)
    if current.location == wanted.member:
        if journal is None:
            return []
        back: list[Step[Located, Api]] = [] if current.power == journal.power else [Restart(wanted.name, journal)]
        return [*back, Release(wanted.name)]
    found_blockers = blockers(wanted, located)
    if found_blockers:
        raise Refused(f"{where}: cannot move to {wanted.member}: {'; '.join(found_blockers)}", blockers=found_blockers)
    begun = journal or journal_for(current, home=_home(wanted, current))
    stop = powers(wanted.name, STOP[current.power], wanted.stop_timeout, wanted.force)
    first: list[Step[Located, Api]] = [] if journal else [Note(wanted.name, begun)]
    return [*first, ToMember(wanted.name, wanted.member, begun, stop), Release(wanted.name)]


def _home(wanted: Relocate, current: Current) -> str | None:
    """What it shall note as its home: nothing more when it comes there, its member when it leaves that."""
    noted = current.config.get(HOME)
    if noted == wanted.member:
        return ""
    return current.location if wanted.remember_home and not noted else None


def blockers(wanted: Relocate, located: Located) -> list[str]:
    """All that stands in the way."""
    current, found = located.instance, []
    if wanted.only_for_others:
        found.append(f"{', '.join(wanted.only_for_others)}: only for a move to another server")
    if located.members[wanted.member] != "online":
        found.append(f"member {wanted.member} is {located.members[wanted.member]}")
    if located.cordoned:
        found.append(f"member {wanted.member} is cordoned ({located.cordoned})")
    if located.members.get(current.location, "online") == "offline":
        found.append(f"it is on {current.location}, which is offline: recovering it is an evacuation")
    if current.power not in STOP:
        found.append(f"it is in the state {current.power}")
    found += [f"volume {volume} is on {current.location} only" for volume in located.left_behind]
    if not wanted.host_devices:
        found += [
            f"volume {device[VOLUME]} (device {name}) is connected to {current.location} only: detach it first, or say "
            f"host_devices: true if {wanted.member} has it connected under the same path"
            if VOLUME in device
            else f"device {name} ({device['type']} {device.get('source', '')}) is of the host: say host_devices: true "
            "if the other member has the same"
            for name, device in current.expanded_devices.items()
            if of_the_host(device)
        ]
    return found


def view_located(located: Located) -> dict[str, Any]:
    """An instance with its place, as results and diffs show it."""
    return {**view(located.instance), "location": located.instance.location}


def report(wanted: Relocate, located: Located) -> dict[str, Any]:
    """What a result says besides."""
    there = located.instance.location == wanted.member
    return {"method": None if there else "cold"}


RELOCATION: Domain[Api, Relocate, Located] = Domain(
    kind="migration",
    settle=lambda on, wanted: on.settle(f"instances/{wanted.name}"),
    read=read,
    plan=plan,
    view=view_located,
    report=report,
    confirm=lambda _on, _wanted, located: located,
)


def converge_relocation(on: Api, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Bring an instance to another member of its cluster; a module's result."""
    check_name("name", params["name"])
    given = [option for option in ("new_name", "pool", "networks", "bandwidth", "volumes") if params[option]]
    given += [option for option in ("method", "transfer") if params[option] not in ("auto", "cold")]
    if params["state"] != "migrated":
        raise Refused(
            f"{params['name']}: state: found {params['state']}; a move within a cluster is given up by the run that "
            "began it, when it fails",
            option="state",
        )
    wanted = Relocate(
        name=params["name"],
        member=params["target"]["member"],
        force=params["force"],
        stop_timeout=params["stop_timeout"],
        host_devices=params["host_devices"],
        remember_home=params["remember_home"],
        only_for_others=tuple(given),
    )
    return converge(RELOCATION, on, wanted, check)
