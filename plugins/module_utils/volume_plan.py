# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps from a volume as it is to how it shall be. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from .errors import Refused
from .instance import Current
from .steps import Step, predict
from .volume import BOOT, LIMITS, Attachment, Host, Volume, device_of, here, matches, others, own_device, placeholder
from .volume_cache import CACHE, warned
from .volume_cinder import Complete, Relinquish, noted
from .volume_connection import connected, disconnected
from .volume_devices import released
from .volume_limits import Unlimit, check_limits, limited, with_limits
from .volume_steps import Attach, Disconnect, Extend, Unplug
from .volume_swap import without_device
from .volume_swap_plan import ended, given_back, swapped

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
    """What a result says besides: who used what is taken away by force, what waits for the next boot, and warnings."""
    grows = wanted.size and current.disk is not None and current.disk.size < wanted.size
    waits = grows and current.instance.type == "virtual-machine" and current.instance.active
    own = own_device(wanted, current)
    told = warned(wanted.id, current.instance, own[1] if own else {}) if wanted.state == "attached" else []
    return {
        "lost": list(current.busy) if wanted.force else [],
        "pending": ["size"] if waits else [],
        **({"warnings": told} if told else {}),
    }


def _attached(wanted: Volume, current: Attachment) -> Steps:
    where = f"{wanted.instance} on {current.instance.server.name}: {wanted.id}"
    if not current.instance.exists:
        raise Refused(
            f"{wanted.instance} on {current.instance.server.name}: there is no such instance", option="instance"
        )
    _check_mode(where, wanted, current.instance)
    back = given_back(wanted, current)
    current = predict(current, back)
    own = own_device(wanted, current)
    if own and own[1] == placeholder(wanted.id):
        own = None
    if own is None and wanted.replaces:
        return _swapped(where, wanted, current)
    if own and wanted.replaces and own_device(Volume("", wanted.replaces), current):
        raise Refused(
            f"{where}: replaces: {wanted.instance} has both, {wanted.id} and {wanted.replaces}: detach the one that it "
            "shall not have",
            option="replaces",
        )
    if own is None:
        _check_new(where, wanted, current)
        return [*back, *_connected(wanted, current, own)]
    if not wanted.path:
        wanted = replace(wanted, path=_block_path(own[1]))
    _check_same(where, wanted, current, *own)
    _check_cinder(where, wanted, current)
    limits = limited(where, wanted, current)
    wanted = replace(wanted, limits={**with_limits(wanted, own[1])})
    return [*back, *ended(wanted, current), *limits, *_connected(wanted, predict(current, limits), own)]


def _swapped(where: str, wanted: Volume, current: Attachment) -> Steps:
    old = own_device(Volume("", wanted.replaces), current)
    if old:
        # The guest finds it where the old one was.
        device = (current.replaced or current).taken.get("device", old[1])
        path = wanted.path or _block_path(device)
        wanted = replace(wanted, path=path, limits={**with_limits(wanted, device)})
        _check_new(where, wanted, without_device(current, wanted.replaces))
    attach = Attach(wanted, current.project, current.server, root_of(current.instance), True, False)
    return swapped(where, wanted, current, attach)


def _block_path(device: Mapping[str, str]) -> str:
    """Where a container has a block device."""
    return device.get("path", "") if device["type"] == "unix-block" else ""


def _connected(wanted: Volume, current: Attachment, own: tuple[str, Mapping[str, str]] | None) -> Steps:
    where = f"{wanted.instance} on {current.instance.server.name}: {wanted.id}"
    gone = own is not None and own[0] in released(current.instance.config)
    there = current.record is not None and current.disk is not None and not gone
    if own is None or current.record is None or not there or own[1].get("source") != current.record.path:
        alone = not here(others(current), current.member)
        lost = own is not None and current.disk is None
        root = root_of(current.instance)
        return [Attach(wanted, current.project, current.server, root, alone, own is not None, lost)]
    told: Steps = [Complete(wanted, current.project)] if noted(current).get("complete") is False else []
    if _is_small(wanted, current):
        _check_growth(where, wanted, current)
        return [*told, Extend(wanted, current.record)]
    return told


def _detached(wanted: Volume, current: Attachment) -> Steps:
    where = f"{wanted.instance} on {current.instance.server.name}: {wanted.id}"
    own = own_device(wanted, current)
    if own and current.busy and not wanted.force:
        raise Refused(
            f"{where}: it is in use, and stays attached: {'; '.join(current.busy)}. End that, or say force: true and "
            "lose what is not written yet",
            found=list(current.busy),
        )
    disk = None if wanted.force else current.disk
    steps: Steps = [Unplug(wanted.instance, current.project, own[0], wanted.id, disk)] if own else []
    if own and current.disk and current.instance.type == "container" and current.instance.active:
        steps += [Unlimit(wanted.instance, current.disk.number)] if any(key in own[1] for key in LIMITS) else []
    if current.record and not here(others(current), current.member):
        steps.append(Disconnect(current.record, wanted.force))
    elif current.record and noted(current):
        steps.append(Relinquish(current.record, current.project, wanted.instance))
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
    check_limits(where, wanted, instance)
    if instance.type == "container":
        if wanted.boot_priority is not None:
            raise Refused(
                f"{where}: boot_priority: a container does not boot from a disk; the nearest is an instance of an "
                "image that has the volume with mode: filesystem, or a storage pool that is made on the volume",
                option="boot_priority",
            )
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
    if current.record and current.record.replaces and not wanted.replaces:
        raise Refused(
            f"{where}: a copy of {current.record.replaces['volume']} to it was cut short: say replaces to end it, or "
            "state: detached to give it up",
            option="replaces",
        )
    found = others(current)
    if found and not wanted.shared:
        raise Refused(
            f"{where}: it is attached to {', '.join(user.text for user in found)}; with a filesystem that is not made "
            "for it, two would destroy the data. Say shared: true if it is",
            option="shared",
            found=[user.text for user in found],
        )
    _check_cinder(where, wanted, current)
    if current.record and current.record.path and not wanted.cinder and not matches(current.record, wanted.connection):
        raise Refused(
            f"{where}: connection: it is connected by another connection than this one; detach it everywhere first",
            option="connection",
        )
    if wanted.device in current.instance.expanded_devices:
        raise Refused(f"{where}: {wanted.device} is another device of the instance already", found=wanted.device)
    path = device_of(wanted, current.instance.type, "").get("path")
    for name, device in sorted(current.instance.expanded_devices.items()):
        inside = device.get("path") or (device.get("source") if device["type"].startswith("unix") else None)
        if path and inside and PurePosixPath(inside) == PurePosixPath(path):
            raise Refused(f"{where}: path: the device {name} has {path} already", option="path", found=name)


def _check_cinder(where: str, wanted: Volume, current: Attachment) -> None:
    if current.record and (current.record.path or current.record.cinder) and current.record.cinder != wanted.cinder:
        raise Refused(
            f"{where}: cinder: it is connected by {current.record.cinder or 'a connection of a task'}, the task says "
            f"{wanted.cinder or 'a connection'}; detach it everywhere first",
            option="cinder",
            found=current.record.cinder,
        )


def _check_same(where: str, wanted: Volume, current: Attachment, name: str, found: Any) -> None:
    """A device is attached as it shall be; to change it would take it away from who uses it."""
    expected = device_of(wanted, current.instance.type, found.get("source", ""))
    keys = {*expected, *found} - {CACHE, *LIMITS, *((BOOT,) if wanted.boot_priority is None else ())}
    differing = sorted(key for key in keys if expected.get(key) != found.get(key))
    if differing:
        key = differing[0]
        option = {"type": "mode", "user.tag": "tag", BOOT: "boot_priority"}.get(key, key)
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
