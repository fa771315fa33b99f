# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What is known of instance configuration keys: for which type, of what kind, and when a change takes effect.

From LXD's doc/reference/instance_options.md (5.0), doc/metadata.txt (6.9), Incus' internal/server/metadata and, for
what a running VM accepts, the list in lxd/instance/drivers/driver_qemu.go. A server that describes its own keys
(extension ``metadata_configuration``) is asked about the ones that are not here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from typing import Any

from .config_keys import MARK, is_servers
from .errors import Refused
from .key_kinds import Key

# One line a key: name, types it applies to, kind, types that take it live (- none). A name may end in "*".
# Keys that only the daemon reads (boot.*, snapshots.*, user.*, cloud-init.*) need no restart and count as live.
TABLE = """
agent.nic_config v bool -
boot.autorestart cv bool cv
boot.autostart cv bool cv
boot.autostart.delay cv int cv
boot.autostart.priority cv int cv
boot.debug_edk2 v bool -
boot.host_shutdown_action cv text cv
boot.host_shutdown_timeout cv int cv
boot.mode v text -
boot.stop.priority cv int cv
cloud-init.* cv text cv
cluster.evacuate cv text cv
environment.* cv text cv
limits.cpu cv text cv
limits.cpu.allowance c text c
limits.cpu.nodes cv text c
limits.cpu.pin_strategy v text -
limits.cpu.priority c int c
limits.disk.priority cv int c
limits.hugepages.* c size c
limits.kernel.* c text -
limits.memory cv size cv
limits.memory.enforce c text c
limits.memory.hotplug v text -
limits.memory.hugepages v bool -
limits.memory.oom_priority cv int c
limits.memory.swap c bool c
limits.memory.swap.priority c int c
limits.network.priority cv int c
limits.processes c int c
linux.kernel_modules c text c
linux.kernel_modules.load c text -
linux.sysctl.* c text -
migration.incremental.* c text c
migration.stateful cv bool c
nvidia.driver.capabilities c text -
nvidia.require.cuda c text -
nvidia.require.driver c text -
nvidia.runtime c bool -
oci.* c text -
raw.apparmor cv text c
raw.idmap c text -
raw.lxc c text -
raw.qemu v text -
raw.qemu.conf v text -
raw.seccomp c text -
security.agent.metrics v bool v
security.csm v bool -
security.delegate_bpf* c text -
security.devlxd cv bool v
security.devlxd.images c bool -
security.guestapi cv bool v
security.guestapi.images c bool -
security.idmap.base c int -
security.idmap.isolated c bool -
security.idmap.size c int -
security.iommu v bool -
security.nesting cv bool c
security.privileged c bool -
security.protection.delete cv bool cv
security.protection.shift c bool c
security.protection.start cv bool cv
security.secureboot v bool -
security.sev v bool -
security.sev.* v text -
security.syscalls.allow c text -
security.syscalls.deny c text -
security.syscalls.deny_compat c bool -
security.syscalls.deny_default c bool -
security.syscalls.intercept.bpf c bool -
security.syscalls.intercept.bpf.devices c bool -
security.syscalls.intercept.mknod c bool -
security.syscalls.intercept.mount c bool -
security.syscalls.intercept.mount.allowed c text c
security.syscalls.intercept.mount.fuse c text c
security.syscalls.intercept.mount.shift c bool c
security.syscalls.intercept.sched_setscheduler c bool -
security.syscalls.intercept.setxattr c bool -
security.syscalls.intercept.sysinfo c bool -
smbios11.* cv text cv
snapshots.expiry cv text cv
snapshots.expiry.manual cv text cv
snapshots.pattern cv text cv
snapshots.schedule cv text cv
snapshots.schedule.stopped cv bool cv
systemd.credential* cv text c
ubuntu_pro.guest_attach cv text cv
user.* cv text cv
"""
KEYS = {
    name: Key(types, kind, live.replace("-", ""))
    for name, types, kind, live in (line.split() for line in TABLE.split("\n") if line)
}
TYPE_LETTERS = {"container": "c", "virtual-machine": "v"}


def known(name: str, described: Mapping[str, Key]) -> Key | None:
    """The entry for a key: from the table, else from what the server described."""
    return _in_table(name) or _found(name, described)


@cache
def _in_table(name: str) -> Key | None:
    return _found(name, KEYS)


def _found(name: str, table: Mapping[str, Key]) -> Key | None:
    matches = (key for pattern, key in table.items() if pattern[-1] == "*" and name.startswith(pattern[:-1]))
    return table.get(name) or next(matches, None)


def kinds(names: Mapping[str, Any], described: Mapping[str, Key]) -> dict[str, str]:
    """The kind of each key that is not plain text."""
    found = {name: known(name, described) for name in names}
    return {name: key.kind for name, key in found.items() if key and key.kind != "text"}


def check_key(instance: str, instance_type: str, name: str, described: Mapping[str, Key]) -> None:
    """Refuses a key that no server knows, that is the server's own, or that an instance of this type cannot have."""
    if is_servers(name):
        raise Refused(
            f"{instance}: config.{name} belongs to the server and cannot be declared", option=f"config.{name}"
        )
    if name.startswith(MARK):
        raise Refused(
            f"{instance}: config.{name} is a marker of this collection and cannot be declared", option=f"config.{name}"
        )
    key = known(name, described)
    if key is None:
        close = difflib.get_close_matches(name, [*KEYS, *described], n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise Refused(
            f"{instance}: config.{name} is not a known instance option{hint}", option=f"config.{name}", close=close
        )
    if TYPE_LETTERS[instance_type] not in key.types:
        other = "virtual-machine" if key.types == "v" else "container"
        raise Refused(
            f"{instance}: config.{name} applies to a {other}; this instance is a {instance_type}",
            option=f"config.{name}",
        )


def takes_live(instance_type: str, name: str, described: Mapping[str, Key]) -> bool:
    """Whether a running instance of the type takes a change of the key at once."""
    key = known(name, described)
    return key is not None and TYPE_LETTERS[instance_type] in key.live


def from_metadata(metadata: Mapping[str, Any]) -> dict[str, Key]:
    """The instance keys in an answer of ``GET /1.0/metadata/configuration``."""
    result = {}
    for group in metadata.get("configs", {}).get("instance", {}).values():
        for entry in group.get("keys", []):
            for name, about in entry.items():
                condition = str(about.get("condition", ""))
                vm, container = "virtual machine" in condition, "container" in condition
                types = "cv" if vm == container else "v" if vm else "c"
                kind = {"bool": "bool", "integer": "int"}.get(str(about.get("type")), "text")
                live = types if str(about.get("liveupdate", "no")).startswith("yes") else ""
                result[name] = Key(types, kind, live)
    return result
