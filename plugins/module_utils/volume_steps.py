# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps that connect a volume, plug it into an instance, and take both back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from .block import Disk, boot, find_disk, holders_after, stable_path, unwritten
from .block_paths import unanswered
from .errors import LxdError, NotFound, OperationFailed, Refused, TimedOut
from .filesystem import content_of, grow_filesystem, make_filesystem
from .instance_write import insist, replace_instance, rewrite, writable
from .volume import Attachment, Host, User, Volume, device_of, disk_of, leads_to_same
from .volume_cinder import claimed, completed, forget, key_of, relinquish
from .volume_devices import VOLUME, released, with_released
from .volume_record import Record
from .volume_secrets import without_secrets

GRACE = 10.0
"""Seconds for the kernel to let go of what was taken out of an instance."""
UNKNOWN = "as os-brick will tell"
"""Stands in predictions for the path of a block device that is not there yet."""


@dataclass(frozen=True)
class Attach:
    """Connect a volume and plug it in: one step, since the device needs the path that the connection gives, and what
    fails takes back what was done."""

    wanted: Volume
    project: str
    server: str
    root: int
    """The user of the host that the container's root is."""
    alone: bool
    """Whether nothing else on this host uses the volume, so that what fails disconnects it."""
    plugged: bool
    lost: bool = False
    """Whether it is plugged in, and its block device has gone."""

    @property
    def text(self) -> str:
        wanted = self.wanted
        if self.plugged:
            return f"connect volume {wanted.id} of {wanted.instance} again"
        how = f" on {wanted.path}" if wanted.path else ""
        made = f", formatted as {wanted.fstype} if it is blank" if wanted.format else ""
        return f"attach volume {wanted.id} to {wanted.instance} as a {_kind(wanted)}{how}{made}"

    def effect(self, current: Attachment) -> Attachment:
        wanted = self.wanted
        disk = current.disk or Disk(UNKNOWN, "", wanted.size)
        record = current.record or Record(wanted.id, wanted.device, self.server, without_secrets(wanted.connection))
        name = next((user.device for user in current.users if self._is_mine(user)), wanted.device)
        device = device_of(wanted, current.instance.type, disk.path, current.instance.server.extensions)
        user = User(self.project, wanted.instance, name, current.instance.location)
        config = with_released(current.instance.config, released(current.instance.config) - {name})
        devices = {**current.instance.devices, name: device}
        return replace(
            current,
            instance=replace(current.instance, devices=devices, config=config),
            users=(*(user for user in current.users if not self._is_mine(user)), user),
            record=replace(record, path=disk.path),
            disk=replace(disk, size=max(disk.size, wanted.size)),
            filesystem=None,
        )

    def run(self, on: Host) -> None:
        wanted = self.wanted
        record = self.record(on)
        try:
            disk, record = self.connect(on, record)
            self._prepare(on, disk, record)
            if self.lost:
                # The server plugs in again only what it is told to.
                write_device(on, wanted.instance, wanted.id, None)
            self.plug(on, disk.path)
        except TimedOut:
            raise  # The server may still be plugging it in: what it is then, the next run sees.
        except LxdError as error:
            self._undo(on, error)
            raise

    def record(self, on: Host) -> Record:
        """The record of it, which is there before it is connected."""
        wanted = self.wanted
        record = on.records.find(wanted.id, wanted.device)
        if record is None:
            record = Record(wanted.id, wanted.device, self.server, without_secrets(wanted.connection))
            on.records.write(record)
        elif record.awaits:
            record = replace(record, awaits="")
            on.records.write(record)
        return record

    def plug(self, on: Host, path: str, instead: str = "") -> None:
        """Let the instance have it, in the place of another volume where that is said."""
        wanted = self.wanted
        data = on.api.get(f"instances/{wanted.instance}")
        try:
            device = device_of(wanted, data["type"], path, on.api.extensions)
            write_device(on, wanted.instance, wanted.id, device, instead)
        except OperationFailed as error:
            # lxd/device/disk.go startContainer; a stopped one would not start.
            if not wanted.shift or "idmapping" not in error.message.lower():
                raise
            raise Refused(
                f"{wanted.instance}: {wanted.id}: shift: this server and its kernel cannot shift the filesystem of "
                f"{path}. The nearest that works is a blank volume with format: true, whose root belongs to the "
                f"container's, or files that belong to its users of the host. The server says: {error.message}",
                option="shift",
            ) from None
        note_released(on, wanted.instance, _name(data["devices"], wanted.id), gone=False)
        completed(on, wanted, self.project)

    def connect(self, on: Host, record: Record) -> tuple[Disk, Record]:
        """The block device, connected if it is not, and the record of it."""
        wanted, record = claimed(on, self.wanted, self.project, record)
        disk = disk_of(record)
        if disk is not None:
            return disk, record
        found = on.brick.connect(wanted.connection)
        path = stable_path(found["path"])
        self._check_other(on, find_disk(path))
        record = replace(record, connection=wanted.connection, found=found, path=path, boot=boot())
        disk = disk_of(record)
        on.records.write(record)
        if disk is None:
            raise OperationFailed(f"{self.wanted.id}: it was connected as {path}, which is no block device with a size")
        return disk, record

    def _check_other(self, on: Host, disk: Disk | None) -> None:
        """Refuses a block device that is another volume's. The record has no path yet, so it stays connected."""
        for other in on.records.all():
            found = disk_of(other) if other.volume != self.wanted.id else None
            if found and disk and found.number == disk.number:
                raise Refused(
                    f"{self.wanted.instance}: {self.wanted.id}: connection: it leads to {disk.path}, which is "
                    f"connected as volume {other.volume}",
                    option="connection",
                    found=other.volume,
                )

    def _prepare(self, on: Host, disk: Disk, record: Record) -> None:
        wanted = self.wanted
        # A run that was killed may have left its mkfs at work.
        held = holders_after(disk, GRACE) if self.alone and not self.plugged else ()
        if held:
            raise Refused(
                f"{wanted.instance}: {wanted.id}: {disk.path} is in use on this host: {'; '.join(held)}.",
                found=list(held),
            )
        if disk.size < wanted.size:
            grow_device(on, wanted)
        if wanted.mode != "filesystem":
            return
        content = content_of(disk.path)
        if wanted.format and (not content or record.formatting):
            # Else what is half made by a run that is killed would be taken for data.
            on.records.write(replace(record, formatting=True))
            make_filesystem(disk.path, wanted.fstype, 0 if wanted.shift else self.root)
            on.records.write(replace(record, formatting=False))
        elif not content or (wanted.fstype and content != wanted.fstype):
            found = content or "nothing: it is blank"
            raise Refused(
                f"{wanted.instance}: {wanted.id}: fstype: found {found}, the task says {wanted.fstype or '(any)'}"
                + ("; say format: true to have one made" if not content else "; what is there is never formatted"),
                option="fstype",
                found=content,
            )

    def _undo(self, on: Host, error: LxdError) -> None:
        """Take back what this step did; what others use stays."""
        wanted = self.wanted
        with taking_back(error):
            if not self.plugged:
                write_device(on, wanted.instance, wanted.id, None)
            record = on.records.find(wanted.id, wanted.device)
            if record is None or self.plugged:
                return
            if self.alone:
                undo_connection(on, record, error)
            else:
                relinquish(on, record, key_of(self.project, wanted.instance))

    def _is_mine(self, user: User) -> bool:
        return (user.project, user.instance) == (self.project, self.wanted.instance)


@dataclass(frozen=True)
class Unplug:
    """Take the device out of an instance, when all is written that it wrote. The host stays connected."""

    instance: str
    project: str
    device: str
    volume: str
    disk: Disk | None = None
    """The block device, unless what is not written may be lost."""

    @property
    def text(self) -> str:
        return f"detach volume {self.volume} from {self.instance}"

    def effect(self, current: Attachment) -> Attachment:
        devices = {name: device for name, device in current.instance.devices.items() if name != self.device}
        gone = (self.project, self.instance)
        users = tuple(user for user in current.users if (user.project, user.instance) != gone)
        return replace(current, instance=replace(current.instance, devices=devices), users=users, busy=())

    def run(self, on: Host) -> None:
        if self.disk:
            _check_written(self.volume, self.disk, f"attached to {self.instance}")
        write_device(on, self.instance, self.volume, None)


@dataclass(frozen=True)
class Disconnect:
    """Disconnect a volume that no instance has, once nobody holds its block device, and forget it."""

    record: Record
    force: bool = False

    @property
    def text(self) -> str:
        return f"disconnect volume {self.record.volume}"

    def effect(self, current: Attachment) -> Attachment:
        return replace(current, record=None, disk=None)

    def run(self, on: Host) -> None:
        release(on, self.record, self.force)


@dataclass(frozen=True)
class Extend:
    """Let the host see that a volume has grown, and its filesystem fill it."""

    wanted: Volume
    record: Record

    @property
    def text(self) -> str:
        return f"extend volume {self.wanted.id} to {self.wanted.size} bytes or more"

    def effect(self, current: Attachment) -> Attachment:
        size = self.wanted.size
        disk = replace(current.disk, size=max(current.disk.size, size)) if current.disk else None
        return replace(current, disk=disk, filesystem=None)

    def run(self, on: Host) -> None:
        disk = disk_of(self.record)
        if disk is None:
            raise NotFound(f"{self.wanted.id}: {self.record.path} is gone")
        if disk.size < self.wanted.size:
            disk = grow_device(on, self.wanted)
        if self.wanted.mode == "filesystem":
            grow_filesystem(disk.path)


def grow_device(on: Host, wanted: Volume) -> Disk:
    """The block device, as large as asked for."""
    record = on.records.find(wanted.id, wanted.device)
    disk = disk_of(record)
    why = unanswered(disk, every=True) if disk else ""  # os-brick extends no volume of which a path is down.
    if why:
        raise OperationFailed(
            f"{wanted.id}: size: it cannot be extended now: {why}. Run the task again when that is back", found=why
        )
    known = {key: record.connection[key] for key in ("driver_volume_type", "data")} if record and wanted.cinder else {}
    on.brick.extend({**wanted.connection, **known})
    found = disk_of(record)
    if found is None or found.size < wanted.size:
        raise OperationFailed(
            f"{wanted.id}: size: found {found.size if found else 0} bytes, the task says {wanted.size}: the storage "
            "has not grown the volume, or does not tell this host",
            option="size",
            found=found.size if found else 0,
        )
    return found


def release(on: Host, record: Record, force: bool, unused: bool = False) -> None:
    """Disconnect a volume and forget it. Refuses, and leaves it connected, while anybody holds it, or what is not
    written yet cannot be; ``unused``: no instance has had it."""
    disk = disk_of(record)
    left = holders_after(disk, GRACE) if disk and not force else ()
    if left:
        raise OperationFailed(
            f"{record.volume}: it is still connected as {record.path}, and held: {'; '.join(left)}. End that and run "
            "the task again, or say force: true and lose what is not written yet",
            found=list(left),
        )
    if disk and not force and not unused:
        _check_written(record.volume, disk, f"connected as {record.path}")
    # What was never seen connected may be half so. Or not at all, and the device is there as another volume.
    if record.connection.get("driver_volume_type") and (record.path or not _is_anothers(on, record)):
        on.brick.disconnect(record.connection, record.found, force or not record.path)
    forget(on, record)


def _check_written(volume: str, disk: Disk, how: str) -> None:
    why = unanswered(disk) or unwritten(disk)
    if why:
        raise OperationFailed(
            f"{volume}: it is still {how}: what this host has not written to it yet cannot be written: {why}. Run the "
            "task again when the storage answers, or say force: true and lose that",
            found=why,
        )


def undo_connection(on: Host, record: Record, error: LxdError) -> None:
    """Disconnect and forget what a step connected that failed with an error."""
    if isinstance(error, Refused) and not record.path:
        forget(on, record)  # os-brick could not even begin.
    else:
        release(on, record, force=False, unused=True)


@contextmanager
def taking_back(error: LxdError) -> Iterator[None]:
    """What fails while the work of a step that failed is taken back is told with the error that is the reason."""
    try:
        yield
    except LxdError as second:
        raise OperationFailed(
            f"{error.message} What was done could not be taken back: {second.message}", **error.details
        ) from None


def _is_anothers(on: Host, record: Record) -> bool:
    """Whether a volume that was connected is at the end of the same connection."""
    return any(
        disk_of(other) and leads_to_same(other.connection, record.connection)
        for other in on.records.all()
        if other.volume != record.volume
    )


def write_device(on: Host, instance: str, volume: str, device: Mapping[str, str] | None, instead: str = "") -> None:
    """Let an instance have the device of a volume, or none. ``instead``: a volume whose device goes by the same
    write."""
    gone = (volume, instead or volume)

    def write() -> None:
        found = on.api.find_tagged(f"instances/{instance}")
        if found is None:
            if device is None:
                return
            raise NotFound(f"{instance} is no longer on {on.name}")
        data, etag = found
        devices = {name: one for name, one in data["devices"].items() if one.get(VOLUME) not in gone}
        if device is not None:
            devices[_name(data["devices"], volume)] = dict(device)
        if devices != data["devices"]:
            replace_instance(on.api, instance, {**writable(data), "devices": devices}, etag, data)

    insist(write)


def note_released(on: Host, instance: str, device: str, gone: bool) -> None:
    """Note on the instance whether the volume of a device is disconnected from its host."""
    found = on.api.get(f"instances/{instance}")
    now = released(found["config"])
    wanted = now | {device} if gone else now - {device}
    if wanted != now:
        rewrite(on.api, instance, lambda config: with_released(config, wanted))


def _name(devices: Mapping[str, Any], volume: str) -> str:
    found = next((name for name, device in devices.items() if device.get(VOLUME) == volume), "")
    return found or Volume("", volume).device


def _kind(wanted: Volume) -> str:
    return "filesystem" if wanted.mode == "filesystem" else "block device"
