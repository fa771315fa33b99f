#!/usr/bin/python
# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The volumes of external storages that are connected to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_volume_attachment_info
short_description: Volumes of external storages on a host
description:
  - Returns the volumes that M(lxdops.compute.lxd_volume_attachment) has connected to a host, as the daemon, the host's
    records and the kernel see them; which of them no instance has, and which an instance has but the host not.
  - Returns what a storage must know of the host to export a volume to it.
  - It must run on the host itself, as root, and speaks to the daemon over its unix socket.
author:
  - lxdops.compute contributors (@lxdops)
extends_documentation_fragment:
  - lxdops.compute.connection
  - lxdops.compute.attributes
  - lxdops.compute.attributes.info
requirements:
  - os-brick, on the host; 7.1 is what the tests have
options:
  connector:
    description: Whether to return RV(connector).
    type: bool
    default: false
  records:
    description: The directory where the host keeps what it knows of its volumes.
    type: path
    default: /var/lib/lxdops/volumes
  execution:
    description:
      - This module always works on the host, as a module; V(auto) and V(host) are the same, V(controller) is refused.
    type: str
    choices: [auto, controller, host]
    default: auto
seealso:
  - module: lxdops.compute.lxd_volume_attachment
"""

EXAMPLES = r"""
- name: What is connected, and what the storage must know of this host
  lxdops.compute.lxd_volume_attachment_info:
    connector: true
  register: found

- name: Nothing is left of runs that were cut short
  ansible.builtin.assert:
    that: found.orphans == []
"""

RETURN = r"""
volumes:
  description: The volumes that are connected to the host, or were about to be.
  returned: success
  type: list
  elements: dict
  contains:
    volume:
      description: The storage's id of it.
      type: str
      returned: always
      sample: scratch-web1
    protocol:
      description: How it is connected, in Cinder's words.
      type: str
      returned: always
      sample: iscsi
    source:
      description: The block device, or V(null) where the volume was never seen connected.
      type: str
      returned: always
      sample: /dev/disk/by-id/wwn-0x6001405c3d8a1
    connected:
      description: Whether the block device is there.
      type: bool
      returned: always
      sample: true
    bytes:
      description: Its size, or V(null).
      type: int
      returned: always
      sample: 1073741824
    held:
      description: Who holds the block device.
      type: list
      elements: str
      returned: always
      sample: ["it is mounted on /srv/data where process 4711 (init) is"]
    users:
      description: Project, instance and device of each that has it.
      type: list
      elements: dict
      returned: always
      sample: [{project: default, instance: web1, device: v0f3a9c1d22e4}]
    orphan:
      description: Whether no instance has it.
      type: bool
      returned: always
      sample: false
    awaits:
      description: The instance that it is connected for and that is still to come, or V(null).
      type: str
      returned: always
      sample: null
    connection:
      description: How it is connected, without secrets - what O(lxdops.compute.lxd_volume_attachment#module:connection)
        was, with C(use_multipath).
      type: dict
      returned: always
      sample: {driver_volume_type: local, data: {device_path: /dev/vg0/web1}, use_multipath: false}
    replaces:
      description: The volume that it is being copied from, to take its place; else V(null).
      type: str
      returned: always
      sample: null
    copied:
      description: How many bytes of that are copied, in whole GiB; V(null) before the first.
      type: int
      returned: always
      sample: null
orphans:
  description: Volumes that are connected, and that no instance has or is to have. See
    O(lxdops.compute.lxd_volume_attachment#module:state=reconciled).
  returned: success
  type: list
  elements: str
  sample: []
missing:
  description: Volumes that an instance has, and that are not connected, with their users.
  returned: success
  type: list
  elements: dict
  sample: []
leftovers:
  description: LUKS mappings, loop devices and shares that this collection made, as their names tell, and that no
    record is about.
  returned: success
  type: list
  elements: str
  sample: ["mapping lxdops-v0f3a9c1d22e4"]
connector:
  description: What os-brick knows of the host, as Cinder's C(initialize_connection) takes it - its names as initiator
    (C(initiator), C(nqn), C(wwpns)), address, and whether it has multipath. V(null) if not asked for.
  returned: success
  type: dict
  sample: {host: lxd1, ip: 192.0.2.1, initiator: "iqn.1993-08.org.debian:01:abc", multipath: true}
"""

from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_spec, run
from ansible_collections.lxdops.compute.plugins.module_utils.volume_host import connecting
from ansible_collections.lxdops.compute.plugins.module_utils.volume_orphans import volumes_info
from ansible_collections.lxdops.compute.plugins.module_utils.volume_record import DIRECTORY


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    options = {
        "connector": {"type": "bool", "default": False},
        "records": {"type": "path", "default": DIRECTORY},
    }
    return {"argument_spec": {**connection_spec(), **options}}


work = volumes_info


def main() -> None:
    """Run the module."""
    run(spec(), work, connecting)


if __name__ == "__main__":
    main()
