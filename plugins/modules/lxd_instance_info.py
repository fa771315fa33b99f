#!/usr/bin/python
# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What instances there are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_instance_info
short_description: Instances of an LXD or Incus server
description:
  - Returns one, some or all instances with their power state and configuration, in one request.
  - An instance that does not exist is an empty list, not an error.
author:
  - lxdops.compute contributors (@lxdops)
extends_documentation_fragment:
  - lxdops.compute.connection
  - lxdops.compute.attributes
  - lxdops.compute.attributes.info
options:
  name:
    description: Only this instance.
    type: str
  filter:
    description:
      - Only the instances that match, in the server's own filter language, like V(status eq Running and
        config.user.role eq web).
      - Evaluated by the server.
    type: str
  all_projects:
    description: The instances of all projects, not only of O(project).
    type: bool
    default: false
  addresses:
    description:
      - Also return the network addresses. The server must ask each running instance for them, which costs about ten
        times the rest.
    type: bool
    default: false
  query:
    description:
      - A JMESPath expression over the list of instances; its result is returned as RV(result).
      - Names with dots need quotes, like V([?config."limits.cpu"=='2'].name).
    type: str
requirements:
  - jmespath, where the module runs, for O(query)
seealso:
  - module: lxdops.compute.lxd_instance
"""

EXAMPLES = r"""
- name: Everything
  lxdops.compute.lxd_instance_info:
  register: all

- name: One instance and its addresses
  lxdops.compute.lxd_instance_info:
    name: web1
    addresses: true

- name: The names of all running containers
  lxdops.compute.lxd_instance_info:
    filter: status eq Running and type eq container
    query: "[].name"
"""

RETURN = r"""
instances:
  description: The instances, ordered by project and name.
  returned: success
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
    state:
      description: One of V(stopped), V(running), V(frozen), V(suspended), V(error).
      type: str
      returned: always
      sample: running
    status:
      description: The status as the server says it.
      type: str
      returned: always
      sample: Running
    type:
      description: V(container) or V(virtual-machine).
      type: str
      returned: always
      sample: container
    description:
      description: Its description.
      type: str
      returned: always
      sample: ""
    architecture:
      description: Its architecture.
      type: str
      returned: always
      sample: x86_64
    location:
      description: The cluster member that it is on, or C(none).
      type: str
      returned: always
      sample: none
    profiles:
      description: Its profiles, in order.
      type: list
      elements: str
      returned: always
      sample: [default]
    ephemeral:
      description: Whether it is deleted when it stops.
      type: bool
      returned: always
      sample: false
    created_at:
      description: When it was created.
      type: str
      returned: always
      sample: "2026-11-22T23:54:19.636554382Z"
    last_used_at:
      description: When it was last started; a time before 1971 if never.
      type: str
      returned: always
      sample: "2026-11-22T23:54:20.636554382Z"
    config:
      description: Its own options, without those of the server. cloud-init data is shown as a digest.
      type: dict
      returned: always
      sample: {limits.cpu: "2"}
    expanded_config:
      description: Its options with those of its profiles.
      type: dict
      returned: always
      sample: {limits.cpu: "2"}
    devices:
      description: Its own devices.
      type: dict
      returned: always
      sample: {}
    expanded_devices:
      description: Its devices with those of its profiles.
      type: dict
      returned: always
      sample: {root: {type: disk, path: /, pool: default}}
    image:
      description: Fingerprint of the image that it was made from, or an empty string.
      type: str
      returned: always
      sample: aa58e3a4750d
    home:
      description: Name of the server that it was moved away from, to be brought back to (see
        O(lxdops.compute.lxd_migration#module:remember_home)); V(null) if it is not away.
      type: str
      returned: always
      sample: lxd1
    hwaddr:
      description: The MAC address of each network device, declared or given by the server.
      type: dict
      returned: always
      sample: {eth0: "00:16:3e:aa:bb:cc"}
    addresses:
      description: Its global addresses by interface in the guest; empty when it does not run.
      type: dict
      returned: with O(addresses)
      sample: {eth0: [10.1.2.3]}
result:
  description: The result of O(query).
  returned: with O(query)
  type: raw
  sample: [web1]
"""

from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_spec, run
from ansible_collections.lxdops.compute.plugins.module_utils.instance_list import list_instances


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    options = {
        **connection_spec(),
        "name": {"type": "str"},
        "filter": {"type": "str"},
        "all_projects": {"type": "bool", "default": False},
        "addresses": {"type": "bool", "default": False},
        "query": {"type": "str"},
    }
    return {"argument_spec": options, "mutually_exclusive": [("name", "filter"), ("name", "all_projects")]}


work = list_instances


def main() -> None:
    """Run the module."""
    run(spec(), work)


if __name__ == "__main__":
    main()
