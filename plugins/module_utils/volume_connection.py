# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The host's half of a volume alone: connected for an instance that is to come, disconnected before one goes.

A move of an instance takes both: connected to the target first; then, when the instance has stopped on the source,
disconnected there, which proves that nobody writes to it any more; only then it starts on the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .block import Disk
from .errors import LxdError, Refused
from .steps import Step
from .volume import Attachment, Host, Volume, here, matches, others, own_device
from .volume_cinder import BETWEEN_HOSTS
from .volume_devices import released, with_released
from .volume_record import Record
from .volume_secrets import without_secrets
from .volume_steps import UNKNOWN, Attach, note_released, release, taking_back, undo_connection, write_device

Steps = list[Step[Attachment, Host]]


@dataclass(frozen=True)
class Connect:
    """Connect a volume to the host. The device of an instance that has it already gets the path that it has here."""

    wanted: Volume
    project: str
    server: str
    device: Mapping[str, str] | None
    """The device that the instance has already."""
    name: str
    alone: bool
    is_there: bool
    """Whether the block device is there, so that a note is all that is missing."""
    replug: bool = False
    """Whether the instance runs, and the block device of its device has gone."""

    @property
    def text(self) -> str:
        wanted = self.wanted
        if self.is_there:
            return f"note that volume {wanted.id} is connected for {wanted.instance}"
        return f"connect volume {wanted.id} for {wanted.instance}"

    @property
    def awaits(self) -> str:
        return self.wanted.instance if self.device is None else ""

    def effect(self, current: Attachment) -> Attachment:
        wanted, disk = self.wanted, current.disk or Disk(UNKNOWN, "", 0)
        record = current.record or Record(wanted.id, wanted.device, self.server, without_secrets(wanted.connection))
        instance = current.instance
        if self.device is not None:
            devices = {**instance.devices, self.name: {**self.device, "source": disk.path}}
            config = with_released(instance.config, released(instance.config) - {self.name})
            instance = replace(instance, devices=devices, config=config)
        return replace(
            current, instance=instance, disk=disk, record=replace(record, path=disk.path, awaits=self.awaits)
        )

    def run(self, on: Host) -> None:
        wanted, name = self.wanted, self.name
        if self.device is not None:
            # First: whoever reads the note must be sure that it is disconnected.
            note_released(on, wanted.instance, name, gone=False)
        record = on.records.find(wanted.id, wanted.device)
        new = record is None
        record = record or Record(wanted.id, wanted.device, self.server, without_secrets(wanted.connection))
        record = replace(record, awaits=self.awaits)
        on.records.write(record)
        try:
            attach = Attach(wanted, self.project, self.server, 0, self.alone, plugged=True)
            disk, record = attach.connect(on, record)
        except LxdError as error:
            made = on.records.find(wanted.id, wanted.device) if new and self.device is None else None
            if made:
                with taking_back(error):
                    undo_connection(on, made, error)
            raise
        if self.device is not None:
            if self.replug:
                # The server plugs in again only what it is told to.
                write_device(on, wanted.instance, wanted.id, None)
            write_device(on, wanted.instance, wanted.id, {**self.device, "source": disk.path})


@dataclass(frozen=True)
class Withdraw:
    """Disconnect a volume, once nobody holds its block device, though a stopped instance still has it; and note that on
    the instance."""

    wanted: Volume
    record: Record | None
    """The volume, unless others on the host have it too."""
    name: str

    @property
    def text(self) -> str:
        what = "disconnect" if self.record else "let go of"
        return f"{what} volume {self.wanted.id}, which {self.wanted.instance} leaves behind"

    def effect(self, current: Attachment) -> Attachment:
        instance = current.instance
        if self.name:
            config = with_released(instance.config, released(instance.config) | {self.name})
            instance = replace(instance, config=config)
        if self.record is None:
            return replace(current, instance=instance)
        return replace(current, instance=instance, record=None, disk=None)

    def run(self, on: Host) -> None:
        if self.record is not None:
            release(on, self.record, self.wanted.force)
        if self.name:
            note_released(on, self.wanted.instance, self.name, gone=True)


def connected(wanted: Volume, current: Attachment) -> Steps:
    """The steps to a volume that is connected for an instance, there or to come."""
    where = f"{wanted.instance} on {current.instance.server.name}: {wanted.id}"
    _check_no_cinder(where, current)
    own = own_device(wanted, current)
    record, disk = current.record, current.disk
    if own is None and others(current) and not wanted.shared:
        names = [user.text for user in others(current)]
        raise Refused(
            f"{where}: it is attached to {', '.join(names)}; say shared: true if its filesystem is made for that",
            option="shared",
            found=names,
        )
    if record and record.path and not matches(record, wanted.connection):
        raise Refused(
            f"{where}: connection: it is connected by another connection than this one; detach it everywhere first",
            option="connection",
        )
    there = record is not None and disk is not None
    noted = record is not None and record.awaits == ("" if own else wanted.instance)
    name, device = own or ("", {})
    same = own is None or (record is not None and device.get("source") == record.path)
    if there and noted and same and name not in released(current.instance.config):
        return []
    alone = not here(others(current), current.member)
    lost = own is not None and current.instance.active and disk is None
    return [Connect(wanted, current.project, current.server, dict(device) if own else None, name, alone, there, lost)]


def disconnected(wanted: Volume, current: Attachment) -> Steps:
    """The steps to a volume that is disconnected from the host, whatever the instance has."""
    where = f"{wanted.instance} on {current.instance.server.name}: {wanted.id}"
    _check_no_cinder(where, current)
    own = own_device(wanted, current)
    if own and current.instance.power != "stopped":
        raise Refused(
            f"{where}: the instance has it, and is {current.instance.power}; allowed is stopped. To take it away from "
            "one that runs, say state: detached",
            option="instance",
            found=current.instance.power,
        )
    record = None if here(others(current), current.member) else current.record
    name = own[0] if own else ""
    if record is None and (not own or name in released(current.instance.config)):
        return []
    return [Withdraw(wanted, record, name)]


def _check_no_cinder(where: str, current: Attachment) -> None:
    """Without its attachment a volume is available in Cinder: another could take it while the instance has it."""
    if current.record and current.record.cinder:
        raise Refused(
            f"{where}: cinder: it is connected by {current.record.cinder}, and its attachment there is this host's and "
            f"the instance's. {BETWEEN_HOSTS}",
            option="cinder",
            found=current.record.cinder,
        )
