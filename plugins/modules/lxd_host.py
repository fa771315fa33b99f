#!/usr/bin/python
# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host takes new instances."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_host
short_description: Cordon an LXD or Incus host, or evacuate a member of a cluster
description:
  - A cordoned host gets no new instance from this collection, neither made there nor moved there. What it has goes on
    running.
  - A cordoned member of a cluster gets none from the cluster's own scheduler either (C(scheduler.instance=manual)).
  - The cordon and its reason are kept by the server, as C(user.lxdops.cordon) of its configuration.
author:
  - lxdops.compute contributors (@lxdops)
extends_documentation_fragment:
  - lxdops.compute.connection
  - lxdops.compute.attributes
options:
  state:
    description:
      - V(cordoned), V(uncordoned) - whether the host takes new instances.
      - V(evacuated) - a cluster moves the instances of the member to others, or stops those that it cannot move, which
        the result names. What it left half-done is ended by another run. See also M(lxdops.compute.lxd_drain) with
        O(lxdops.compute.lxd_drain#module:member), which stops none that stays.
      - It is refused where an instance has a disk that is of no storage pool, such as a directory of the host, and does
        not say C(cluster.evacuate) itself, since servers crash on it.
      - V(restored) - a cluster brings them back.
    type: str
    choices: [cordoned, uncordoned, evacuated, restored]
    required: true
  reason:
    description: Why it is cordoned, for whoever is refused.
    type: str
    default: cordoned
  member:
    description: The member of a cluster. By default the one that the connection is to.
    type: str
  evacuation:
    description:
      - What O(state=evacuated) does with the instances. By default what each instance's own C(cluster.evacuate) says,
        which is all that a server without the API extension C(clustering_evacuation_mode) can do (LXD 5.0).
    type: str
    choices: [stop, migrate, live-migrate]
seealso:
  - module: lxdops.compute.lxd_host_info
  - module: lxdops.compute.lxd_migration
"""

EXAMPLES = r"""
- name: No new instances while its disk is replaced
  lxdops.compute.lxd_host:
    state: cordoned
    reason: disk swap on Tuesday

- name: New instances again
  lxdops.compute.lxd_host:
    state: uncordoned
"""

RETURN = r"""
host:
  description: The host after the task.
  returned: success
  type: dict
  contains:
    server:
      description: The server's name and endpoint.
      type: str
      returned: always
      sample: lxd1 (/var/lib/lxd/unix.socket)
    cordoned:
      description: Whether it is cordoned.
      type: bool
      returned: always
      sample: true
    reason:
      description: Why, or V(null).
      type: str
      returned: always
      sample: disk swap on Tuesday
    member:
      description: Its name in the cluster.
      type: str
      returned: for a member of a cluster
      sample: lxd1
    status:
      description: Its status in the cluster, like V(online) or V(evacuated).
      type: str
      returned: for a member of a cluster
      sample: online
remaining:
  description: The instances of all projects that are still on the member, in check mode those that are there now.
  returned: for O(state=evacuated)
  type: list
  elements: dict
  sample: [{name: web1, project: default, status: Stopped}]
steps:
  description: What was done, or in check mode would be done.
  returned: always
  type: list
  elements: str
  sample: ["cordon: disk swap on Tuesday"]
"""

from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_spec, run
from ansible_collections.lxdops.compute.plugins.module_utils.host import converge_host


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    options = {
        **connection_spec(),
        "state": {"type": "str", "choices": ["cordoned", "uncordoned", "evacuated", "restored"], "required": True},
        "reason": {"type": "str", "default": "cordoned"},
        "member": {"type": "str"},
        "evacuation": {"type": "str", "choices": ["stop", "migrate", "live-migrate"]},
    }
    return {"argument_spec": options}


work = converge_host


def main() -> None:
    """Run the module."""
    run(spec(), work)


if __name__ == "__main__":
    main()
