# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps from a volume as it is to how it shall be. Pure."""

from __future__ import annotations

import json
from typing import Any

from .errors import Refused
from .instance import Current
from .steps import Step
from .volume import Attachment, Host, Volume, device_of, here, matches, others, own_device
from .volume_connection import connected, disconnected
from .volume_devices import released
from .volume_steps import Attach, Disconnect, Extend, Unplug

Steps = list[Step[Attachment, Host]]
HALF = {"connected": connected, "disconnected": disconnected}
"""The states of the host's half alone."""
BLOCKS = 1 << 16
"""A filesystem ends on a whole block; none has larger ones."""


def plan(wanted: Volume, current: Attachment) -> Steps:
    """The steps, or Refused. No steps means that it is as declared."""
    _check_place(wanted, current)
    if wanted.state in HALF:
        return HALF[wanted.state](wanted, current)
    return _detached(wanted, current) if wanted.state == "detached" else _attached(wanted, current)


def report(wanted: Volume, current: Attachment) -> dict[str, Any]:
    """What a result says besides: who used what is taken away by force, and what waits for the next boot."""
    grows = wanted.size and current.disk is not None and current.disk.size < wanted.size
    waits = grows and current.instance.type == "virtual-machine" and current.instance.active
    return {"lost": list(current.busy) if wanted.force else [], "pending": ["size"] if waits else []}


def _attached(wanted: Volume, current: Attachment) -> Steps:
    where = f"{wanted.instance} on {current.instance.server.name}: {wanted.id}"
    if not current.instance.exists:
        raise Refused(
            f"{wanted.instance} on {current.instance.server.name}: there is no such instance", option="instance"
        )
    _check_mode(where, wanted, current.instance)
    own = own_device(wanted, current)
    if own is None:
        _check_new(where, wanted, current)
    else:
        _check_same(where, wanted, current, *own)
    gone = own is not None and own[0] in released(current.instance.config)
    there = current.record is not None and current.disk is not None and not gone
    if own is None or current.record is None or not there or own[1].get("source") != current.record.path:
        alone = not here(others(current), current.member)
        lost = own is not None and current.disk is None
        root = root_of(current.instance)
        return [Attach(wanted, current.project, current.server, root, alone, own is not None, lost)]
    if _is_small(wanted, current):
        _check_growth(where, wanted, current)
        return [Extend(wanted, current.record)]
    return []


def _detached(wanted: Volume, current: Attachment) -> Steps:
    where = f"{wanted.instance} on {current.instance.server.name}: {wanted.id}"
    own = own_device(wanted, current)
    if own and current.busy and not wanted.force:
        raise Refused(
            f"{where}: it is in use, and stays attached: {'; '.join(current.busy)}. End that, or say force: true and "
            "lose what is not written yet",
            found=list(current.busy),
        )
    steps: Steps = [Unplug(wanted.instance, current.project, own[0], wanted.id)] if own else []
    if current.record and not here(others(current), current.member):
        steps.append(Disconnect(current.record, wanted.force))
    return steps


def _check_place(wanted: Volume, current: Attachment) -> None:
    instance, member = current.instance, current.member
    if member and instance.exists and instance.location != member:
        raise Refused(
            f"{wanted.instance}: it is on the cluster's member {instance.location}, and this host is {member}: its "
            "volumes are connected there",
            option="instance",
            found=instance.location,
            allowed=[member],
        )
    if current.record and current.record.server != current.server:
        raise Refused(
            f"{wanted.id}: it is connected on this host for another daemon than {instance.server.name}",
            option="volume",
            found=current.record.server,
        )


def _check_mode(where: str, wanted: Volume, instance: Current) -> None:
    if instance.type == "container":
        if wanted.readonly and wanted.mode == "block":
            raise Refused(f"{where}: readonly: a container can always write to a block device", option="readonly")
        return
    if wanted.mode == "filesystem" or wanted.path:
        option = "mode" if wanted.mode == "filesystem" else "path"
        raise Refused(
            f"{where}: {option}: the guest of a virtual machine sees a disk, and mounts it itself: allowed is mode: "
            "block without path",
            option=option,
        )


def _check_new(where: str, wanted: Volume, current: Attachment) -> None:
    """What stands in the way of a volume that the instance does not have yet."""
    if current.instance.power == "suspended":
        raise Refused(f"{where}: it is suspended, and its memory knows the devices it had", option="instance")
    found = others(current)
    if found and not wanted.shared:
        raise Refused(
            f"{where}: it is attached to {', '.join(user.text for user in found)}; with a filesystem that is not made "
            "for it, two would destroy the data. Say shared: true if it is",
            option="shared",
            found=[user.text for user in found],
        )
    if current.record and current.record.path and not matches(current.record, wanted.connection):
        raise Refused(
            f"{where}: connection: it is connected by another connection than this one; detach it everywhere first",
            option="connection",
        )
    if wanted.device in current.instance.expanded_devices:
        raise Refused(f"{where}: {wanted.device} is another device of the instance already", found=wanted.device)
    path = device_of(wanted, current.instance.type, "").get("path")
    for name, device in sorted(current.instance.expanded_devices.items()):
        inside = device.get("path") or (device.get("source") if device["type"].startswith("unix") else None)
        if path and inside and inside.rstrip("/") == path.rstrip("/"):
            raise Refused(f"{where}: path: the device {name} has {path} already", option="path", found=name)


def _check_same(where: str, wanted: Volume, current: Attachment, name: str, found: Any) -> None:
    """A device is attached as it shall be; to change it would take it away from who uses it."""
    expected = device_of(wanted, current.instance.type, found.get("source", ""))
    differing = sorted(key for key in {*expected, *found} if expected.get(key) != found.get(key))
    if differing:
        key = differing[0]
        option = {"type": "mode", "user.tag": "tag"}.get(key, key)
        raise Refused(
            f"{where}: {option}: it is attached as {name} with {key} {found.get(key) or '(none)'}, the task says "
            f"{expected.get(key) or '(none)'}; it is given when a volume is attached only: detach it first",
            option=option,
            found=found.get(key),
        )


def _check_growth(where: str, wanted: Volume, current: Attachment) -> None:
    if wanted.mode == "filesystem" and current.filesystem is None:
        raise Refused(f"{where}: size: only ext2, ext3 and ext4 are grown; grow this one yourself", option="size")
    if wanted.mode == "filesystem" and (current.instance.active or here(others(current), current.member)):
        raise Refused(
            f"{where}: size: its filesystem is mounted, and is grown only while the instance is stopped; found "
            f"{current.instance.power}, allowed is stopped, with no other user of the volume",
            option="size",
            found=current.instance.power,
        )


def _is_small(wanted: Volume, current: Attachment) -> bool:
    if not wanted.size or current.disk is None:
        return False
    if current.disk.size < wanted.size:
        return True
    usable = wanted.size - current.disk.header
    return current.filesystem is not None and current.filesystem < usable // BLOCKS * BLOCKS


def root_of(instance: Current) -> int:
    """The user of the host that a container's root is (``volatile.idmap.next``: what it is started with)."""
    for key in ("volatile.idmap.next", "volatile.last_state.idmap"):
        for entry in json.loads(instance.config.get(key) or "[]"):
            if entry["Isuid"] and entry["Nsid"] == 0:
                return int(entry["Hostid"])
    return 0
