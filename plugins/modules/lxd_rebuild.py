#!/usr/bin/python
# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance gets a new root from an image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_rebuild
short_description: Give an LXD or Incus instance a new root from an image
description:
  - Rebuilds an instance, as Nova does - it gets a new root from an image, and keeps its name, identity
    (C(volatile.uuid), the instance-id of cloud-init), MAC addresses, devices, custom volumes, profiles, configuration,
    description and power state. What was on the old root is lost, unless O(snapshots=keep).
  - An instance whose root is from that image already is unchanged, told as M(lxdops.compute.lxd_instance) does - by its
    image, and by a mark of the declared source. An alias that names a newer image by now is no reason to rebuild; a
    new O(rebuild_id) is.
  - An instance that was made elsewhere, with the image of an image server as O(source), cannot be told, and is rebuilt.
  - What stands in the way is told before anything is changed, all of it at once (RV(blockers)).
  - A run that was killed is ended by the next one, from what the server has and from notes (C(user.lxdops.rebuild)).
  - A cordoned host is no obstacle, since nothing new comes to it.
author:
  - lxdops.compute contributors (@lxdops)
extends_documentation_fragment:
  - lxdops.compute.connection
  - lxdops.compute.attributes
  - lxdops.compute.attributes.changes
options:
  name:
    description: Name of the instance. It must exist.
    type: str
    required: true
  source:
    description:
      - The image, as in M(lxdops.compute.lxd_instance). Only V(image) is allowed as O(source.type).
      - The image must be of the instance's type and architecture.
    type: dict
    required: true
    suboptions:
      type:
        description: An image, a copy of an instance or snapshot on the same server, or nothing (an empty root).
        type: str
        choices: [image, copy, none]
        default: image
      alias:
        description: Alias of the image, on the server itself or, with O(source.server), there.
        type: str
      fingerprint:
        description: Fingerprint of the image, or the beginning of it.
        type: str
      server:
        description: URL of an image server. The LXD or Incus server fetches the image from there.
        type: str
      protocol:
        description:
          - Protocol of O(source.server). The default is V(simplestreams).
          - V(lxd) and V(incus) are for the public images of another such server.
        type: str
        choices: [simplestreams, lxd, incus]
      certificate:
        description: Certificate (PEM text) of O(source.server) where no known authority signed it.
        type: str
      instance:
        description: Name of the instance to copy.
        type: str
      snapshot:
        description: Name of the snapshot of O(source.instance) to copy, instead of the instance as it is now.
        type: str
      instance_only:
        description: Copy without the snapshots.
        type: bool
        default: false
  config:
    description:
      - Configuration keys to set along with the new root. V(null) removes one. Others stay as they are.
      - Not looked at where there is nothing to rebuild. To change only these is what
        M(lxdops.compute.lxd_instance) is for.
    type: dict
  rebuild_id:
    description:
      - A word - letters, digits, dots, colons, hyphens, underscores. An instance that was not rebuilt with this word
        the last time is rebuilt, though it may be from the same image.
    type: str
  snapshots:
    description:
      - What becomes of the instance's snapshots, which are of the old root.
      - V(refuse) - an instance that has snapshots is not rebuilt. Nor one that has backups, where these would be lost.
      - V(delete) - they go with the old root.
      - V(keep) - the old instance stays, with its snapshots if it has any, as an instance of its own called
        O(keep_as) - stopped, never started by itself, without any device but its root, and with another identity and of
        no fleet. It needs the space of two roots. Delete it when you do not need it.
    type: str
    choices: [refuse, delete, keep]
    default: refuse
  keep_as:
    description: Name of the old instance with O(snapshots=keep). By default O(name) with C(-before-rebuild).
    type: str
  method:
    description:
      - V(server) - the server's own rebuild (API extension C(instances_rebuild)). It takes the
        space of one root, and downtime while the image is unpacked. Where the image cannot be unpacked, or the guest
        does not start, the old root is gone by then; the instance stays, and the next run gives it a root.
      - V(swap) - a successor is made beside the instance while that runs, takes its name and identity, and is
        started. It takes the space of two roots, and seconds of downtime. What fails, the start included, brings the
        old root back.
        Addresses that a profile gives are refused; declare them on the instance.
      - V(auto) - V(server) where there is one, unless the old instance is to be kept; else V(swap).
    type: str
    choices: [auto, server, swap]
    default: auto
  force:
    description: Kill the guest instead of shutting it down.
    type: bool
    default: false
  stop_timeout:
    description: Seconds for the guest to shut down. One that does not stays as it is, and is not rebuilt.
    type: int
    default: 30
seealso:
  - module: lxdops.compute.lxd_instance
"""

EXAMPLES = r"""
- name: A new root from another image
  lxdops.compute.lxd_rebuild:
    name: web1
    source: {alias: debian/12}
    config:
      user.release: "12"

- name: Again from the same image, once for this word
  lxdops.compute.lxd_rebuild:
    name: web1
    source: {alias: debian/12}
    rebuild_id: ticket-4711

- name: The old instance stays, to look at or to go back to
  lxdops.compute.lxd_rebuild:
    name: web2
    source: {alias: debian/12}
    rebuild_id: ticket-4712
    snapshots: keep
    keep_as: web2-old
"""

RETURN = r"""
instance:
  description:
    - The instance after the task, as M(lxdops.compute.lxd_instance) returns it, and C(root), what marks its root, a
      digest of the declared source and the O(rebuild_id), and C(old), the name of the old instance where it is kept.
  returned: success
  type: dict
  sample:
    name: web1
    state: running
    type: container
    root: {source: 4fd3b9b33a8d1f90, rebuild_id: ticket-4711}
    old: null
image:
  description: What the root was from when the task began, and what it is from now.
  returned: success
  type: dict
  sample: {before: "Debian bullseye (3c6ad0b5f3a1)", after: image debian/12}
snapshots:
  description: The snapshots of the old root. Read only where there is something to rebuild.
  returned: success
  type: list
  elements: str
  sample: []
method:
  description: How it was rebuilt, V(server) or V(swap). V(null) where there was nothing to do.
  returned: success
  type: str
  sample: swap
downtime:
  description: How long the guest is down - V(none), V(seconds), or V(while the image is unpacked).
  returned: success
  type: str
  sample: seconds
blockers:
  description: All that stands in the way of the rebuild.
  returned: when it was refused
  type: list
  elements: str
  sample: ["its snapshots would be lost: monday. Say snapshots: delete or keep"]
steps:
  description: What was done, or in check mode would be done.
  returned: always
  type: list
  elements: str
  sample: [note on web1 that it is rebuilt]
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_spec, run
from ansible_collections.lxdops.compute.plugins.module_utils.rebuild_domain import converge_rebuild
from ansible_collections.lxdops.compute.plugins.module_utils.rebuild_params import rebuild_spec
from ansible_collections.lxdops.compute.plugins.module_utils.steps import Api


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    return {"argument_spec": {**connection_spec(), **rebuild_spec()}}


def work(on: Api, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """The module's result."""
    return converge_rebuild(on, params, check)


def main() -> None:
    """Run the module."""
    run(spec(), work)


if __name__ == "__main__":
    main()
