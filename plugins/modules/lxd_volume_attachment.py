#!/usr/bin/python
# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume of an external storage, attached to an instance and detached."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_volume_attachment
short_description: Attach and detach volumes of external storages
description:
  - Connects a volume to the LXD or Incus host with os-brick, OpenStack's library for it, and gives the block device to
    a container or a virtual machine, running or not. Detaches it again without a trace.
  - It must run on the host itself, as root, and speaks to the daemon over its unix socket.
  - A volume is disconnected only when no instance of any project has it, and when nobody holds its block device - no
    device made of it, no mount in any mount namespace, no process, and not the kernel. On doubt it fails, and the
    volume stays connected.
  - What the host knows of its volumes is kept in a file for each, for root only and without secrets, written before a
    volume is connected and removed after it was disconnected. A run that was killed is finished by the next, or
    undone by O(state=detached) or O(state=reconciled).
  - Tasks that change volumes of a host wait for each other.
  - A device of LXD that is not there at its start is left out (C(required=false)), so that an instance can always be
    started.
  - What the guest of a virtual machine has synced is on the volume (C(io.cache=none) of the device). Servers without
    that option, as LXD 5.0, have QEMU keep it in the host's memory. There a detach writes it; where the host dies it is
    lost. A task that attaches a volume warns of that.
author:
  - lxdops.compute contributors (@lxdops)
extends_documentation_fragment:
  - lxdops.compute.connection
  - lxdops.compute.attributes
  - lxdops.compute.attributes.changes
requirements:
  - os-brick, on the host; 7.1 is what the tests have
  - what the protocol needs, on the host - open-iscsi, nvme-cli, ceph-common or an NFS client; lsscsi for Fibre Channel;
    multipath-tools for O(use_multipath); cryptsetup for O(encryption)
  - openstacksdk, on the host, for O(cinder); 4.22 is what the tests have
  - blkid, for O(mode=filesystem) and O(replaces); mkfs, e2fsck and resize2fs of the filesystem, to make and grow it
options:
  instance:
    description: Name of the instance. Required but for O(state=reconciled).
    type: str
  volume:
    description:
      - The storage's id of the volume, such as Cinder's. Required but for O(state=reconciled).
      - The guest can read it, as C(user.lxdops.volume) of the device.
    type: str
  state:
    description:
      - V(attached) - the volume is connected, and the instance has it.
      - V(detached) - the instance does not have it, and if no other has it, it is not connected.
      - V(reconciled) - volumes that a run which was cut short left connected, and that no instance has, are
        disconnected, and mappings, loop devices and shares of ours that no record is about are removed.
        The other options of volumes do not count, but O(force) and O(records).
      - V(connected) - the host has the volume, for an instance that is there or is still to come, as by a move. Nothing
        is plugged in; the device of an instance that has the volume already gets the path that it has on this host.
        Until the instance has come it is no orphan. V(detached) or V(disconnected) takes it back.
      - V(disconnected) - the host does not have the volume, though a stopped instance may still have the device of it,
        since it is about to be elsewhere. That is noted on the instance (C(user.lxdops.released)), which
        M(lxdops.compute.lxd_instance) does not start then. V(connected) brings it back.
    type: str
    choices: [attached, detached, connected, disconnected, reconciled]
    default: attached
  connection:
    description:
      - What the storage says of how to connect, as Cinder's C(initialize_connection) returns it - the dictionary has
        C(driver_volume_type), such as V(iscsi), V(fibre_channel), V(nvmeof), V(rbd), V(nfs) or V(local), and C(data),
        which os-brick takes as it is. V(connected) needs it; V(attached) needs this or O(cinder).
      - The protocols that are proved are in the support matrix of the collection's README.
      - Passwords and the like are neither kept nor shown, no argument of a program, and not needed to detach. The
        secret of CHAP is in open-iscsi's own record of the target, for root only, as long as the volume is connected.
      - A volume of V(nfs) is a file of the share C(data.export). It is attached as a loop device; the share is mounted
        below C(/var/lib/lxdops/shares), and unmounted after the last of its volumes.
    type: dict
  cinder:
    description:
      - A cloud of C(clouds.yaml) on the host, or V(envvars) for what C(OS_AUTH_URL) and the like in the environment
        describe, whose Cinder has the volume - O(volume) is its id there. Instead of O(connection).
      - The task reserves the volume for the instance (its C(volatile.uuid)), has Cinder export it to this host,
        connects it, and completes the attachment, so that the volume is V(in-use); it is deleted when the volume is
        detached, with the same cloud. An attachment that a killed run made is used or deleted by the next.
      - Cinder's API 3.44 is needed. It asks Nova, before it deletes an attachment, whether the instance is one of
        Nova's; where it cannot reach a Nova it wants a service token (C(service_token_roles)).
      - Cinder exports a volume that is not multiattach to one host at a time, so V(connected) and V(disconnected), and
        with them the roles that move instances with their volumes, refuse such a volume. Detach it, move the instance,
        and attach it where it is then. After a boot V(attached) connects it again.
    type: str
  use_multipath:
    description: Connect by all paths that the storage names, with C(multipathd) of the host.
    type: bool
    default: false
  encryption:
    description:
      - The volume is encrypted. The instance has what is in it, by a mapping of the host that is closed before the
        volume is disconnected.
      - The key goes to C(cryptsetup) by its standard input, and is neither kept nor shown. It is needed to attach and
        to extend, not to detach.
    type: dict
    suboptions:
      type:
        description: LUKS of the first or second version, in Cinder's words. Another than the one found is refused.
        type: str
        choices: [luks, luks2]
        default: luks2
      passphrase:
        description: The passphrase.
        type: str
      key_file:
        description: A file on the host with the passphrase or key, all of its bytes. It is read by each task.
        type: path
      cipher:
        description: With O(encryption.format), such as V(aes-xts-plain64). By default that of C(cryptsetup).
        type: str
      key_size:
        description: With O(encryption.format) the bits of the key. By default those of C(cryptsetup).
        type: int
      format:
        description:
          - Encrypt the volume if it is blank, as O(format) says it. A volume that is not blank is never formatted.
        type: bool
        default: false
  mode:
    description:
      - V(block) - a container has a block device, a virtual machine a disk.
      - V(filesystem) - a container has the filesystem on the volume, mounted. Not for virtual machines, whose guests
        mount what is on their disks.
    type: str
    choices: [block, filesystem]
    default: block
  path:
    description:
      - With O(mode=filesystem) the directory of the container that it is mounted on.
      - With O(mode=block) the block device in the container. By default C(/dev/) and the name of LXD's device.
    type: str
  fstype:
    description:
      - With O(mode=filesystem) the filesystem that is, or with O(format) is made, on the volume. Another is refused.
      - Without it whatever filesystem is there is mounted.
    type: str
  format:
    description:
      - Make the filesystem O(fstype), V(ext2), V(ext3) or V(ext4), if the volume is blank - nothing that C(blkid) knows
        is on it, and its first and last MiB are zeros. A volume that is not blank is never formatted.
      - The root of the filesystem belongs to the root of the container.
    type: bool
    default: false
  shift:
    description:
      - Let the server shift the users and groups of the filesystem to those of the container. Without it they are those
        of the host, so that in an unprivileged container files of the host's users belong to nobody.
      - Needs a kernel and a server that can do so for the filesystem; else the server refuses, and nothing is attached.
    type: bool
    default: false
  readonly:
    description: The instance cannot write. Not for a block device of a container.
    type: bool
    default: false
  size:
    description:
      - The least size of the volume, such as V(10GiB). When the storage has grown it, the host is told, and with
        O(mode=filesystem) the filesystem on it, V(ext2), V(ext3) or V(ext4), is grown, which needs the instance
        stopped. A volume that is larger stays as it is.
      - A running virtual machine sees the new size after its next start; see RV(pending).
    type: str
  shared:
    description: Attach it though other instances have it. Only for filesystems and programs that are made for that.
    type: bool
    default: false
  tag:
    description:
      - A word that the guest finds as C(user.tag) of the device, at C(/1.0/devices) of its socket C(/dev/lxd/sock) or
        C(/dev/incus/sock). It is given when a volume is attached, and does not change.
    type: str
  limits:
    description:
      - How fast the instance may read and write it. Of V(read), V(write), and V(max) for both, bytes a second, such as
        V(30MiB), or operations, such as V(500iops). V(null) removes a limit, what is not named stays.
      - With O(mode=filesystem), and for virtual machines; the server limits no block device of a container. Old
        servers limit no disk of a virtual machine, which is refused.
      - A container takes other limits when it starts - they are changed while it is stopped, and refused while it runs.
        A virtual machine takes them at once.
    type: dict
  boot_priority:
    description:
      - A virtual machine boots from the disk with the highest; its root disk has V(1) where nothing is said. Make it of
        C(source.type=none), stopped, attach the volume with the system on it, and start it.
      - It is given when a volume is attached, and does not change. Containers do not boot from a disk, and refuse it.
    type: int
  replaces:
    description:
      - The volume of the instance whose place this one takes, with its content; the old one is detached and stays as it
        is. This one must be blank, as O(format) has it, and not smaller. If it fails, the instance keeps the old one,
        and this one is blank by its first and last MiB again. With it O(format) is refused.
      - The content is copied while the instance runs. Then the instance is frozen, the old volume is taken out, what
        changed meanwhile is copied, which reads all of the old volume once more, and this one is plugged in at the
        same path. Where this run ends meanwhile, even by a kill, a process beside it gives the old one back and thaws
        the instance.
      - A process of the guest that keeps the old volume, or a file on it, open would go on with the old one, so that is
        refused; it is swapped while the instance is stopped then. What opens it for each write is held up for the
        pause only. Refused too where another instance has either volume, and for a virtual machine that runs, since
        the server cannot mirror its disk.
      - Where the instance has this one already, and not O(replaces), there is nothing to do.
    type: str
  swap_pause:
    description: The most seconds that a running instance stands still for O(replaces); else it keeps the old volume.
    type: int
    default: 60
  force:
    description:
      - Detach it though it is used, or though the storage does not answer, so that what the host has not written yet
        cannot be written. That may be lost; RV(lost) says who used it. Without force such a volume stays attached,
        which is told after some minutes.
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
  - module: lxdops.compute.lxd_volume_attachment_info
  - module: lxdops.compute.lxd_instance
"""

EXAMPLES = r"""
- name: A volume by iSCSI, with a filesystem that is made the first time
  lxdops.compute.lxd_volume_attachment:
    instance: web1
    volume: 4fe1c2ba-1b6a-4e3e-9d70-c7f0e0a3bb01
    connection:
      driver_volume_type: iscsi
      data:
        target_portal: 192.0.2.10:3260
        target_iqn: iqn.2026-01.example.storage:web1
        target_lun: 1
        auth_method: CHAP
        auth_username: web1
        auth_password: "{{ chap_password }}"
    mode: filesystem
    fstype: ext4
    format: true
    path: /srv/data

- name: An encrypted volume by two paths, encrypted the first time
  lxdops.compute.lxd_volume_attachment:
    instance: web1
    volume: 9b0d7c5e-52a4-4f5b-8a56-6f1f5a1c2d02
    use_multipath: true
    connection:
      driver_volume_type: iscsi
      data:
        target_portals: ["192.0.2.10:3260", "192.0.2.11:3260"]
        target_iqns: ["iqn.2026-01.example.storage:web1", "iqn.2026-01.example.storage:web1"]
        target_luns: [2, 2]
    encryption:
      type: luks2
      passphrase: "{{ luks_passphrase }}"
      format: true

- name: The volume of a logical volume group of the host, as a block device
  lxdops.compute.lxd_volume_attachment:
    instance: web1
    volume: scratch-web1
    connection: {driver_volume_type: local, data: {device_path: /dev/vg0/web1}}
    path: /dev/scratch
    tag: scratch

- name: On the host that web1 is to be moved to, before it moves
  lxdops.compute.lxd_volume_attachment:
    instance: web1
    volume: scratch-web1
    state: connected
    connection: {driver_volume_type: local, data: {device_path: /dev/vg0/web1}}

- name: A volume of an OpenStack cloud, which is in use there
  lxdops.compute.lxd_volume_attachment:
    instance: web1
    volume: 9c0f1c6e-27d7-4d0f-9a0b-6f2f7f9a2a02
    cinder: production
    mode: filesystem
    path: /srv/archive
    limits: {read: 100MiB, write: 500iops}

- name: The same content on a larger volume, while the instance runs
  lxdops.compute.lxd_volume_attachment:
    instance: web1
    volume: scratch2-web1
    replaces: scratch-web1
    connection: {driver_volume_type: local, data: {device_path: /dev/vg0/web1-large}}
    path: /dev/scratch
    swap_pause: 120

- name: A virtual machine without a system of its own boots from a volume
  lxdops.compute.lxd_volume_attachment:
    instance: vm1
    volume: vm1-system
    connection: {driver_volume_type: local, data: {device_path: /dev/vg0/vm1}}
    boot_priority: 10

- name: Gone from the instance and from the host
  lxdops.compute.lxd_volume_attachment:
    instance: web1
    volume: scratch-web1
    state: detached

- name: Nothing is left of runs that were cut short
  lxdops.compute.lxd_volume_attachment:
    state: reconciled
"""

RETURN = r"""
attachment:
  description: The volume after the task, but not with O(state=reconciled).
  returned: success
  type: dict
  contains:
    volume:
      description: The storage's id of it.
      type: str
      returned: always
      sample: scratch-web1
    instance:
      description: The instance.
      type: str
      returned: always
      sample: web1
    state:
      description: V(attached) or V(detached).
      type: str
      returned: always
      sample: attached
    connected:
      description: Whether it is connected to the host, maybe for others.
      type: bool
      returned: always
      sample: true
    device:
      description: The name of LXD's device. The disk of a virtual machine has it in its serial number.
      type: str
      returned: when attached
      sample: v0f3a9c1d22e4
    mode:
      description: V(block) or V(filesystem).
      type: str
      returned: when attached
      sample: block
    path:
      description: Where it is in a container.
      type: str
      returned: when attached
      sample: /dev/scratch
    readonly:
      description: Whether the instance cannot write.
      type: bool
      returned: when attached
      sample: false
    shift:
      description: Whether users and groups are shifted.
      type: bool
      returned: when attached
      sample: false
    tag:
      description: Its tag.
      type: str
      returned: when attached
      sample: scratch
    limits:
      description: How fast it may be read and written.
      type: dict
      returned: when attached
      sample: {read: 100MiB}
    boot_priority:
      description: Its priority among the disks that a virtual machine boots from.
      type: int
      returned: when attached
      sample: null
    size:
      description: Its bytes, but no more than O(size) asks for.
      type: int
      returned: when attached, with O(size)
      sample: 1073741824
volumes:
  description: The volumes of the host after the task - those that are connected, and of these the orphans, which no
    instance has; those that are missing, since instances have them but they are not connected; and what no record is
    about.
  returned: success, with O(state=reconciled)
  type: dict
  sample: {connected: [scratch-web1], orphans: [], missing: [], leftovers: []}
source:
  description: The block device of the host, by a name that it keeps where udev gives it one. V(null) if not connected.
  returned: success, but not with O(state=reconciled)
  type: str
  sample: /dev/disk/by-id/wwn-0x6001405c3d8a1
bytes:
  description: Its size, with the header of an encrypted volume. V(null) if not connected.
  returned: success, but not with O(state=reconciled)
  type: int
  sample: 1073741824
lost:
  description: Who used the volume when it was taken away with O(force).
  returned: success, but not with O(state=reconciled)
  type: list
  elements: str
  sample: ["process 4711 (postgres) uses it"]
pending:
  description: What the guest notices when it boots the next time.
  returned: success, but not with O(state=reconciled)
  type: list
  elements: str
  sample: []
steps:
  description: What was done, or in check mode would be done.
  returned: always
  type: list
  elements: str
  sample: ["attach volume scratch-web1 to web1 as a block device on /dev/scratch"]
"""

from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_spec, run
from ansible_collections.lxdops.compute.plugins.module_utils.volume_domain import converge_volumes
from ansible_collections.lxdops.compute.plugins.module_utils.volume_host import connecting
from ansible_collections.lxdops.compute.plugins.module_utils.volume_params import public, volume_spec


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    return {
        "argument_spec": {**connection_spec(), **volume_spec()},
        "required_if": [
            ("state", "attached", ("instance", "volume")),
            ("state", "connected", ("instance", "volume")),
            ("state", "disconnected", ("instance", "volume")),
            ("state", "detached", ("instance", "volume")),
        ],
    }


work = converge_volumes


def main() -> None:
    """Run the module."""
    run(spec(), work, connecting, public)


if __name__ == "__main__":
    main()
