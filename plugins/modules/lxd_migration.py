#!/usr/bin/python
# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance moves from one server to another."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_migration
short_description: Move an instance to another LXD or Incus server or cluster member
description:
  - Moves an instance between two servers, or between the members of a cluster, with its configuration, MAC addresses,
    devices, snapshots, identity (C(volatile.uuid)) and power state.
  - The connection options say where it is, O(target) where it shall be. On the target already, and no longer on the
    source, is unchanged.
  - The copy is made on the target, checked, and started; only then the source is deleted. At no moment do both run.
    Until the copy runs, a failure removes it and brings the source back as it was.
  - A run that was killed is ended by the next one, from what both servers hold and from notes
    (C(user.lxdops.migration)) on both copies.
  - What stands in the way is told before anything is changed, all of it at once (RV(blockers)).
author:
  - lxdops.compute contributors (@lxdops)
extends_documentation_fragment:
  - lxdops.compute.connection
  - lxdops.compute.attributes
options:
  name:
    description: Name of the instance on the source.
    type: str
    required: true
  new_name:
    description: Name on the target, where it shall be another one.
    type: str
  state:
    description:
      - V(migrated) - it is on the target.
      - V(aborted) - a move that was begun, and has not started the copy yet, is given up - the copy is deleted and the
        source is as it was, running again if it ran.
      - V(arrived) - its copy is complete on the target and not started, and the source is stopped. It goes on with
        V(migrated), or is given up with V(aborted). An instance with volumes of an external storage moves this way, see
        O(volumes).
    type: str
    choices: [migrated, arrived, aborted]
    default: migrated
  target:
    description:
      - Where the instance shall be. Both servers must be reachable from where the work is done.
    type: dict
    required: true
    suboptions:
      endpoint:
        description: Path of a unix socket or C(https://) URL of another server.
        type: str
      member:
        description:
          - Another member of the cluster that the instance is in. It is stopped for the time that the cluster needs to
            move it.
          - Exactly one of this and O(target.endpoint) is required.
        type: str
      client_cert:
        description: As O(client_cert), which it defaults to.
        type: path
      client_key:
        description: As O(client_key), which it defaults to.
        type: path
      server_cert:
        description: As O(server_cert), of the target.
        type: path
      server_fingerprint:
        description: As O(server_fingerprint), of the target.
        type: str
      trust_token:
        description: As O(trust_token), for the target.
        type: str
      project:
        description: The project on the target. By default the one of the source.
        type: str
  method:
    description:
      - How an instance that runs is moved; one that is stopped is copied once.
      - V(refresh) - it is copied while it runs, stopped, and copied again, which takes only what changed since.
        Containers only.
      - V(cold) - it is stopped, and copied.
      - V(live) - it keeps its memory and its processes. It is suspended on the source and resumed on the target; a
        container is copied while it runs before that, as with V(refresh), so that it stands still for as long as its
        memory and what changed take. A virtual machine stands still while its disk is copied. Nothing has to converge,
        so that it always ends. What cannot be resumed on the target is resumed on the
        source; where that fails too, as LXD 5.0 may with a proxy device, the memory is lost and the instance stopped.
      - A container needs a working CRIU on both servers, which LXD 6.6 and later have not, the same paths of the
        server's files, and keeps its name; a virtual machine, and any instance of Incus, needs C(migration.stateful).
      - V(auto) - V(refresh) for containers, V(cold) for virtual machines.
      - One that is suspended moves with its saved memory, and stays suspended.
    type: str
    choices: [auto, live, refresh, cold]
    default: auto
  transfer:
    description:
      - Which server dials the other one.
      - V(pull) - the target, V(push) - the source.
      - V(relay) - neither. All data goes through the machine where the task runs (see O(execution)), and the copy ends
        with the task.
      - V(auto) - the first of these that works, in this order.
    type: str
    choices: [auto, pull, push, relay]
    default: auto
  bandwidth:
    description:
      - Bytes that are copied in a second at most, like V(20MiB). It needs O(transfer=relay), which it implies. The
        servers know only a limit for all copies from a pool, its C(rsync.bwlimit).
    type: str
  pool:
    description: The storage pool on the target. By default the one of the same name.
    type: str
  networks:
    description: Managed networks of the source, and what they are called on the target, where that differs.
    type: dict
  snapshots:
    description: Whether its snapshots move too. They are lost with the source otherwise.
    type: bool
    default: true
  host_devices:
    description:
      - Whether to move an instance that has devices of the host - directories, block devices, GPUs and the like - which
        the target must have under the same names.
    type: bool
    default: false
  volumes:
    description:
      - The volumes of external storages that are connected to the target, by their ids, and the path of the block
        device of each there, as M(lxdops.compute.lxd_volume_attachment) with C(state=connected) returns it in
        C(source); V(null) where that is the same as on the source. It goes into the devices of the copy.
      - An instance whose volumes are not all named is refused. So that no two hosts write to one, it moves in steps -
        its volumes are connected to the target, it moves with O(state=arrived), its volumes are disconnected from the
        source, which proves that nobody uses them there any more, and it moves on with O(state=migrated), which refuses
        before that. The role P(lxdops.compute.instance_migration#role) does all of it.
    type: dict
  force:
    description: Kill the guest instead of shutting it down.
    type: bool
    default: false
  stop_timeout:
    description: Seconds for the guest to shut down. One that does not stays running, and the copy is removed.
    type: int
    default: 30
  copy_timeout:
    description:
      - Seconds that one copy may take. One that takes longer goes on in the servers, and the next run waits for it, but
        for a relay, which ends.
    type: float
    default: 3600
  remember_home:
    description:
      - Whether the instance notes the source as its home (C(user.lxdops.home)), unless it is away from one already.
        M(lxdops.compute.lxd_instance_info) tells it.
      - A move to its home takes the note off, with or without this.
    type: bool
    default: false
seealso:
  - module: lxdops.compute.lxd_instance
  - module: lxdops.compute.lxd_drain
"""

EXAMPLES = r"""
# lxd2: {endpoint: https://lxd2.example.org:8443, server_cert: /etc/lxd/lxd2.crt}
- name: Move an instance to another server, with a short downtime
  lxdops.compute.lxd_migration:
    name: web1
    target: "{{ lxd2 }}"

- name: Move it into another pool, without its snapshots
  lxdops.compute.lxd_migration:
    name: web2
    method: cold
    pool: fast
    snapshots: false
    target: "{{ lxd2 }}"

# In a cluster, to another member:
#   target: {member: lxd3}
"""

RETURN = r"""
migration:
  description:
    - The instance on both servers after the task. One that is not there has only its name and V(absent).
    - In a cluster, the instance with its C(location).
  returned: success
  type: dict
  sample:
    source: {server: lxd1, name: web1, state: absent}
    target: {server: lxd2, name: web1, state: running, type: container}
method:
  description: How it was moved, V(live), V(refresh) or V(cold). V(null) where there was nothing to move.
  returned: success
  type: str
  sample: refresh
volumes:
  description: The volumes of external storages that it has on the source, with the device of each and its path there.
  returned: success, and when it was refused
  type: list
  elements: dict
  sample: [{volume: 4fe1c2ba-1b6a-4e3e-9d70-c7f0e0a3bb01, device: v0f3a9c1d22e4, source: /dev/disk/by-id/wwn-0x6001}]
blockers:
  description: All that stands in the way of the move.
  returned: when it was refused
  type: list
  elements: str
  sample: [profile web is not on the target]
steps:
  description: What was done, or in check mode would be done.
  returned: always
  type: list
  elements: str
  sample: [copy web1 to lxd2 while it runs]
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.lxdops.compute.plugins.module_utils.front import connected, connection_spec, run
from ansible_collections.lxdops.compute.plugins.module_utils.migration import Link
from ansible_collections.lxdops.compute.plugins.module_utils.migration_domain import converge_migration
from ansible_collections.lxdops.compute.plugins.module_utils.migration_params import migration_spec, target_params
from ansible_collections.lxdops.compute.plugins.module_utils.relocation import converge_relocation
from ansible_collections.lxdops.compute.plugins.module_utils.steps import Api


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    return {"argument_spec": {**connection_spec(), **migration_spec()}}


def work(on: Api, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """The module's result."""
    if params["target"]["member"]:
        return converge_relocation(on, params, check)
    with connected(target_params(params), os.environ, check) as target:
        return converge_migration(Link(on, target), params, check)


def main() -> None:
    """Run the module."""
    run(spec(), work)


if __name__ == "__main__":
    main()
