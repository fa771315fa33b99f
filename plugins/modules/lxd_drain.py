#!/usr/bin/python
# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All instances of a host move away, and home again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_drain
short_description: Move all instances of an LXD or Incus host away, and home again
description:
  - Moves the instances of a project of a host to other hosts as M(lxdops.compute.lxd_migration) moves one, several at
    once, and brings them home. Check mode tells where each would go, how, and what stands in the way.
  - With O(member) it does the same with a member of a cluster. Unlike LXD's own evacuation it goes on with the others
    where one instance fails, names what LXD would only stop, and ends in the next run what was left half-way.
  - A host is chosen for each that is not cordoned and has what it needs - instances of its type and architecture, its
    storage pool and the space of its root disk, its networks and profiles, its C(limits.memory) in free memory, its
    C(limits.cpu) (16 to a processor). One without a limit of memory is taken to need what it uses now, and 64 MiB if it
    does not run.
  - Instances with the same C(user.placement.together) stay on one host; of those that share a name in
    C(user.placement.apart), a comma-separated list, no two come to one.
  - One that fails stays as it was and stops no other; the task fails at its end, and names each in RV(failed_items).
    The next run goes on with it, and ends what a killed run has begun, where that was to go.
  - It does not cordon the host, see M(lxdops.compute.lxd_host). The role P(lxdops.compute.host_maintenance#role) does
    all of it.
author:
  - lxdops.compute contributors (@lxdops)
extends_documentation_fragment:
  - lxdops.compute.connection
  - lxdops.compute.attributes
  - lxdops.compute.attributes.changes
options:
  state:
    description:
      - V(drained) moves them away; each notes where its home is, unless it is away from one already.
      - V(restored) brings those home that have this host noted.
    type: str
    choices: [drained, restored]
    default: drained
  targets:
    description:
      - The other hosts by name. The value of each is a dictionary of connection options - C(endpoint), C(client_cert),
        C(client_key), C(server_cert), C(server_fingerprint), C(project). The client certificate and the project are
        those of the task where it names none.
      - One that cannot be reached takes nothing, and is named as the reason. With O(state=restored) it is a failure,
        since instances of this host may be there.
      - The hosts must reach each other, in at least one direction.
    type: dict
  member:
    description:
      - A member of the cluster that the endpoint is one of. Its instances go to the other members that are online and
        not cordoned. They are stopped, moved by the cluster, and started.
      - One of O(targets) and this is required.
    type: str
  names:
    description: Only these instances. By default all. One that is not there needs nothing.
    type: list
    elements: str
  weight:
    description:
      - Whether to take the host with the most free memory (V(spread)), or the one with the least that is enough
        (V(pack)).
    type: str
    choices: [spread, pack]
    default: spread
  method:
    description:
      - How running instances are moved, see O(lxdops.compute.lxd_migration#module:method). Within a cluster only
        V(auto) and V(cold), which are the same there.
    type: str
    choices: [auto, live, refresh, cold]
    default: auto
  host_devices:
    description: As O(lxdops.compute.lxd_migration#module:host_devices).
    type: bool
    default: false
  volumes:
    description:
      - Volumes of external storages, by their ids, that whoever runs this can connect to the targets. An instance that
        has any is planned and not moved - it is one of RV(moves) with its RV(moves[].volumes), and moves by the role
        P(lxdops.compute.instance_migration#role), which P(lxdops.compute.host_maintenance#role) runs.
      - An instance with another volume is one of RV(failed_items).
    type: list
    elements: str
    default: []
  force:
    description: Kill the guests instead of shutting them down.
    type: bool
    default: false
  stop_timeout:
    description: Seconds for a guest to shut down. One that does not stays running where it is.
    type: int
    default: 30
  copy_timeout:
    description: Seconds that one copy may take.
    type: float
    default: 3600
  concurrency:
    description: How many instances are moved at once.
    type: int
    default: 2
seealso:
  - module: lxdops.compute.lxd_migration
  - module: lxdops.compute.lxd_host
"""

EXAMPLES = r"""
# lxd2: {endpoint: https://lxd2.example.org:8443, server_cert: /etc/lxd/lxd2.crt}
- name: Plan a drain
  lxdops.compute.lxd_drain:
    targets:
      lxd2: "{{ lxd2 }}"
  check_mode: true
  register: plan

- name: Move everything away
  lxdops.compute.lxd_drain:
    targets:
      lxd2: "{{ lxd2 }}"

- name: Bring it home
  lxdops.compute.lxd_drain:
    state: restored
    targets:
      lxd2: "{{ lxd2 }}"
"""

RETURN = r"""
moves:
  description: The instances that were moved, or in check mode would be.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the instance.
      type: str
      returned: always
      sample: web1
    source:
      description: The host that it comes from, as O(targets) names it; V(null) is the host of the task.
      type: str
      returned: always
      sample: null
    target:
      description: The host that it goes to, likewise.
      type: str
      returned: always
      sample: lxd2
    type:
      description: V(container) or V(virtual-machine).
      type: str
      returned: always
      sample: container
    state:
      description: Its power state before.
      type: str
      returned: always
      sample: running
    method:
      description: As RV(lxdops.compute.lxd_migration#module:method).
      type: str
      returned: always
      sample: refresh
    steps:
      description: As RV(lxdops.compute.lxd_migration#module:steps).
      type: list
      elements: str
      returned: always
      sample: [copy web1 to lxd2 while it runs]
    volumes:
      description: The volumes of external storages that it has, as RV(lxdops.compute.lxd_migration#module:volumes). If
        there are any it is not moved by this task.
      type: list
      elements: dict
      returned: always
      sample: []
    changed:
      description: Whether there was something to do.
      type: bool
      returned: always
      sample: true
failed_items:
  description: The instances that can go nowhere or failed, with RV(failed_items[].name), RV(failed_items[].msg) and
    what else M(lxdops.compute.lxd_migration) returns for a failure. A host that cannot be reached is among them by its
    name, where instances may be on it.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      returned: always
      sample: db1
    msg:
      description: Why.
      type: str
      returned: always
      sample: 'db1: goes nowhere: too little memory (2 hosts)'
  sample: []
steps:
  description: The steps of all instances together.
  returned: always
  type: list
  elements: str
  sample: [copy web1 to lxd2 while it runs]
"""

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from ansible_collections.lxdops.compute.plugins.module_utils import cluster_drain
from ansible_collections.lxdops.compute.plugins.module_utils.converge import converge
from ansible_collections.lxdops.compute.plugins.module_utils.drain import (
    Destination,
    Leg,
    Plan,
    closed,
    destination_of,
    drained,
    restored,
)
from ansible_collections.lxdops.compute.plugins.module_utils.errors import LxdError, Refused, Unreachable
from ansible_collections.lxdops.compute.plugins.module_utils.front import connected, connection_spec, run
from ansible_collections.lxdops.compute.plugins.module_utils.migration import Link, Move, identify
from ansible_collections.lxdops.compute.plugins.module_utils.migration_domain import MIGRATION
from ansible_collections.lxdops.compute.plugins.module_utils.migration_params import target_params
from ansible_collections.lxdops.compute.plugins.module_utils.placement import WEIGHTS
from ansible_collections.lxdops.compute.plugins.module_utils.relocation import RELOCATION
from ansible_collections.lxdops.compute.plugins.module_utils.relocation_steps import Relocate
from ansible_collections.lxdops.compute.plugins.module_utils.several import Job, Result, failure, several, summary
from ansible_collections.lxdops.compute.plugins.module_utils.steps import Api
from ansible_collections.lxdops.compute.plugins.module_utils.targets import check_targets
from ansible_collections.lxdops.compute.plugins.module_utils.volume_devices import volumes_of


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    options = {
        **connection_spec(),
        "state": {"type": "str", "choices": ["drained", "restored"], "default": "drained"},
        "targets": {"type": "dict"},
        "member": {"type": "str"},
        "names": {"type": "list", "elements": "str"},
        "weight": {"type": "str", "choices": list(WEIGHTS), "default": "spread"},
        "method": {"type": "str", "choices": ["auto", "live", "refresh", "cold"], "default": "auto"},
        "host_devices": {"type": "bool", "default": False},
        "volumes": {"type": "list", "elements": "str", "default": []},
        "force": {"type": "bool", "default": False},
        "stop_timeout": {"type": "int", "default": 30},
        "copy_timeout": {"type": "float", "default": 3600},
        "concurrency": {"type": "int", "default": 2},
    }
    one_of = [["targets", "member"]]
    return {"argument_spec": options, "required_one_of": one_of, "mutually_exclusive": one_of}


def work(
    on: Api, params: Mapping[str, Any], check: bool, tell: Callable[[str], None] = lambda _line: None
) -> dict[str, Any]:
    """The module's result."""
    if params["concurrency"] < 1:
        raise Refused(f"concurrency: found {params['concurrency']}, allowed is 1 and more", option="concurrency")
    if params["member"]:
        if params["method"] not in ("auto", "cold"):
            raise Refused(
                f"method: found {params['method']}; within a cluster allowed are auto and cold", option="method"
            )
        (legs, nowhere), carrying = plan_of_member(on, params), relocate
    else:
        check_targets(params["targets"])
        (legs, nowhere), carrying = plan_of_host(on, params, check), carry
    wanted = params["names"]
    jobs = [
        Job(leg.name, partial(carrying, on, leg, params, check), "move")
        for leg in legs
        if wanted is None or leg.name in wanted
    ]
    stuck = [failure(name, Refused(f"{name}: goes nowhere: {reason}")) for name, reason in sorted(nowhere.items())]
    moved = [found for _job, found in several(jobs, {"move": params["concurrency"]}, tell)]
    return summary([*sorted(moved, key=lambda one: str(one["name"])), *stuck], "moves")


def plan_of_host(on: Api, params: Mapping[str, Any], check: bool) -> Plan:
    """Where the instances of a host go, or come from."""
    found = sorted(on.get("instances", recursion=2), key=lambda data: str(data["name"]))
    others = [reached(name, params, check) for name in params["targets"]]
    if params["state"] == "restored":
        return restored(found, identify(on), on.environment["server_name"], others)
    mine = [data for data in found if params["names"] is None or data["name"] in params["names"]]
    return drained(mine, identify(on), others, params["weight"])


def plan_of_member(on: Api, params: Mapping[str, Any]) -> Plan:
    """Where the instances of a cluster member go, or come from."""
    members = cluster_drain.members_of(on, params["member"])
    found = cluster_drain.instances_of(on)
    if params["state"] == "restored":
        return cluster_drain.restored(found, params["member"])
    wanted = [data for data in found if params["names"] is None or data["name"] in params["names"]]
    rooms = cluster_drain.rooms_of(on, members, found)
    return cluster_drain.drained(wanted, params["member"], rooms, params["weight"])


def other_params(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The connection options of another host."""
    return target_params({**params, "target": params["targets"][name]})


def reached(name: str, params: Mapping[str, Any], check: bool) -> Destination:
    """A host, or one that takes nothing where it cannot be reached."""
    try:
        with connected(other_params(name, params), os.environ, check) as server:
            return destination_of(server, name)
    except Unreachable as error:
        return closed(name, error.message)


def method_for(kind: str, method: str) -> str:
    """How one is moved: a virtual machine is not copied while it runs, and goes as it can."""
    return "auto" if kind != "container" and method == "refresh" else method


def carry(on: Api, leg: Leg, params: Mapping[str, Any], check: bool) -> Result:
    """Move one instance. One with volumes that whoever runs this connects is only planned: it moves in steps."""
    move = Move(
        name=leg.name,
        new_name=leg.name,
        method=method_for(leg.data["type"], params["method"]),
        host_devices=params["host_devices"],
        force=params["force"],
        stop_timeout=params["stop_timeout"],
        copy_timeout=params["copy_timeout"],
        remember_home=params["state"] == "drained",
    )
    other = other_params(str(leg.target or leg.source), params)
    with closing(on.twin()) as here, connected(other, os.environ, check) as there:
        link = Link(here, there) if leg.target else Link(there, here)
        try:
            if set(volumes_of(leg.data["devices"])) & set(params["volumes"]):
                arrives = replace(move, state="arrived", volumes=dict.fromkeys(params["volumes"]))
                planned = converge(MIGRATION, link, arrives, True)
                if planned["volumes"]:  # else it is no longer on its source
                    return {**leg.shown, **planned, "changed": False, "steps": []}
            return {**leg.shown, **converge(MIGRATION, link, move, check)}
        except LxdError as error:
            error.details.update(leg.shown)
            raise


def relocate(on: Api, leg: Leg, params: Mapping[str, Any], check: bool) -> Result:
    """Move one instance within the cluster."""
    wanted = Relocate(
        name=leg.name,
        member=str(leg.target),
        force=params["force"],
        stop_timeout=params["stop_timeout"],
        host_devices=params["host_devices"],
        remember_home=params["state"] == "drained",
    )
    with closing(on.twin()) as server:
        return {**leg.shown, **converge(RELOCATION, server, wanted, check)}


def main() -> None:
    """Run the module."""
    run(spec(), work)


if __name__ == "__main__":
    main()
