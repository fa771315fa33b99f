#!/usr/bin/python
# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is and has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_host_info
short_description: What an LXD or Incus host is and has
description:
  - Returns a host's uptime and load, addresses, capacity and use, storage pools, networks, API extensions, processors
    and their traits, cordon, and place in a cluster.
  - Uptime and the flags of the processors are told by few servers over their API. Of a server on the machine where the
    work is done, over its unix socket, they are read from C(/proc); elsewhere they are V(null), never a guess.
author:
  - lxdops.compute contributors (@lxdops)
extends_documentation_fragment:
  - lxdops.compute.connection
  - lxdops.compute.attributes
  - lxdops.compute.attributes.info
seealso:
  - module: lxdops.compute.lxd_host
"""

EXAMPLES = r"""
- name: What the host has
  lxdops.compute.lxd_host_info:
  register: found

- name: Enough memory for one more
  ansible.builtin.assert:
    that: found.host.memory.total - found.host.memory.used > 1024 * 1024
"""

RETURN = r"""
host:
  description: The host.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      returned: always
      sample: lxd1
    server:
      description: V(lxd) or V(incus).
      type: str
      returned: always
      sample: lxd
    version:
      description: The server's version.
      type: str
      returned: always
      sample: 5.0.2
    kernel:
      description: The version of its kernel.
      type: str
      returned: always
      sample: 6.1.0-18-amd64
    architectures:
      description: The architectures that it runs.
      type: list
      elements: str
      returned: always
      sample: [x86_64, i686]
    types:
      description: Its drivers of instances, V(lxc) and V(qemu).
      type: list
      elements: str
      returned: always
      sample: [lxc, qemu]
    address:
      description: Where other servers reach it, as a migration does; V(null) if it listens on no address.
      type: str
      returned: always
      sample: https://10.0.0.1:8443
    addresses:
      description: All addresses that it listens on.
      type: list
      elements: str
      returned: always
      sample: ["10.0.0.1:8443"]
    extensions:
      description: Its API extensions.
      type: list
      elements: str
      returned: always
      sample: [storage_zfs_remove_snapshots]
    cordoned:
      description: Why it takes no new instances, or V(null).
      type: str
      returned: always
      sample: disk swap on Tuesday
    cluster:
      description: The name of the member, its status and its roles; V(null) if it is in no cluster.
      type: dict
      returned: always
      sample: {member: lxd1, status: online, roles: [database]}
    cpu:
      description: Number of processors, their model, flags (as Linux names them) and traits (as OpenStack does).
      type: dict
      returned: always
      sample: {count: 2, model: Intel(R) Xeon(R) Processor, flags: [aes], traits: [HW_CPU_X86_AESNI]}
    memory:
      description: Bytes of memory, all and used.
      type: dict
      returned: always
      sample: {total: 25769803776, used: 1047666688}
    pools:
      description: Its storage pools, with bytes where their driver knows them.
      type: list
      elements: dict
      returned: always
      sample: [{name: default, driver: btrfs, total: 2147483648, used: 6062080}]
    networks:
      description: Its managed networks.
      type: list
      elements: str
      returned: always
      sample: [lxdbr0]
    uptime:
      description: Seconds since it started, or V(null).
      type: int
      returned: always
      sample: 86400
    load:
      description: Its load averages, or V(null).
      type: list
      elements: float
      returned: always
      sample: [0.1, 0.2, 0.3]
"""

from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_spec, run
from ansible_collections.lxdops.compute.plugins.module_utils.host_facts import host_facts


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    return {"argument_spec": connection_spec()}


work = host_facts


def main() -> None:
    """Run the module."""
    run(spec(), work)


if __name__ == "__main__":
    main()
