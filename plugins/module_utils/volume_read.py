# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Reads a volume: the instance, all users of it, the host's record, and the block device."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace

from .block import find_disk, processes_using
from .block_paths import unanswered
from .errors import OperationFailed
from .filesystem import filesystem_size
from .instance import Server, current_from
from .volume import Attachment, Host, Volume, container_name, disk_of, own_device, users_of

LOOKS, PAUSE = 5, 0.1
"""How often it looks who keeps a volume open that is to be replaced, with how many seconds between."""


def identity(on: Host) -> str:
    """Which daemon it is: a host may run LXD and Incus."""
    return hashlib.sha256(on.api.environment["certificate_fingerprint"].encode()).hexdigest()[:16]


def member(on: Host) -> str:
    """The host's name in its cluster, or empty."""
    return on.api.environment["server_name"] if on.api.environment.get("server_clustered") else ""


def read_attachment(on: Host, wanted: Volume) -> Attachment:
    """The volume as all sides see it."""
    data, etag = on.api.find_tagged(f"instances/{wanted.instance}") or (None, "")
    instance = current_from(wanted.instance, data, etag, Server(on.name, on.api.product, on.api.extensions))
    record = on.records.find(wanted.id, wanted.device)
    project = (data or {}).get("project", "default")
    current = Attachment(
        instance=instance,
        project=project,
        users=users_of(on.api.get("instances", recursion=1, **{"all-projects": "true"})).get(wanted.id, ()),
        record=record,
        server=identity(on),
        member=member(on),
    )
    own = own_device(wanted, current)
    disk = find_disk(own[1].get("source", "")) if own and record is None else disk_of(record)
    current = replace(current, disk=disk)
    return _with_swap(on, wanted, _with_filesystem(wanted, _with_busy(wanted, current)))


def _with_swap(on: Host, wanted: Volume, current: Attachment) -> Attachment:
    """The volume that it replaces, or that a run which was cut short would have replaced, and the other way round."""
    journals = ({**other.replaces, "new": other.volume} for other in on.records.all() if other.replaces)
    taken = next((journal for journal in journals if journal["volume"] == wanted.id), {})
    old = wanted.replaces or (current.record.replaces.get("volume", "") if current.record else "")
    if wanted.state != "attached" or not old:
        return replace(current, taken=taken)
    replaced = read_attachment(on, replace(wanted, id=old, replaces="", state="detached"))
    for _look in range(LOOKS):
        # Who opens it for a moment now and then does no harm.
        if replaced.busy:
            time.sleep(PAUSE)
            again = _with_busy(replace(wanted, id=old, state="detached"), replaced).busy
            replaced = replace(replaced, busy=tuple(who for who in replaced.busy if who in again))
    return replace(current, replaced=replaced)


def _with_filesystem(wanted: Volume, current: Attachment) -> Attachment:
    if wanted.state == "detached" or wanted.mode != "filesystem" or not wanted.size or current.disk is None:
        return current
    why = unanswered(current.disk)
    if why:
        raise OperationFailed(f"{wanted.id}: size: its filesystem cannot be read now: {why}", found=why)
    return replace(current, filesystem=filesystem_size(current.disk.path))


def _with_busy(wanted: Volume, current: Attachment) -> Attachment:
    """Who uses it in a container that it is to be taken from; a virtual machine is one process, and tells nobody."""
    if wanted.state != "detached" or current.disk is None or current.instance.type != "container":
        return current
    if own_device(wanted, current) is None or not current.instance.active:
        return current
    # With other users of the volume on this host only this container's processes count.
    name = container_name(current.project, current.instance.name)
    alone = len(current.users) == 1
    return replace(current, busy=processes_using(current.disk, "" if alone else name))
