#!/usr/bin/python
# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The instances of a dead host, made again on others."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_evacuation
short_description: Makes the instances of a dead LXD or Incus host again on others
description:
  - V(evacuated) makes the instances of a dead standalone host again on other hosts, from the record that
    M(lxdops.compute.lxd_host_record) returned while it lived - same name, project, configuration, devices, profiles,
    MAC and static addresses and C(volatile.uuid) - from their images, and starts those that ran.
  - B(All local data is lost) - files of the root disk, snapshots, custom volumes of local pools, saved memory. Each
    result names it in C(dropped). What a guest must have comes from its image, cloud-init or backups.
  - Nothing is done unless O(fenced=true), and unless the host's API takes no connection within 5 seconds. A host that
    only lost its network still runs its instances; they would run twice.
  - Which host takes which instance is chosen as in M(lxdops.compute.lxd_drain), among O(targets) that have the
    image too, by the fingerprint in C(volatile.base_image), or else the newest with the same C(image.os),
    C(image.release), C(image.variant) and C(image.architecture).
  - All targets are looked at first. An instance that is on one of them, known by its C(volatile.uuid), is not made
    again - one that an evacuation has begun with is ended there, any other is left alone. C(user.lxdops.evacuated),
    which its guest can read, notes on each that it was evacuated.
  - An instance that was suspended is stopped afterwards.
  - V(returned) connects to the host when it is back, and stops and deletes its stale copies, B(with their snapshots).
    A copy goes only if the instance is found on a target with the same C(volatile.uuid), as evacuated from this host,
    at that moment. C(security.protection.delete) does not save it. What was not evacuated stays, and is started if the
    boot guard of the role P(lxdops.compute.host_record#role) held it and the server would have started it.
  - A member of a cluster is not evacuated by this - see M(lxdops.compute.lxd_host).
  - One instance that fails does not stop the others; the task fails at its end, and names each in RV(failed_items). The
    next run goes on.
author:
  - lxdops.compute contributors (@lxdops)
extends_documentation_fragment:
  - lxdops.compute.connection
  - lxdops.compute.attributes
  - lxdops.compute.attributes.changes
options:
  state:
    description: Whether the host is dead, or back. Its connection options are those of the task.
    type: str
    choices: [evacuated, returned]
    default: evacuated
  record:
    description:
      - What M(lxdops.compute.lxd_host_record) returned. C(time) may be missing.
      - Required for O(state=evacuated).
    type: dict
  targets:
    description:
      - The other hosts by name. The value of each is a dictionary of connection options - C(endpoint), C(client_cert),
        C(client_key), C(server_cert), C(server_fingerprint). The client certificate is that of the task where it names
        none. An instance goes to the project that it was in.
      - One that cannot be reached takes nothing.
    type: dict
    required: true
  fenced:
    description:
      - Say V(true) when it is certain that no instance of the host runs, nor will by itself - its power is off, or it
        has no network and no shared storage any more.
    type: bool
    default: false
  names:
    description: Evacuate only these instances. By default all of the record.
    type: list
    elements: str
  weight:
    description:
      - Whether to take the host with the most free memory (V(spread)), or the one with the least that is enough
        (V(pack)).
    type: str
    choices: [spread, pack]
    default: spread
  instances:
    description:
      - What is declared of instances of the record. It is laid over the record, key by key; V(null) removes.
      - An instance whose record lacks something that may be secret (C(left_out)) is evacuated only if it is said here.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the instance.
        type: str
        required: true
      project:
        description: Its project.
        type: str
        default: default
      description:
        description: Its description.
        type: str
      config:
        description: Its configuration.
        type: dict
      devices:
        description: Its devices.
        type: dict
      profiles:
        description: Its profiles.
        type: list
        elements: str
      cloud_init:
        description: Data for cloud-init, as in M(lxdops.compute.lxd_instance).
        type: dict
        suboptions:
          user_data:
            description: A text, or a dictionary that is written as C(#cloud-config).
            type: raw
          vendor_data:
            description: As C(user_data).
            type: raw
          network_config:
            description: A text or a dictionary.
            type: raw
  drop_volumes:
    description:
      - Whether instances that had custom volumes attached are evacuated without them. Their devices are left out.
      - By default such an instance is refused by name, since its guest would write elsewhere what belongs there.
    type: bool
    default: false
  host_devices:
    description: Whether the targets have the same devices and directories of the host that instances use.
    type: bool
    default: false
  volumes:
    description:
      - The volumes of external storages that are connected to the target of the instance that has them, by their ids,
        and the path of the block device of each there, as M(lxdops.compute.lxd_volume_attachment) with
        C(state=connected) returns it in C(source); V(null) where that is as it was recorded.
      - An instance with another volume is refused by name. RV(tombstones) pin an instance to the target where its
        volumes are.
    type: dict
  tombstones:
    description:
      - RV(tombstones) of the earlier runs; an empty list says that there was none. An instance of it goes where it was
        to go, and if that target does not answer it fails, since it may be there.
      - Without this an instance that is on no target fails while any target does not answer.
      - Keep them until O(state=returned) is done, as the role P(lxdops.compute.host_evacuation#role) does.
    type: list
    elements: dict
    suboptions:
      uuid:
        description: C(volatile.uuid) of the instance.
        type: str
        required: true
      name:
        description: Its name.
        type: str
        required: true
      project:
        description: Its project.
        type: str
        default: default
      target:
        description: Where it goes.
        type: str
        required: true
seealso:
  - module: lxdops.compute.lxd_host_record
  - module: lxdops.compute.lxd_drain
"""

EXAMPLES = r"""
- name: Where the instances of a dead host would go
  lxdops.compute.lxd_evacuation:
    endpoint: "{{ dead.endpoint }}"
    record: "{{ record }}"
    targets:
      lxd2: "{{ lxd2 }}"
    fenced: true
    tombstones: []
  check_mode: true
  register: plan

- name: Make them again there
  lxdops.compute.lxd_evacuation:
    endpoint: "{{ dead.endpoint }}"
    record: "{{ record }}"
    targets:
      lxd2: "{{ lxd2 }}"
    fenced: true
    tombstones: "{{ plan.tombstones }}"

- name: The host is back, its stale copies go
  lxdops.compute.lxd_evacuation:
    state: returned
    targets:
      lxd2: "{{ lxd2 }}"
    tombstones: "{{ plan.tombstones }}"
"""

RETURN = r"""
instances:
  description: What became of each instance, but those that failed.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      returned: always
      sample: web1
    project:
      description: Its project.
      type: str
      returned: always
      sample: default
    uuid:
      description: Its C(volatile.uuid).
      type: str
      returned: always
      sample: 8a4c6b8e-6d6f-4a53-8b2b-5b2f4d7e4a11
    target:
      description: Where it is or goes. With O(state=returned) V(null) for what stays.
      type: str
      returned: always
      sample: lxd2
    image:
      description: Fingerprint of the image that it is made from.
      type: str
      returned: when O(state=evacuated)
      sample: 3b1f2c
    power:
      description: The power state that it gets.
      type: str
      returned: when O(state=evacuated)
      sample: running
    dropped:
      description: What is lost.
      type: list
      elements: str
      returned: when O(state=evacuated)
      sample: ["all files of its root disk, and its snapshots"]
    volumes:
      description: The volumes of external storages that it has, with the device of each and its path.
      type: list
      elements: dict
      returned: when O(state=evacuated)
      sample: []
    note:
      description: Why nothing was to be done.
      type: str
      returned: when it was on a target before
      sample: it was on lxd2 already, not by an evacuation, and is left alone
    steps:
      description: What was done, or in check mode would be.
      type: list
      elements: str
      returned: always
      sample: [create container web1 on lxd2 from image 3b1f2c, start web1, web1 is evacuated to lxd2]
failed_items:
  description: The same of those that failed, with C(msg) and C(error).
  returned: always
  type: list
  elements: dict
  sample: []
tombstones:
  description: Where each instance is or goes, those of O(tombstones) among them.
  returned: when O(state=evacuated)
  type: list
  elements: dict
  sample: [{uuid: 8a4c6b8e-6d6f-4a53-8b2b-5b2f4d7e4a11, name: web1, project: default, target: lxd2}]
refused:
  description: Why nothing is done at all.
  returned: when the host answers, or O(fenced) is not true
  type: list
  elements: str
  sample: ["fenced: found false"]
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from ansible_collections.lxdops.compute.plugins.module_utils.errors import Refused
from ansible_collections.lxdops.compute.plugins.module_utils.evacuation_return import bring_back, homecomings, returning
from ansible_collections.lxdops.compute.plugins.module_utils.evacuation_run import decided, evacuate, foreseen
from ansible_collections.lxdops.compute.plugins.module_utils.front import connected, connection_spec, run
from ansible_collections.lxdops.compute.plugins.module_utils.instance_params import instance_spec
from ansible_collections.lxdops.compute.plugins.module_utils.liveness import answers
from ansible_collections.lxdops.compute.plugins.module_utils.lxd import Server
from ansible_collections.lxdops.compute.plugins.module_utils.placement import WEIGHTS
from ansible_collections.lxdops.compute.plugins.module_utils.targets import Reach, check_targets, reaching
from ansible_collections.lxdops.compute.plugins.module_utils.trust import Connection


def connecting(options: Connection, _environ: Mapping[str, str], _check: bool) -> Connection:
    """How the host of the task is reached: a dead one is not connected to."""
    return options


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    options = instance_spec()
    declared = {key: options[key] for key in ("name", "description", "config", "devices", "profiles", "cloud_init")}
    project = {"type": "str", "default": "default"}
    word = {"type": "str", "required": True}
    stone = {"uuid": word, "name": word, "project": project, "target": word}
    arguments = {
        **connection_spec(),
        "state": {"type": "str", "choices": ["evacuated", "returned"], "default": "evacuated"},
        "record": {"type": "dict"},
        "targets": {"type": "dict", "required": True},
        "fenced": {"type": "bool", "default": False},
        "names": {"type": "list", "elements": "str"},
        "weight": {"type": "str", "choices": list(WEIGHTS), "default": "spread"},
        "instances": {"type": "list", "elements": "dict", "options": {**declared, "project": project}},
        "drop_volumes": {"type": "bool", "default": False},
        "host_devices": {"type": "bool", "default": False},
        "volumes": {"type": "dict"},
        "tombstones": {"type": "list", "elements": "dict", "options": stone},
    }
    return {"argument_spec": arguments, "required_if": [["state", "evacuated", ["record"]]]}


def work(on: Connection, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """The module's result."""
    check_targets(params["targets"])
    with reaching(params, os.environ, check) as reach:
        return (_evacuated if params["state"] == "evacuated" else _returned)(on, reach, params, check)


def _evacuated(on: Connection, reach: Reach, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    decisions = decided(reach, params)
    refused = list(_refusals(on, params))
    if refused:
        # The plan is of use before the host is fenced, too.
        plan = foreseen(reach, params, decisions)
        told = {key: plan[key] for key in ("instances", "failed_items", "tombstones")}
        raise Refused("; ".join(refused), refused=refused, **told)
    return (foreseen if check else evacuate)(reach, params, decisions)


def _refusals(on: Connection, params: Mapping[str, Any]) -> list[str]:
    """Why nothing may be done."""
    endpoint, name, found = on.endpoint, params["record"]["server_name"], []
    if not endpoint:
        raise Refused("endpoint: found none; it is how the dead host would be reached", option="endpoint")
    if answers(endpoint):
        found.append(f"{name} answers at {endpoint}: its instances may run. To drain a live host use host_maintenance")
    if not params["fenced"]:
        found.append(
            f"fenced: found false; say true when it is certain that no instance of {name} runs, or they will run twice"
        )
    return found


def _returned(_on: Connection, reach: Reach, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    with connected(params, os.environ, check) as host, ExitStack() as stack:
        others: dict[str, Server] = {}

        def at(project: str) -> Server:
            if project not in others:
                others[project] = stack.enter_context(connected({**params, "project": project}, os.environ, check))
            return others[project]

        comes = homecomings(host, reach, params)
        if check:
            return returning(at, comes)
        return bring_back(at, reach, comes)


def main() -> None:
    """Run the module."""
    run(spec(), work, connecting)


if __name__ == "__main__":
    main()
