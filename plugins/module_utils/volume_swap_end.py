# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What ends a swap of volumes, or one that was cut short: the old volume comes back, or the new one is in its place."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from .errors import TimedOut
from .instance_power import thaw
from .volume import Attachment, Host, Volume, find_device, placeholder
from .volume_record import Record
from .volume_steps import release, write_device

PATIENCE = 1.0
"""Seconds that the watchdog waits for the lock of the host."""


@dataclass(frozen=True)
class GiveBack:
    """Let an instance have the volume that a run which was cut short had taken out, and go on."""

    instance: str
    new: str
    old: str
    device: Mapping[str, str]
    froze: bool

    @property
    def text(self) -> str:
        return f"give {self.instance} back volume {self.old}, of which a copy was cut short"

    def effect(self, current: Attachment) -> Attachment:
        def back(side: Attachment) -> Attachment:
            instance = side.instance
            name = next((name for name, one in instance.devices.items() if one == placeholder(self.old)), "")
            power = "running" if self.froze and instance.power == "frozen" else instance.power
            devices = {**instance.devices, name: dict(self.device)} if name else instance.devices
            return replace(side, instance=replace(instance, devices=devices, power=power), taken={})

        return replace(back(current), replaced=back(current.replaced) if current.replaced else None)

    def run(self, on: Host) -> None:
        give_back(on, self.instance, self.new, self.old, self.device)
        if self.froze:
            _thaw_if_frozen(on, self.instance)


@dataclass(frozen=True)
class EndSwap:
    """Note that a volume has taken another one's place, which the run that did it did not come to."""

    wanted: Volume
    froze: bool

    @property
    def text(self) -> str:
        return f"end the copy to volume {self.wanted.id}, which has its place in {self.wanted.instance}"

    def effect(self, current: Attachment) -> Attachment:
        instance = current.instance
        power = "running" if self.froze and instance.power == "frozen" else instance.power
        record = replace(current.record, replaces={}) if current.record else None
        return replace(current, instance=replace(instance, power=power), record=record)

    def run(self, on: Host) -> None:
        if self.froze:
            _thaw_if_frozen(on, self.wanted.instance)
        record = on.records.find(self.wanted.id, self.wanted.device)
        if record:
            on.records.write(replace(record, replaces={}))


@dataclass(frozen=True)
class Retire:
    """Disconnect the volume that was replaced."""

    record: Record
    force: bool = False

    @property
    def text(self) -> str:
        return f"disconnect volume {self.record.volume}"

    def effect(self, current: Attachment) -> Attachment:
        old = replace(current.replaced, record=None, disk=None) if current.replaced else None
        return replace(current, replaced=old)

    def run(self, on: Host) -> None:
        release(on, self.record, self.force)


def give_back(on: Host, instance: str, new: str, old: str, device: Mapping[str, str]) -> bool:
    """Let an instance have the old volume, unless it has the new one: whether it has."""
    on.api.settle(f"instances/{instance}")
    data = on.api.find(f"instances/{instance}")
    if data is None:
        return False
    if find_device(data["devices"], new):
        return True
    found = find_device(data["devices"], old)
    if found and found[1] == placeholder(old):
        write_device(on, instance, old, device)
    return False


def give_up(on: Host, record: Record, wanted: Volume) -> None:
    """What the watchdog does, in a process of its own."""
    own = replace(on, api=on.api.twin(), records=on.records.twin())
    # Whoever has the lock may be the process that is watched, and hangs, or at work on another volume: then what the
    # journal says is enough, since a run that goes on with this one names itself there before it freezes anything.
    with suppress(TimedOut):
        own.records.hold(PATIENCE)
    try:
        found = own.records.find(wanted.id, wanted.device)
        if found is None or found.replaces != record.replaces:
            return
        give_back(own, wanted.instance, wanted.id, record.replaces["volume"], record.replaces["device"])
        if record.replaces["froze"]:
            _thaw_if_frozen(own, wanted.instance)
    finally:
        own.records.release()


def _thaw_if_frozen(on: Host, name: str) -> None:
    on.api.settle(f"instances/{name}")
    data = on.api.find(f"instances/{name}")
    if data and data["status"] == "Frozen":
        thaw(on.api, name)
