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
  - A snapshot holds the root of the instance and its configuration, devices and profiles; with O(volumes) also the
    custom volumes that are attached to it. Volumes of external storages, as M(lxdops.compute.lxd_volume_attachment)
    brings them, are in none. RV(left_out) names what is not in it, and a restore does not touch that.
  - A run that was killed is ended by the next one. What the server was told to do it ends by itself.
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
        frozen again; a task that is killed in that moment leaves it running. What the restore loses is told in
        RV(loses), also in check mode.
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
  volumes:
    description:
      - For O(state=present), take the snapshot of the instance and those of the custom volumes that are attached to it
        as one set, which is restored, kept, expired and deleted together. A volume's snapshot is called like the one
        of the instance, with a dot and the set's id (RV(set_id)).
      - They are taken one after another, so a running instance is quiet meanwhile, as with O(quiesce). What
        else uses a volume is not.
      - For O(state=restored), whether the volumes are restored too. By default they are where the snapshot is of a
        set. Nobody else who uses one may run. The instance is stopped for it; where it ran, or was frozen, before, it
        is so again when all is restored, and a task that was killed, or failed, is to be run again for that.
    type: bool
  expires:
    description:
      - When the server deletes the snapshot, for O(state=present) - some time after it was taken, like V(12h), V(7d) or
        V(4w) (also V(s) and V(m), for minutes), at a point of time like V(2027-01-31T12:00:00Z), or V(never).
      - If not named, a new one has what the instance's C(snapshots.expiry) says, and another keeps what it has.
    type: str
  quiesce:
    description:
      - Keep the guest of a running instance quiet while a snapshot is taken, for O(state=present). Nothing is done
        where none is to be taken, or where the instance does not run. One that is frozen stays so.
      - With V({}) a container writes what it holds back (C(sync)) and is frozen. In a virtual machine the file systems
        on its disks are (C(fsfreeze), by way of the server's agent), by a process that thaws them itself.
      - It goes on after O(quiesce.timeout) seconds at the latest, also where the task is killed. A process beside the
        task, on the machine where that runs, sees to it. Where that whole machine dies, the next task of this module
        for the instance does, by the mark C(user.lxdops.quiesced).
    type: dict
    suboptions:
      freeze:
        description: Whether the guest is frozen.
        type: bool
        default: true
      before:
        description: A command of the guest's shell that is run before. Where it fails no snapshot is taken.
        type: str
      after:
        description:
          - A command that is run afterwards, also where no snapshot was taken. It must bear to be run twice.
          - Where it fails the task does, and the snapshot stays.
        type: str
      timeout:
        description:
          - Seconds that the guest may be quiet, 1 to 600. A snapshot that takes longer is deleted, and the task fails.
            On a pool that copies files (C(dir)) it takes as long as the root is large.
        type: int
        default: 30
  keep:
    description:
      - How many snapshots are kept of those whose names match a pattern, for O(state=present). Older ones are deleted,
        the one that the task names never is. Others are not touched.
    type: dict
    suboptions:
      count:
        description: How many, the newest.
        type: int
        required: true
      pattern:
        description: A pattern of the shell, like V(nightly-*). The snapshot's own name must match it.
        type: str
        required: true
  publish:
    description:
      - Make an image of the snapshot, for O(state=present). The instance does not notice. The image is known by its
        property C(lxdops.snapshot), so it is made once. It stays when the snapshot is deleted.
    type: dict
    suboptions:
      alias:
        description:
          - An alias for the image. Where it names the image of another snapshot that was published by this module, it
            names this one from then on, and the other image stays. An alias of any other image is refused.
        type: str
      properties:
        description: Properties of the image, like C(description). V(null) removes one, others stay as they are.
        type: dict
      public:
        description: Whether everybody who reaches the server may fetch it. A new one is not, if this is not named.
        type: bool
      compression:
        description: How a new image is compressed, like V(gzip), V(zstd) or V(none). By default as the server says.
        type: str
  export:
    description:
      - Write a backup of the instance to a file, for O(state=present), on the machine where the task runs (see
        O(execution)).
      - The server has no backup of a snapshot alone. The file holds the instance as it is while the file is made, and
        all its snapshots. It is made again where the snapshot was taken anew since, and not for other changes.
      - Beside it, with C(.sha256) at the end of the name, is its checksum, as C(sha256sum --check) reads it. Both have
        the mode 0600. The file has its name when it is complete. The server's own copy is deleted.
      - M(lxdops.compute.lxd_instance) makes an instance of it (O(ignore:source.type=backup)), and so do C(lxc import)
        and C(incus import). Volumes are not in it.
    type: dict
    suboptions:
      file:
        description: Absolute path. The directory must exist. A file that is there, without our checksum, is refused.
        type: path
        required: true
      compression:
        description: How it is compressed, like V(gzip), V(zstd) or V(none). By default as the server says.
        type: str
      optimized:
        description: In the format of the storage, which is smaller, and read by a pool of the same driver only.
        type: bool
        default: false
  copy:
    description:
      - Copy the snapshot to another server, for O(state=present), as an instance of its own, which is not started. It
        is known by what it was made from, so it is copied once, and an instance of another origin is refused.
      - It has the root, the configuration, and the devices of the snapshot, but for MAC addresses, disks besides the
        root, and what is of the host (RV(copy.left_out)). What stands in the way is told first, all of it at once.
      - The data goes between the servers as with M(lxdops.compute.lxd_migration) - the other one pulls it, this one
        pushes it, or it goes through the machine where the task runs, whatever works first.
    type: dict
    suboptions:
      name:
        description: Name of the copy.
        type: str
        required: true
      target:
        description: The other server. What is not named is as for this one, but for what says which server it is.
        type: dict
        required: true
        suboptions:
          endpoint:
            description: Path of a unix socket or C(https://) URL.
            type: str
            required: true
          client_cert:
            description: As O(client_cert).
            type: path
          client_key:
            description: As O(client_key).
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
      pool:
        description: The storage pool on the target. By default the one of the same name.
        type: str
      networks:
        description: Managed networks of the source, and what they are called on the target, where that differs.
        type: dict
      timeout:
        description: Seconds that the copy may take.
        type: float
        default: 3600
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

- name: Another one, while nothing is written
  lxdops.compute.lxd_snapshot:
    name: web1
    snapshot: quiet
    quiesce:
      before: touch /run/backup
      after: rm -f /run/backup

- name: One of it and its custom volumes, at one moment
  lxdops.compute.lxd_snapshot:
    name: web1
    snapshot: whole
    volumes: true

- name: Three of these are kept
  lxdops.compute.lxd_snapshot:
    name: web1
    snapshot: nightly-20261123
    keep: {count: 3, pattern: nightly-*}

- name: An image of one, from which others can be made
  lxdops.compute.lxd_snapshot:
    name: web1
    snapshot: nightly-20261123
    publish:
      alias: web
      properties: {description: Web server}

- name: A file of the instance and its snapshots
  lxdops.compute.lxd_snapshot:
    name: web1
    snapshot: nightly-20261123
    export: {file: "{{ backups }}/web1.tar.gz"}

- name: Another instance, of that file
  lxdops.compute.lxd_instance:
    name: web3
    source: {type: backup, file: "{{ backups }}/web1.tar.gz"}

# lxd2: {endpoint: https://lxd2.example.org:8443, server_cert: /etc/lxd/lxd2.crt}
- name: A copy of one on another server
  lxdops.compute.lxd_snapshot:
    name: web1
    snapshot: nightly-20261123
    copy:
      name: web1-nightly
      target: "{{ lxd2 }}"

- name: Back to the first, once for this word
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
    volumes:
      description: The custom volumes (C(POOL/VOLUME)) of which there are snapshots in the same set.
      type: list
      elements: str
      returned: when it is of a set
      sample: [fast/data]
    expires:
      description: When it expires, in the task's words where that is so.
      type: str
      returned: when present, and O(expires) is named
      sample: 7d
    image:
      description: The image of the snapshot, with the properties that the task names. V(null) where there is none.
      type: dict
      returned: when O(publish) is named
      sample: {alias: web, public: false, properties: {description: Web server}}
    file:
      description: The file that holds the snapshot. V(null) where there is none.
      type: str
      returned: when O(export) is named
      sample: /var/tmp/web1.tar.gz
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
left_out:
  description: The volumes that are attached to the instance, and that the snapshot does not hold - custom ones as
    C(POOL/VOLUME), those of external storages by the names of their devices.
  returned: success
  type: list
  elements: str
  sample: []
set_id:
  description: What the names of the volumes' snapshots end in. V(null) where the snapshot is of no set, or predicted.
  returned: success
  type: str
  sample: 5f0c3a9be1d4
fingerprint:
  description: The fingerprint of the image. V(null) where there is none.
  returned: when O(publish) is named
  type: str
  sample: 3c6ad0b5f3a1e1d0a0c5b6f1c8d1e7f4a2b3c4d5e6f708192a3b4c5d6e7f8091
sha256:
  description: The checksum of the file. V(null) where there is none.
  returned: when O(export) is named
  type: str
  sample: 9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab
copy:
  description: The copy on the other server.
  returned: when O(copy) is named
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      returned: always
      sample: web1-monday
    server:
      description: Where it is.
      type: str
      returned: always
      sample: lxd2 (https://lxd2.example.org:8443)
    state:
      description: Its power state, or V(absent).
      type: str
      returned: always
      sample: stopped
    left_out:
      description: The devices that it has not.
      type: list
      elements: str
      returned: always
      sample: [data]
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

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.lxdops.compute.plugins.module_utils.front import connected, connection_spec, run
from ansible_collections.lxdops.compute.plugins.module_utils.migration import Link
from ansible_collections.lxdops.compute.plugins.module_utils.migration_params import target_params
from ansible_collections.lxdops.compute.plugins.module_utils.snapshot_copy import check_copy, copy_spec, with_copy
from ansible_collections.lxdops.compute.plugins.module_utils.snapshot_domain import converge_snapshot
from ansible_collections.lxdops.compute.plugins.module_utils.snapshot_params import snapshot_spec
from ansible_collections.lxdops.compute.plugins.module_utils.steps import Api


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    return {"argument_spec": {**connection_spec(), **snapshot_spec(), "copy": copy_spec()}}


def work(on: Api, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """The module's result."""
    if not params.get("copy"):
        return converge_snapshot(on, params, check)
    check_copy(params)
    with connected(target_params({**params, "target": params["copy"]["target"]}), os.environ, check) as target:
        return with_copy(Link(on, target), params, check, converge_snapshot(on, params, check))


def main() -> None:
    """Run the module."""
    run(spec(), work)


if __name__ == "__main__":
    main()
