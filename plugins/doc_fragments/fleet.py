# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by `python3 tests/stages/fleet_docs.py` from the documentation of lxd_instance.
"""Documentation of the options of an instance in a fleet."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of the instances of a fleet."""

    DOCUMENTATION = r"""
options:
  instances:
    description:
    - The instances.
    - What an item does not say, O(defaults) say, and then M(lxdops.compute.lxd_instance).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
        - Name of the instance.
        - 1 to 63 letters, digits and hyphens, starting with a letter and
          not ending in a hyphen.
        type: str
        required: true
      state: &id001
        description:
        - V(started) - it runs. A frozen one is thawed, a suspended one
          resumed with its memory.
        - V(present) - it exists and is configured as declared; its power
          state is left alone. A new one stays stopped.
        - V(stopped) - it does not run. The guest is asked to stop, see
          O(lxdops.compute.lxd_instance#module:stop_timeout) and O(lxdops.compute.lxd_instance#module:force).
          A suspended one counts as stopped and keeps its saved memory.
          Refused for an ephemeral instance, which the server would delete.
        - V(frozen) - its processes are paused, in memory. A stopped one
          is started first.
        - V(suspended) - it is stopped with its memory saved on disk, and
          survives a reboot of the host. Only from running or frozen. Containers
          need CRIU on the host, virtual machines C(migration.stateful);
          refused where the server cannot.
        - V(restarted) - it is stopped, and started. This always changes
          something. A saved memory is dropped.
        - V(absent) - it and its snapshots do not exist. A running one is
          asked to stop, and killed after O(lxdops.compute.lxd_instance#module:stop_timeout).
        - An instance in the server's state C(Error) is killed before it
          is started again.
        type: str
        choices:
        - present
        - started
        - stopped
        - frozen
        - suspended
        - restarted
        - absent
      type: &id002
        description:
        - What to create. The default is the type of the image or instance
          in O(lxdops.compute.lxd_instance#module:source), else V(container).
        - Refused when the instance exists as the other type.
        type: str
        choices:
        - container
        - virtual-machine
      description: &id003
        description: A line of text kept with the instance.
        type: str
      source: &id004
        description:
        - What a new instance is made from. Needed when it does not exist
          yet.
        - Of an existing instance it is only checked, and never acted on.
          It is refused when the instance was made from something else,
          told by its image and by a mark that this module leaves. An alias
          that names a newer image by now is no reason.
        type: dict
        suboptions:
          type:
            description:
            - An image, a copy of an instance or snapshot on the same server,
              a backup in a file, or nothing (an empty root).
            - V(backup) brings the snapshots and the configuration too,
              over which the rest of the task is laid, but for the description,
              and whether it is ephemeral. An instance of the name that
              it has in the file is that instance, with its addresses; of
              another name, it gets others.
            type: str
            choices:
            - image
            - copy
            - backup
            - none
          alias:
            description: Alias of the image, on the server itself or, with
              O(lxdops.compute.lxd_instance#module:source.server), there.
            type: str
          fingerprint:
            description: Fingerprint of the image, or the beginning of it.
            type: str
          server:
            description: URL of an image server. The LXD or Incus server
              fetches the image from there.
            type: str
          protocol:
            description:
            - Protocol of O(lxdops.compute.lxd_instance#module:source.server).
              The default is V(simplestreams).
            - V(lxd) and V(incus) are for the public images of another such
              server.
            type: str
            choices:
            - simplestreams
            - lxd
            - incus
          certificate:
            description: Certificate (PEM text) of O(lxdops.compute.lxd_instance#module:source.server)
              where no known authority signed it.
            type: str
          instance:
            description: Name of the instance to copy.
            type: str
          snapshot:
            description: Name of the snapshot of O(lxdops.compute.lxd_instance#module:source.instance)
              to copy, instead of the instance as it is now.
            type: str
          instance_only:
            description: Copy without the snapshots.
            type: bool
          file:
            description: Absolute path of the backup, on the machine where
              the task runs (see O(lxdops.compute.lxd_instance#module:execution)).
              As M(lxdops.compute.lxd_snapshot) exports it, or C(lxc export).
              One in the storage's own format needs a pool of the same driver.
            type: path
          sha256:
            description: Checksum that O(lxdops.compute.lxd_instance#module:source.file)
              must have. By default the one in a file of that name and C(.sha256),
              if there is one.
            type: str
      config: &id005
        description:
        - Instance options, like C(limits.cpu) or C(user.role). Values are
          compared by meaning, so V(2) equals V("2"), V(yes) equals V("true")
          and V(1GiB) equals V(1024MiB).
        - C(null) or an empty string removes an option, so that profiles
          and defaults apply again.
        - C(volatile.*) and C(image.*) belong to the server and cannot be
          declared.
        type: dict
      devices: &id006
        description:
        - Devices by name, each a dictionary of its options, or C(null)
          for no such device.
        - Options of a device that are not named stay as they are; C(null)
          removes an option.
        - A device that comes from a profile is overridden when an option
          of it changes, and masked when it is removed.
        type: dict
      root: &id007
        description: The root disk, whether it comes from a profile or not.
        type: dict
        suboptions:
          pool:
            description: Storage pool. Cannot be changed on an existing
              instance; that is a migration.
            type: str
          size:
            description:
            - Size of the root file system, like V(10GiB). The file system
              of a container grows at once, that of a virtual machine at
              its next start. It never shrinks.
            - Refused for containers on a C(dir) pool, which would ignore
              it, unless the pool says C(user.lxdops.quotas=true).
            type: str
          size_state:
            description: Space for the saved memory of a virtual machine.
            type: str
          boot_priority:
            description: Order of boot of a virtual machine; the highest
              first.
            type: int
          read:
            description: Limit for reading, in bytes per second (V(30MiB))
              or operations per second (V(500iops)).
            type: str
          write:
            description: Limit for writing, like O(lxdops.compute.lxd_instance#module:root.read).
            type: str
          max:
            description: One limit for reading and for writing.
            type: str
      cloud_init: &id008
        description: Data for cloud-init in the guest. It is read at the
          first boot, or when the data changes.
        type: dict
        suboptions:
          user_data:
            description: User data, as text, or as a dictionary that becomes
              a C(#cloud-config). Shown only as a digest.
            type: raw
          vendor_data:
            description: Vendor data, like O(lxdops.compute.lxd_instance#module:cloud_init.user_data).
            type: raw
          network_config:
            description: Network configuration, as text or dictionary.
            type: raw
      config_drive: &id009
        description: A directory of the LXD host that the guest sees read-only,
          as the device C(config-drive).
        type: dict
        suboptions:
          source:
            description: Path of the directory on the LXD host.
            type: path
          path:
            description: Where the guest sees it.
            type: path
          shift:
            description: Show the files as owned by the same user numbers
              in the guest. Needs a host kernel that can do it.
            type: bool
      profiles: &id010
        description:
        - Profiles to apply, in this order; the last one wins. The list
          is exact.
        - A new instance without it gets those of its image or C(default).
        type: list
        elements: str
      ephemeral: &id011
        description: Whether the server deletes the instance when it stops.
        type: bool
      target: &id012
        description:
        - Cluster member, or C(@group), to create the instance on.
        - Refused when the instance exists on another member; moving it
          is a migration.
        type: str
      purge_config: &id013
        description: Remove all options from the instance that O(lxdops.compute.lxd_instance#module:config)
          and O(lxdops.compute.lxd_instance#module:cloud_init) do not name.
        type: bool
      purge_devices: &id014
        description: Remove all devices from the instance that O(lxdops.compute.lxd_instance#module:devices),
          O(lxdops.compute.lxd_instance#module:root) and O(lxdops.compute.lxd_instance#module:config_drive)
          do not name. The root disk stays.
        type: bool
      apply: &id015
        description:
        - What to do with changes that a running instance takes only by
          a restart; RV(lxdops.compute.lxd_instance#module:impact) says
          which these are.
        - V(next_start) - keep them for the next start, whoever does it;
          RV(lxdops.compute.lxd_instance#module:pending) lists them until
          then. A running virtual machine cannot keep such changes, so they
          are refused.
        - V(restart) - restart the instance now, also for changes that were
          left pending before.
        - V(live) - refuse them; nothing changes then.
        type: str
        choices:
        - live
        - restart
        - next_start
      force: &id016
        description: Kill the guest instead of asking it to stop.
        type: bool
      stop_timeout: &id017
        description:
        - Seconds that the guest has to stop when it is asked. After that
          V(stopped) and V(restarted) fail, and V(absent) kills it.
        type: int
      wait_for: &id018
        description:
        - What must be true of a V(started) or V(restarted) instance before
          the task ends, also when nothing changed. All conditions together
          may take O(lxdops.compute.lxd_instance#module:wait_timeout); after
          that the task fails with the last lines of the console.
        - C(running); C(agent) (a virtual machine's agent answers); C(ready)
          (the guest said so over devlxd); C(cloud_init) (it has ended without
          errors); C(ipv4), C(ipv6) or C(ipv4@eth0) (a global address, of
          any device or one); C(port:22) or C(port:22@eth0) (a TCP port
          answers the machine where the module runs).
        type: list
        elements: str
  defaults:
    description:
    - Options for all instances.
    - Dictionaries are merged with those of an item, whose keys win; anything
      else the item replaces.
    type: dict
    suboptions:
      state: *id001
      type: *id002
      description: *id003
      source: *id004
      config: *id005
      devices: *id006
      root: *id007
      cloud_init: *id008
      config_drive: *id009
      profiles: *id010
      ephemeral: *id011
      target: *id012
      purge_config: *id013
      purge_devices: *id014
      apply: *id015
      force: *id016
      stop_timeout: *id017
      wait_for: *id018
"""
