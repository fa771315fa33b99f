# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A volume that belongs to an instance: what it shall be, what it is, and the device that it is in LXD."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .block import STABLE, Disk, boot, find_disk
from .instance import Current
from .steps import Api
from .volume_cache import cached
from .volume_devices import VOLUME
from .volume_record import Record, Records
from .volume_secrets import without_secrets

TAG = "user.tag"
MODES = ("block", "filesystem")
LIMITS = ("limits.read", "limits.write", "limits.max")
BOOT = "boot.priority"
NAMING = ("target_iqn", "target_iqns", "target_nqn", "nqn", "vol_uuid", "target_wwn", "name", "device_path")
"""The keys of a connection's data that name a volume or its target, and those that tell volumes of one name apart:"""
TELLING = ("target_lun", "target_luns", "ns_id", "volume_nguid", "hosts", "cluster_name", "export")


@dataclass(frozen=True)
class Volume:
    """What a task says of one volume."""

    instance: str
    id: str
    state: str = "attached"
    connection: Mapping[str, Any] = field(default_factory=dict, repr=False)
    mode: str = "block"
    path: str = ""
    fstype: str = ""
    format: bool = False
    shift: bool = False
    readonly: bool = False
    size: int = 0
    shared: bool = False
    tag: str = ""
    force: bool = False
    replaces: str = ""
    """The volume whose place it takes, with its content."""
    swap_pause: float = 60.0
    """The most seconds that a running instance stands still for that."""
    limits: Mapping[str, str | None] = field(default_factory=dict)
    """Those of LIMITS that the task names; None removes."""
    boot_priority: int | None = None
    cinder: str = ""
    """The cloud whose Cinder says how to connect it."""

    @property
    def device(self) -> str:
        """The name of its device, and of its record."""
        return "v" + hashlib.sha256(self.id.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class User:
    """A device of an instance, on whatever member of a cluster, that is the volume."""

    project: str
    instance: str
    device: str
    location: str = ""

    @property
    def text(self) -> str:
        return self.instance if self.project == "default" else f"{self.instance} of project {self.project}"


@dataclass(frozen=True)
class Attachment:
    """A volume as LXD, the host's record and the kernel see it."""

    instance: Current
    project: str = "default"
    users: tuple[User, ...] = ()
    """All devices of the daemon that are the volume, this instance's among them."""
    record: Record | None = None
    disk: Disk | None = None
    filesystem: int | None = None
    """Bytes of the filesystem on it, where this could grow it."""
    busy: tuple[str, ...] = ()
    """Who uses it, where it is to be detached."""
    server: str = ""
    member: str = ""
    """Which member of a cluster the host is, or empty."""
    replaced: Attachment | None = None
    """The volume that it replaces, likewise."""
    taken: Mapping[str, Any] = field(default_factory=dict)
    """The journal of a copy that had it taken out of the instance: ``new``, and what its record has."""


class HostSide(Protocol):
    """What makes block devices; ``brick.Brick`` is the real one."""

    def connect(self, connection: Mapping[str, Any]) -> dict[str, Any]: ...
    def extend(self, connection: Mapping[str, Any]) -> None: ...
    def disconnect(self, connection: Mapping[str, Any], device: Mapping[str, Any], force: bool = False) -> None: ...
    def properties(self, address: str) -> dict[str, Any]: ...


class Cloud(Protocol):
    """The attachments of volumes in a cloud; ``cinder.Cinder`` is the real one."""

    def find(self, volume: str, instance: str) -> list[str]: ...
    def reserve(self, volume: str, instance: str, readonly: bool) -> str: ...
    def connect(self, attachment: str, connector: Mapping[str, Any]) -> dict[str, Any]: ...
    def complete(self, attachment: str) -> None: ...
    def release(self, attachment: str) -> None: ...


@dataclass(frozen=True)
class Host:
    """Where volumes are attached: a daemon, and the machine that it runs on."""

    api: Api
    brick: HostSide
    records: Records
    cloud: Callable[[str], Cloud]
    """A cloud by its name."""

    @property
    def name(self) -> str:
        return self.api.name

    @property
    def address(self) -> str:
        """That by which it reaches a storage, as far as the daemon knows."""
        return next((url.split("//")[1].rsplit(":", 1)[0].strip("[]") for url in self.api.urls()), "127.0.0.1")


def is_lasting(record: Record, now: str) -> bool:
    """Whether its path still is that of the volume. After a boot a name like /dev/sda may be another's; one that names
    the device by what it is, or that the task gave, is not."""
    given = record.connection.get("driver_volume_type") == "local"
    return bool(record.path) and (record.boot == now or given or record.path.startswith(STABLE))


def disk_of(record: Record | None) -> Disk | None:
    """The block device of a volume, if it is connected."""
    found = find_disk(record.path) if record and is_lasting(record, boot()) else None
    header = record.found.get("header", 0) if record else 0
    return replace(found, size=found.size + header, header=header) if found else None


def device_of(wanted: Volume, kind: str, source: str, extensions: Container[str] = ()) -> dict[str, str]:
    """The volume as LXD has it. Not required: an instance shall start, and can be repaired, without it.
    ``extensions``: of the server's API."""
    common = {VOLUME: wanted.id, "source": source, "required": "false", **({TAG: wanted.tag} if wanted.tag else {})}
    if kind == "container" and wanted.mode == "block":
        return {"type": "unix-block", "path": wanted.path or f"/dev/{wanted.device}", **common}
    switches = {"readonly": wanted.readonly, "shift": wanted.shift}
    options = {option: "true" for option, on in switches.items() if on}
    options |= {key: value for key, value in wanted.limits.items() if value is not None}
    options |= cached(kind, extensions)
    options |= {BOOT: str(wanted.boot_priority)} if wanted.boot_priority is not None else {}
    return {"type": "disk", **({"path": wanted.path} if wanted.mode == "filesystem" else {}), **common, **options}


def placeholder(volume: str) -> dict[str, str]:
    """What an instance has in a volume's place while nothing may use that."""
    return {VOLUME: volume, "type": "none"}


def own_device(wanted: Volume, current: Attachment) -> tuple[str, Mapping[str, str]] | None:
    """The device of the instance that is the volume, and its name."""
    return find_device(current.instance.devices, wanted.id)


def find_device(devices: Mapping[str, Mapping[str, str]], volume: str) -> tuple[str, Mapping[str, str]] | None:
    """The device that is a volume, and its name."""
    for name, device in sorted(devices.items()):
        if device.get(VOLUME) == volume:
            return name, device
    return None


def container_name(project: str, name: str) -> str:
    """The name that LXC has for a container."""
    return name if project == "default" else f"{project}_{name}"


def others(current: Attachment) -> tuple[User, ...]:
    """The users of the volume besides the instance."""
    return tuple(
        user for user in current.users if (user.project, user.instance) != (current.project, current.instance.name)
    )


def here(users: Sequence[User], member: str) -> tuple[User, ...]:
    """Those of this host: of a cluster's members each has volumes of its own."""
    return tuple(user for user in users if not member or user.location == member)


def users_of(instances: Sequence[Mapping[str, Any]]) -> dict[str, tuple[User, ...]]:
    """The users of each volume, from the API's list of all instances."""
    found: dict[str, list[User]] = {}
    for data in instances:
        for name, device in data["devices"].items():
            if VOLUME in device:
                user = User(data.get("project", "default"), data["name"], name, data.get("location", ""))
                found.setdefault(device[VOLUME], []).append(user)
    return {volume: tuple(sorted(users, key=lambda user: user.text)) for volume, users in found.items()}


def matches(record: Record, connection: Mapping[str, Any]) -> bool:
    """Whether a volume was connected by what a task says now, and is encrypted or not; in the words of JSON."""
    return _what(json.loads(json.dumps(without_secrets(connection)))) == _what(record.connection)


def leads_to_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two connections lead to one volume of a storage, by the names that both give, whatever way they go."""
    if one.get("driver_volume_type") != other.get("driver_volume_type"):
        return False
    mine, its = (json.loads(json.dumps(connection.get("data", {}))) for connection in (one, other))
    common = {key for key in (*NAMING, *TELLING) if key in mine and key in its}
    return not common.isdisjoint(NAMING) and all(mine[key] == its[key] for key in common)


def _what(connection: Mapping[str, Any]) -> dict[str, Any]:
    """Not how it is opened."""
    return {**connection, "encryption": connection.get("encryption", {}).get("type")}


def view(wanted: Volume, current: Attachment) -> dict[str, Any]:
    """An attachment as results and diffs show it."""
    own = own_device(wanted, current)
    shown: dict[str, Any] = {"volume": wanted.id, "instance": wanted.instance}
    connected = current.record is not None
    if own is None:
        return {**shown, "state": "detached", "connected": connected}
    name, device = own
    options = {
        "path": device.get("path"),
        "readonly": device.get("readonly") == "true",
        "shift": device.get("shift") == "true",
        "tag": device.get(TAG),
        "limits": {key.partition(".")[2]: device[key] for key in LIMITS if key in device},
        "boot_priority": int(device[BOOT]) if BOOT in device else None,
    }
    mode = "filesystem" if device["type"] == "disk" and "path" in device else "block"
    shown |= {"state": "attached", "connected": connected, "device": name, "mode": mode, **options}
    if wanted.size and current.disk:
        # What there is of the size that was asked for: storages give more.
        shown["size"] = min(wanted.size, current.disk.size)
    return shown
