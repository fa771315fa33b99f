#!/usr/bin/python
# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot of an instance is taken, deleted, or restored."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_snapshot
short_description: Take, delete and restore snapshots of an LXD or Incus instance
description:
  - Takes one snapshot of an instance, deletes it, or restores the instance from it. The instance runs, is frozen, or
    stopped, as it was before. Only a restore interrupts a running one.
  - A snapshot holds the root of the instance and its configuration, devices and profiles. Custom volumes that are
    attached to it are not in it.
author:
  - lxdops.compute contributors (@lxdops)
extends_documentation_fragment:
  - lxdops.compute.connection
  - lxdops.compute.attributes
  - lxdops.compute.attributes.changes
options:
  name:
    description: Name of the instance. Only for O(state=absent) it need not exist.
    type: str
    required: true
  snapshot:
    description: Name of the snapshot - 1 to 63 letters, digits, dots, colons, hyphens and underscores.
    type: str
    required: true
  state:
    description:
      - V(present) - there is such a snapshot. One that is there is not taken anew.
      - V(absent) - there is none.
      - V(restored) - the root and the configuration of the instance are made what they were then. Every run does that,
        since an instance that was not written to cannot be told from one that was, unless there is a O(restore_id).
      - A restore kills the guest of a running instance, and starts it again. A frozen one is started for a moment, and
        frozen again. What the restore loses is told in RV(loses), also in check mode.
      - What has become of the instance since stays - the fleet it is of, and where it was moved or evacuated from.
    type: str
    choices: [present, absent, restored]
    default: present
  stateful:
    description:
      - For O(state=present), whether the memory of the running instance is saved too. A container needs a server with
        a working CRIU (LXD before 6.6, Incus), a virtual machine the config C(migration.stateful).
      - For O(state=restored), whether the memory is restored, after which the instance runs.
    type: bool
  expires:
    description:
      - When the server deletes the snapshot, for O(state=present) - some time after it was taken, like V(12h), V(7d) or
        V(4w) (also V(s) and V(m), for minutes), at a point of time like V(2027-01-31T12:00:00Z), or V(never).
      - If not named, a new one has what the instance's C(snapshots.expiry) says, and another keeps what it has.
    type: str
  restore_id:
    description:
      - A word for O(state=restored) - letters, digits, dots, colons, hyphens, underscores. An instance that was
        restored from this snapshot with this word the last time is not restored again.
    type: str
  force:
    description:
      - For O(state=restored), delete newer snapshots that are in the way. On a pool of zfs all newer ones are, and
        without this the restore is refused. Other pools keep them.
    type: bool
    default: false
seealso:
  - module: lxdops.compute.lxd_instance
  - module: lxdops.compute.lxd_rebuild
"""

EXAMPLES = r"""
- name: A snapshot for a week
  lxdops.compute.lxd_snapshot:
    name: web1
    snapshot: before-upgrade
    expires: 7d

- name: Back to it, once for this word
  lxdops.compute.lxd_snapshot:
    name: web1
    snapshot: before-upgrade
    state: restored
    restore_id: ticket-4711

- name: Gone
  lxdops.compute.lxd_snapshot:
    name: web1
    snapshot: before-upgrade
    state: absent
"""

RETURN = r"""
snapshot:
  description: The snapshot after the task. With O(state=restored) the instance, since that is what changes.
  returned: success
  type: dict
  contains:
    instance:
      description: The instance.
      type: str
      returned: always
      sample: web1
    snapshot:
      description: The snapshot.
      type: str
      returned: always
      sample: before-upgrade
    snapshots:
      description: All snapshots that the instance has.
      type: list
      elements: str
      returned: always
      sample: [before-upgrade]
    state:
      description: V(present) or V(absent). With O(state=restored) the power state of the instance.
      type: str
      returned: always
      sample: present
    stateful:
      description: Whether the memory is in it.
      type: bool
      returned: when present
      sample: false
    expires:
      description: When it expires, in the task's words where that is so.
      type: str
      returned: when present, and O(expires) is named
      sample: 7d
    restored:
      description: What the instance was restored from the last time, with which word. V(null) where it was without one.
      type: dict
      returned: with O(state=restored)
      sample: {snapshot: before-upgrade, restore_id: ticket-4711}
    config:
      description: The configuration of the instance.
      type: dict
      returned: with O(state=restored)
      sample: {limits.memory: 512MiB}
    devices:
      description: The devices of the instance.
      type: dict
      returned: with O(state=restored)
      sample: {}
    profiles:
      description: The profiles of the instance.
      type: list
      elements: str
      returned: with O(state=restored)
      sample: [default]
created_at:
  description: When the snapshot was taken. V(null) where there is none.
  returned: success
  type: str
  sample: "2026-11-22T10:00:00.123456789Z"
expires_at:
  description: When the server deletes it. V(null) for never.
  returned: success
  type: str
  sample: "2026-11-29T10:00:00Z"
loses:
  description: What the restore loses.
  returned: with O(state=restored)
  type: list
  elements: str
  sample: ["what was written to the root since 2026-11-22T10:00:00.123456789Z", "config as it is now: limits.memory"]
steps:
  description: What was done, or in check mode would be done.
  returned: always
  type: list
  elements: str
  sample: ["take snapshot before-upgrade of web1, which expires 7d after it was taken"]
"""

from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_spec, run
from ansible_collections.lxdops.compute.plugins.module_utils.snapshot_domain import converge_snapshot
from ansible_collections.lxdops.compute.plugins.module_utils.snapshot_params import snapshot_spec


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    return {"argument_spec": {**connection_spec(), **snapshot_spec()}}


work = converge_snapshot


def main() -> None:
    """Run the module."""
    run(spec(), work)


if __name__ == "__main__":
    main()
