# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""How fast an instance may read and write a volume: what of it the server does, and what it leaves behind."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from .compare import changed_keys, merged, quantity
from .errors import OperationFailed, Refused
from .instance import Current
from .key_kinds import DEVICE_KINDS
from .volume import LIMITS, Attachment, Host, Volume, own_device
from .volume_steps import write_device

PAYLOAD = "/lxc.payload."
"""How the control group of a container's processes begins; it limits, those in it are the guest's own."""
THROTTLES = tuple(f"blkio.throttle.{verb}_{unit}_device" for verb in ("read", "write") for unit in ("bps", "iops"))
"""The files of a control group of the first version (Documentation/admin-guide/cgroup-v1/blkio-controller.rst)."""
UNLIMITED = "rbps=max wbps=max riops=max wiops=max"
"""What ``io.max`` of the second version has of a device without limits."""


@dataclass(frozen=True)
class Limit:
    """Change the limits of a volume that is attached."""

    wanted: Volume
    device: Mapping[str, str]
    """As it shall be."""
    changed: tuple[str, ...]

    @property
    def text(self) -> str:
        words = [f"{key} {self.device.get(key, '(none)')}" for key in self.changed]
        return f"limit volume {self.wanted.id} of {self.wanted.instance}: {', '.join(words)}"

    def effect(self, current: Attachment) -> Attachment:
        name, _device = own_device(self.wanted, current) or ("", {})
        devices = {**current.instance.devices, name: self.device}
        return replace(current, instance=replace(current.instance, devices=devices))

    def run(self, on: Host) -> None:
        write_device(on, self.wanted.instance, self.wanted.id, self.device)


@dataclass(frozen=True)
class Unlimit:
    """Take the limits of a block device off a container that runs and no longer has it: the server leaves them, and
    they would be those of the next volume that is the device."""

    instance: str
    number: str

    @property
    def text(self) -> str:
        return f"take the limits of block device {self.number} off {self.instance}"

    def effect(self, current: Attachment) -> Attachment:
        return current

    def run(self, on: Host) -> None:
        pid = on.api.get(f"instances/{self.instance}/state")["pid"]
        try:
            files = throttles(_read(f"/proc/{pid}/cgroup"), _read("/proc/self/mountinfo")) if pid > 0 else []
            for path, word in files:
                if os.path.exists(path):
                    with open(path, "w", encoding="ascii") as file:
                        file.write(f"{self.number} {word}")
        except FileNotFoundError:
            return  # It has ended.
        except OSError as error:
            raise OperationFailed(
                f"{self.instance}: the limits of block device {self.number} stay on it: {error.strerror}"
            ) from None


def with_limits(wanted: Volume, device: Mapping[str, str]) -> dict[str, str]:
    """The limits that a device shall have: as the task says, and as they are where it does not."""
    return merged({key: device[key] for key in LIMITS if key in device}, wanted.limits, DEVICE_KINDS)


def limited(where: str, wanted: Volume, current: Attachment) -> list[Limit]:
    """The step that changes the limits of what is attached, if any is to be changed."""
    own = own_device(wanted, current)
    if own is None:
        return []
    rest = {key: value for key, value in own[1].items() if key not in LIMITS}
    after = {**rest, **with_limits(wanted, own[1])}
    changed = changed_keys(own[1], after)
    if not changed:
        return []
    instance = current.instance
    if instance.type == "container" and instance.active:
        raise Refused(
            f"{where}: {changed[0]}: the server limits a filesystem of a container only when it is attached, or when "
            f"the container starts; found {instance.power}, allowed is stopped; or detach it first",
            option="limits",
            found=instance.power,
        )
    return [Limit(wanted, after, tuple(changed))]


def check_limits(where: str, wanted: Volume, instance: Current) -> None:
    """Refuses limits that the server would not take, or not keep."""
    if not any(wanted.limits.values()):
        return
    server = instance.server
    if instance.type == "container" and wanted.mode == "block":
        raise Refused(
            f"{where}: limits: the server limits no block device of a container; allowed is mode: filesystem, or "
            "limits.disk.priority of the instance",
            option="limits",
        )
    if instance.type != "container" and server.product == "lxd" and "vm_disk_io_limits" not in server.extensions:
        raise Refused(
            f"{where}: limits: this LXD takes them for a virtual machine and does nothing (its API lacks the extension "
            "vm_disk_io_limits); LXD 5.21 and later, and Incus, can",
            option="limits",
        )


def check_words(where: str, limits: Mapping[str, str | None]) -> None:
    """Refuses what is no limit."""
    both = limits.get("limits.max") and (limits.get("limits.read") or limits.get("limits.write"))
    if both:
        raise Refused(f"{where}: limits: max is read and write together: say one or the other", option="limits")
    for key, value in limits.items():
        if key not in LIMITS:
            names = ", ".join(name.partition(".")[2] for name in LIMITS)
            raise Refused(
                f"{where}: limits: found {key.partition('.')[2]}, allowed are {names}", option="limits", found=key
            )
        number = (value or "1").removesuffix("iops")
        if not number.isdigit() and (number != (value or "1") or not quantity(number) or "bit" in number.lower()):
            raise Refused(
                f"{where}: {key}: found {value}, allowed are bytes a second, like 30MiB, or operations, like 500iops",
                option="limits",
                found=value,
            )


def throttles(groups: str, mounts: str) -> list[tuple[str, str]]:
    """The files of a container's control groups that limit block devices, and what is written there to end that.
    ``groups``: ``/proc/PID/cgroup`` of its init; ``mounts``: our ``mountinfo``, since what is mounted of a hierarchy
    may be a part of it."""
    found = []
    for _number, controllers, path in (line.split(":", 2) for line in groups.splitlines()):
        beginning, _payload, rest = path.partition(PAYLOAD)
        group = f"{beginning}{PAYLOAD}{rest.split('/')[0]}"
        for line in mounts.splitlines():
            fields, _dash, kind = line.partition(" - ")
            _id, _parent, _device, root, place = fields.split()[:5]
            options = kind.split()[-1].split(",")
            inside = group.removeprefix(root) if root != "/" else group
            if kind.startswith("cgroup ") and "blkio" in options and "blkio" in controllers.split(","):
                found += [(f"{place}{inside}/{name}", "0") for name in THROTTLES]
            elif kind.startswith("cgroup2 ") and not controllers:
                found.append((f"{place}{inside}/io.max", UNLIMITED))
    return found


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
