#!/usr/bin/python
# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is needed to make a host's instances again elsewhere."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_host_record
short_description: What is needed to make the instances of an LXD or Incus host again elsewhere
description:
  - Returns a record of a host with all instances of all projects - who they are, their configuration, devices and
    power state - from which M(lxdops.compute.lxd_evacuation) makes them again on other hosts when the host is dead.
    Keep it off the host, as the role P(lxdops.compute.host_record#role) does.
  - It holds no secrets. C(cloud-init.user-data) and C(cloud-init.vendor-data) (and C(user.user-data),
    C(user.vendor-data)), and whatever has C(passw), C(secret), C(token) or C(private) in the name of its key, are left
    out and named in C(left_out). An evacuation wants them from the declared instances.
  - It holds no data of the instances either. That is what backups are for.
  - Of a project only the record of its name is kept; profiles, networks, pools and images must be on the other hosts.
author:
  - lxdops.compute contributors (@lxdops)
extends_documentation_fragment:
  - lxdops.compute.connection
  - lxdops.compute.attributes
  - lxdops.compute.attributes.info
seealso:
  - module: lxdops.compute.lxd_evacuation
"""

EXAMPLES = r"""
- name: What the host has
  lxdops.compute.lxd_host_record:
  register: found

- name: Keep it, without the time, so that this changes only with the instances
  ansible.builtin.copy:
    content: "{{ found.record | dict2items | rejectattr('key', 'eq', 'time') | items2dict | to_nice_json }}"
    dest: "{{ records }}/lxd1.json"
    mode: "0600"
  diff: false
"""

RETURN = r"""
record:
  description: The host and its instances.
  returned: success
  type: dict
  contains:
    identity:
      description: What identifies the host, an opaque word.
      type: str
      returned: always
      sample: 5f2b9cd0a1e3f784
    server:
      description: V(lxd) or V(incus).
      type: str
      returned: always
      sample: lxd
    server_name:
      description: Its name.
      type: str
      returned: always
      sample: lxd1
    clustered:
      description: Whether it is a member of a cluster; the instances are those of the whole cluster then.
      type: bool
      returned: always
      sample: false
    time:
      description: When this was so, in UTC.
      type: str
      returned: always
      sample: "2026-11-23T14:00:00Z"
    instances:
      description:
        - The instances, by project and name. C(power) is one of V(running), V(frozen), V(stopped), V(suspended),
          V(error). C(config) and C(devices) are the instance's own, with the server's keys that say who it is.
          C(expanded_config), C(expanded_devices) and C(memory) (bytes in use, roughly) are what placement looks at.
      type: list
      elements: dict
      returned: always
      sample:
        - name: web1
          project: default
          type: container
          architecture: x86_64
          description: ""
          profiles: [default]
          ephemeral: false
          power: running
          config: {limits.memory: 512MiB, volatile.uuid: 8a4c6b8e-6d6f-4a53-8b2b-5b2f4d7e4a11}
          devices: {}
          expanded_config: {limits.memory: 512MiB}
          expanded_devices: {root: {type: disk, path: /, pool: default}}
          memory: 0
          left_out: [cloud-init.user-data]
"""

from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_spec, run
from ansible_collections.lxdops.compute.plugins.module_utils.host_record import host_record


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    return {"argument_spec": connection_spec()}


work = host_record


def main() -> None:
    """Run the module."""
    run(spec(), work)


if __name__ == "__main__":
    main()
