#!/usr/bin/python
# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers and virtual machines, declared."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_instance
short_description: Containers and virtual machines on LXD and Incus, declared
description:
  - Creates, configures, starts, stops, freezes, suspends, restarts and deletes one container or virtual machine.
  - What a task does not name is not touched. A key or device that is set to C(null) is removed. O(purge_config) and
    O(purge_devices) make the declared list exact.
  - An instance is never started to be edited, never replaced, and never taken for another. A request that cannot be
    fulfilled
    is refused before anything changes.
  - A run that was killed half-way is finished by the next one. An operation that such a run left going on in the server
    is waited for first.
author:
  - lxdops.compute contributors (@lxdops)
extends_documentation_fragment:
  - lxdops.compute.connection
  - lxdops.compute.attributes
  - lxdops.compute.attributes.changes
options:
  name:
    description:
      - Name of the instance.
      - 1 to 63 letters, digits and hyphens, starting with a letter and not ending in a hyphen.
    type: str
    required: true
  state:
    description:
      - V(started) - it runs. A frozen one is thawed, a suspended one resumed with its memory.
      - V(present) - it exists and is configured as declared; its power state is left alone. A new one stays stopped.
      - V(stopped) - it does not run. The guest is asked to stop, see O(stop_timeout) and O(force). A suspended one
        counts
        as stopped and keeps its saved memory. Refused for an ephemeral instance, which the server would delete.
      - V(frozen) - its processes are paused, in memory. A stopped one is started first.
      - V(suspended) - it is stopped with its memory saved on disk, and survives a reboot of the host. Only from
        running or frozen.
        Containers need CRIU on the host, virtual machines C(migration.stateful); refused where the server cannot.
      - V(restarted) - it is stopped, and started. This always changes something. A saved memory is dropped.
      - V(absent) - it and its snapshots do not exist. A running one is asked to stop, and killed after O(stop_timeout).
      - An instance in the server's state C(Error) is killed before it is started again.
    type: str
    choices: [present, started, stopped, frozen, suspended, restarted, absent]
    default: started
  type:
    description:
      - What to create. The default is the type of the image or instance in O(source), else V(container).
      - Refused when the instance exists as the other type.
    type: str
    choices: [container, virtual-machine]
  description:
    description: A line of text kept with the instance.
    type: str
  source:
    description:
      - What a new instance is made from. Needed when it does not exist yet.
      - Of an existing instance it is only checked, and never acted on. It is refused when the instance was made from
        something else, told by its image and by a mark that this module leaves. An alias that names a newer image by
        now is no reason.
    type: dict
    suboptions:
      type:
        description:
          - An image, a copy of an instance or snapshot on the same server, a backup in a file, or nothing (an empty
            root).
          - V(backup) brings the snapshots and the configuration too, over which the rest of the task is laid, but for
            the description, and whether it is ephemeral. An instance of the name that it has in the file is that
            instance, with its addresses; of another name, it gets others.
        type: str
        choices: [image, copy, backup, none]
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
      file:
        description: Absolute path of the backup, on the machine where the task runs (see O(execution)). As
          M(lxdops.compute.lxd_snapshot) exports it, or C(lxc export). One in the storage's own format needs a pool of
          the same driver.
        type: path
      sha256:
        description: Checksum that O(source.file) must have. By default the one in a file of that name and C(.sha256),
          if there is one.
        type: str
  config:
    description:
      - Instance options, like C(limits.cpu) or C(user.role). Values are compared by meaning, so V(2) equals V("2"),
        V(yes) equals
        V("true") and V(1GiB) equals V(1024MiB).
      - C(null) or an empty string removes an option, so that profiles and defaults apply again.
      - C(volatile.*) and C(image.*) belong to the server and cannot be declared.
    type: dict
  devices:
    description:
      - Devices by name, each a dictionary of its options, or C(null) for no such device.
      - Options of a device that are not named stay as they are; C(null) removes an option.
      - A device that comes from a profile is overridden when an option of it changes, and masked when it is removed.
    type: dict
  root:
    description: The root disk, whether it comes from a profile or not.
    type: dict
    suboptions:
      pool:
        description: Storage pool. Cannot be changed on an existing instance; that is a migration.
        type: str
      size:
        description:
          - Size of the root file system, like V(10GiB). The file system of a container grows at once, that of a
            virtual machine at
            its next start. It never shrinks.
          - Refused for containers on a C(dir) pool, which would ignore it, unless the pool says
            C(user.lxdops.quotas=true).
        type: str
      size_state:
        description: Space for the saved memory of a virtual machine.
        type: str
      boot_priority:
        description: Order of boot of a virtual machine; the highest first.
        type: int
      read:
        description: Limit for reading, in bytes per second (V(30MiB)) or operations per second (V(500iops)).
        type: str
      write:
        description: Limit for writing, like O(root.read).
        type: str
      max:
        description: One limit for reading and for writing.
        type: str
  cloud_init:
    description: Data for cloud-init in the guest. It is read at the first boot, or when the data changes.
    type: dict
    suboptions:
      user_data:
        description: User data, as text, or as a dictionary that becomes a C(#cloud-config). Shown only as a digest.
        type: raw
      vendor_data:
        description: Vendor data, like O(cloud_init.user_data).
        type: raw
      network_config:
        description: Network configuration, as text or dictionary.
        type: raw
  config_drive:
    description: A directory of the LXD host that the guest sees read-only, as the device C(config-drive).
    type: dict
    suboptions:
      source:
        description: Path of the directory on the LXD host.
        type: path
        required: true
      path:
        description: Where the guest sees it.
        type: path
        default: /config-drive
      shift:
        description: Show the files as owned by the same user numbers in the guest. Needs a host kernel that can do it.
        type: bool
        default: false
  profiles:
    description:
      - Profiles to apply, in this order; the last one wins. The list is exact.
      - A new instance without it gets those of its image or C(default).
    type: list
    elements: str
  ephemeral:
    description: Whether the server deletes the instance when it stops.
    type: bool
  target:
    description:
      - Cluster member, or C(@group), to create the instance on.
      - Refused when the instance exists on another member; moving it is a migration.
    type: str
  purge_config:
    description: Remove all options from the instance that O(config) and O(cloud_init) do not name.
    type: bool
    default: false
  purge_devices:
    description: Remove all devices from the instance that O(devices), O(root) and O(config_drive) do not name. The
      root disk stays.
    type: bool
    default: false
  apply:
    description:
      - What to do with changes that a running instance takes only by a restart; RV(impact) says which these are.
      - V(next_start) - keep them for the next start, whoever does it; RV(pending) lists them until then. A running
        virtual machine
        cannot keep such changes, so they are refused.
      - V(restart) - restart the instance now, also for changes that were left pending before.
      - V(live) - refuse them; nothing changes then.
    type: str
    choices: [live, restart, next_start]
    default: next_start
  force:
    description: Kill the guest instead of asking it to stop.
    type: bool
    default: false
  stop_timeout:
    description:
      - Seconds that the guest has to stop when it is asked. After that V(stopped) and V(restarted) fail,
        and V(absent) kills it.
    type: int
    default: 30
  wait_for:
    description:
      - What must be true of a V(started) or V(restarted) instance before the task ends, also when nothing changed.
        All conditions together may
        take O(wait_timeout); after that the task fails with the last lines of the console.
      - C(running); C(agent) (a virtual machine's agent answers); C(ready) (the guest said so over devlxd);
        C(cloud_init) (it has ended
        without errors); C(ipv4), C(ipv6) or C(ipv4@eth0) (a global address, of any device or one); C(port:22) or
        C(port:22@eth0) (a TCP port
        answers the machine where the module runs).
    type: list
    elements: str
seealso:
  - module: lxdops.compute.lxd_instance_info
"""

EXAMPLES = r"""
- name: A container that runs and has an address
  lxdops.compute.lxd_instance:
    name: web1
    source:
      alias: debian/12
    config:
      limits.cpu: 2
      limits.memory: 512MiB
    wait_for: [ipv4@eth0]

- name: Add a disk limit and a mount, whatever else it has
  lxdops.compute.lxd_instance:
    name: web1
    root:
      read: 30MiB
      write: 10MiB
    devices:
      logs:
        type: disk
        source: /var/log
        path: /mnt/logs
        readonly: true

- name: Remove an option and a device
  lxdops.compute.lxd_instance:
    name: web1
    config:
      limits.cpu: null
    devices:
      logs: null

- name: Change what needs a restart, and restart it
  lxdops.compute.lxd_instance:
    name: web1
    config:
      security.nesting: true
      linux.sysctl.net.ipv4.ip_forward: 1
    apply: restart

- name: A stopped copy with its own description
  lxdops.compute.lxd_instance:
    name: web2
    state: stopped
    description: copy of web1
    source:
      type: copy
      instance: web1

- name: First boot with cloud-init data
  lxdops.compute.lxd_instance:
    name: db1
    source:
      alias: debian/12
    cloud_init:
      user_data:
        packages: [postgresql]

- name: Pause it
  lxdops.compute.lxd_instance:
    name: db1
    state: frozen

- name: No such instances
  lxdops.compute.lxd_instance:
    name: "{{ item }}"
    state: absent
  loop: [web1, web2, db1]
"""

RETURN = r"""
instance:
  description: The instance as it is now, or in check mode as it would be. An absent one has only its name and state.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      returned: always
      sample: web1
    state:
      description: One of V(absent), V(stopped), V(running), V(frozen), V(suspended), V(error).
      type: str
      returned: always
      sample: running
    type:
      description: V(container) or V(virtual-machine).
      type: str
      returned: when it exists
      sample: container
    description:
      description: Its description.
      type: str
      returned: when it exists
      sample: ""
    profiles:
      description: Its profiles, in order.
      type: list
      elements: str
      returned: when it exists
      sample: [default]
    ephemeral:
      description: Whether it is deleted when it stops.
      type: bool
      returned: when it exists
      sample: false
    config:
      description: Its own options, without those of profiles and of the server. cloud-init data is shown as a digest.
      type: dict
      returned: when it exists
      sample: {limits.cpu: "2"}
    devices:
      description: Its own devices, without those of profiles.
      type: dict
      returned: when it exists
      sample: {logs: {type: disk, source: /var/log, path: /mnt/logs, readonly: "true"}}
steps:
  description: What was done, or in check mode would be done, in order.
  returned: success
  type: list
  elements: str
  sample: [create container web1 from image debian/12, start web1]
steps_done:
  description: The steps that were done before the one that failed.
  returned: failure
  type: list
  elements: str
  sample: [create container web1 from image debian/12]
impact:
  description:
    - For each option that changes on an existing instance - V(live) (took effect), V(restart) (takes effect by a
      restart), or V(stopped) (it was
      not running).
  returned: success
  type: dict
  sample: {config.limits.cpu: live}
pending:
  description: The changes that wait for a restart of the instance, from this task or an earlier one.
  returned: success
  type: list
  elements: str
  sample: [config.linux.sysctl.net.ipv4.ip_forward]
volumes:
  description:
    - The volumes of an external storage that a deleted instance had, and that its host still has. Nothing of them is
      lost. On the host, M(lxdops.compute.lxd_volume_attachment) with C(state=reconciled) disconnects them; the role
      P(lxdops.compute.instance_termination#role) does both.
  returned: success, with O(state=absent)
  type: list
  elements: str
  sample: []
error:
  description: The kind of the failure - V(Refused) (nothing was changed), V(TimedOut), V(OperationFailed),
    V(Unreachable), V(Conflict), V(NotFound).
  returned: failure
  type: str
  sample: Refused
console:
  description: The last lines of the guest's console.
  returned: when a wait for the guest failed, and the server keeps a console log
  type: list
  elements: str
  sample: ["login:"]
"""

from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_spec, run
from ansible_collections.lxdops.compute.plugins.module_utils.instance_domain import converge_instance
from ansible_collections.lxdops.compute.plugins.module_utils.instance_params import instance_spec


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    return {"argument_spec": {**connection_spec(), **instance_spec()}}


work = converge_instance


def main() -> None:
    """Run the module."""
    run(spec(), work)


if __name__ == "__main__":
    main()
