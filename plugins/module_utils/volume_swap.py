# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps that put another volume, with the same content, in the place of one that an instance has.

The server mirrors no disk, so the last of the copy is made while nothing can write: the guest is frozen, the old volume
is out of it, and nobody on the host holds it. Meanwhile the instance has a device without function that says whose
place it keeps. The new volume's record is the journal; ``run`` in it names this run, by which a watchdog that comes
late knows that another run is at work.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from .block import Disk, holders_after, processes_using
from .block_copy import Copy
from .errors import LxdError, OperationFailed, Refused, TimedOut
from .filesystem import content_of, filesystem_size, grow_filesystem
from .instance_power import thaw
from .volume import LIMITS, Attachment, Host, Volume, container_name, disk_of, own_device, placeholder
from .volume_cinder import forget
from .volume_limits import Unlimit
from .volume_record import Record
from .volume_steps import GRACE, Attach, release, taking_back, write_device
from .volume_swap_end import give_back, give_up
from .watchdog import watched

TRIES, PAUSE = 20, 0.1
"""How often it looks for a moment in which no process of the guest has the old volume open, with how many seconds
between."""
MARGIN = 30.0
"""Seconds after which the watchdog does what this process should have done."""
STRIDE = 1 << 30
"""How many bytes are copied between two notes of it."""
UNBOUND = 7 * 86400.0
"""Seconds that a guest that does not run may be without the volume."""


@dataclass(frozen=True)
class Swap:
    """Copy an instance's volume to another one, which takes its place. One step, since what fails on the way gives the
    instance the old one back, and nothing stays frozen."""

    attach: Attach
    """How the new volume is connected and plugged in."""
    old: Record
    device: Mapping[str, str]
    """The old volume's device."""
    freezes: bool
    pause: float
    """The most seconds that a guest which is frozen for this stands still."""

    @property
    def text(self) -> str:
        wanted = self.attach.wanted
        how = f", frozen for at most {self.pause:g} seconds" if self.freezes else ""
        return f"copy volume {self.old.volume} of {wanted.instance} to {wanted.id}, which takes its place{how}"

    def effect(self, current: Attachment) -> Attachment:
        before = without_device(current, self.old.volume)
        old = without_device(current.replaced, self.old.volume) if current.replaced else None
        after = self.attach.effect(before)
        record = replace(after.record, replaces={}) if after.record else None
        return replace(after, record=record, replaced=old)

    def run(self, on: Host) -> None:
        source, (target, record) = self._source(), self._connect(on)
        copy = Copy(source.path, target.path)
        try:
            if not record.replaces:
                self._check_blank(target)
                record = self._note(on, record, froze=False)
            copy.first(partial(self._tell, on, record))
            self._switch(on, copy, record)
        except LxdError as error:
            self._undo(on, copy, error)
            raise
        self._end(on)

    def _source(self) -> Disk:
        disk = disk_of(self.old)
        if disk is None:
            raise OperationFailed(f"{self.old.volume}: {self.old.path} is gone, so it cannot be copied")
        fstype = self.attach.wanted.fstype
        content = content_of(disk.path) if fstype else ""
        if content != fstype:
            raise Refused(
                f"{self._where}: fstype: found {content or 'nothing'} on {self.old.volume}, the task says {fstype}",
                option="fstype",
                found=content,
            )
        return disk

    def _connect(self, on: Host) -> tuple[Disk, Record]:
        """The new volume's block device, which nobody may use."""
        wanted = self.attach.wanted
        found = on.records.find(wanted.id, wanted.device)
        try:
            disk, record = self.attach.connect(on, found or self.attach.record(on))
            held = holders_after(disk, GRACE)
            if held:
                raise Refused(f"{self._where}: {disk.path} is in use on this host: {'; '.join(held)}", found=list(held))
        except LxdError as error:
            self._undo(on, None, error)
            raise
        return disk, record

    def _check_blank(self, target: Disk) -> None:
        content = content_of(target.path)
        if content:
            raise Refused(
                f"{self._where}: found {content} on it, allowed is a blank volume: what is there is never overwritten. "
                f"If nobody needs it, wipe it (wipefs, and zeros on the first and last MiB of {target.path})",
                option="volume",
                found=content,
            )

    def _switch(self, on: Host, copy: Copy, record: Record) -> None:
        wanted = self.attach.wanted
        limit = self.pause if self.freezes else UNBOUND
        record = self._note(on, record, froze=self.freezes)
        end = time.monotonic() + limit
        with watched(limit + MARGIN, partial(give_up, on, record, wanted)) as over:
            try:
                with self._frozen(on):
                    self._exchange(on, copy, end)
            finally:
                over()

    def _exchange(self, on: Host, copy: Copy, end: float) -> None:
        """What happens while the guest stands still; it does not go on without one of the two."""
        wanted, done = self.attach.wanted, False
        try:
            write_device(on, wanted.instance, self.old.volume, placeholder(self.old.volume))
            source = disk_of(self.old)
            left = holders_after(source, GRACE) if source else (f"{self.old.path} is gone",)
            if left:
                raise OperationFailed(
                    f"{self._where}: {self.old.volume} is still held: {'; '.join(left)}", found=list(left)
                )
            copy.last(partial(self._in_time, end))
            if wanted.mode == "filesystem" and wanted.size and filesystem_size(copy.target) is not None:
                grow_filesystem(copy.target)
            self._in_time(end)
            self._check_still(on)
            self.attach.plug(on, copy.target, instead=self.old.volume)
            done = True
            if self.freezes and source and any(key in self.device for key in LIMITS):
                Unlimit(wanted.instance, source.number).run(on)
        finally:
            if not done:
                give_back(on, wanted.instance, wanted.id, self.old.volume, self.device)

    def _check_still(self, on: Host) -> None:
        status = on.api.get(f"instances/{self.attach.wanted.instance}")["status"] if self.freezes else ""
        if self.freezes and status != "Frozen":
            raise OperationFailed(
                f"{self._where}: somebody thawed the instance before the copy was whole", found=status
            )

    @contextmanager
    def _frozen(self, on: Host) -> Iterator[None]:
        """The guest frozen, in a moment in which none of its processes has the old volume open."""
        if not self.freezes:
            yield
            return
        name = self.attach.wanted.instance
        used: tuple[str, ...] = ()
        try:
            for _attempt in range(TRIES):
                on.api.put(f"instances/{name}/state", {"action": "freeze"})
                disk = disk_of(self.old)
                used = processes_using(disk, container_name(self.attach.project, name)) if disk else ()
                if not used:
                    yield
                    return
                thaw(on.api, name)
                time.sleep(PAUSE)
        finally:
            thaw(on.api, name)
        raise Refused(f"{self._where}: {in_use(self.old.volume, used)}", found=list(used))

    def _tell(self, on: Host, record: Record, copied: int) -> None:
        """How far it is: lxd_volume_attachment_info shows it."""
        if copied and copied % STRIDE == 0:
            on.records.write(replace(record, replaces={**record.replaces, "copied": copied}))

    def _in_time(self, end: float, _copied: int = 0) -> None:
        if time.monotonic() > end:
            raise TimedOut(
                f"{self._where}: the rest of {self.old.volume} was not copied within {self.pause:g} seconds, for which "
                "the instance may stand still; swap_pause allows more, or stop the instance for it",
                option="swap_pause",
            )

    def _note(self, on: Host, record: Record, froze: bool) -> Record:
        journal = {"volume": self.old.volume, "device": dict(self.device), "froze": froze, "run": _run_id()}
        record = replace(record, replaces=journal)
        on.records.write(record)
        return record

    def _end(self, on: Host) -> None:
        wanted = self.attach.wanted
        record = on.records.find(wanted.id, wanted.device)
        if record:
            on.records.write(replace(record, replaces={}))

    def _undo(self, on: Host, copy: Copy | None, error: LxdError) -> None:
        """The instance has the old volume, and the new one is blank, or looks so, and is not connected."""
        wanted = self.attach.wanted
        with taking_back(error):
            if give_back(on, wanted.instance, wanted.id, self.old.volume, self.device):
                return  # The new one is in its place after all: the next run ends that.
            record = on.records.find(wanted.id, wanted.device)
            if copy and record and record.replaces:
                copy.forget()
            if record and record.path:
                release(on, record, force=False)
            elif record:
                forget(on, record)

    @property
    def _where(self) -> str:
        return f"{self.attach.wanted.instance}: {self.attach.wanted.id}: replaces"


def in_use(volume: str, used: tuple[str, ...]) -> str:
    """Why a volume cannot be swapped while a process has it open."""
    return (
        f"{volume} is in use, and stays: {'; '.join(used)}. A process keeps what it has opened: end that, or stop "
        "the instance for the swap"
    )


def _run_id() -> str:
    return f"{os.getpid()} {time.time_ns()}"


def without_device(current: Attachment, volume: str) -> Attachment:
    """Its instance without the device of a volume."""
    gone = own_device(Volume("", volume), current)
    if gone is None:
        return current
    devices = {name: one for name, one in current.instance.devices.items() if name != gone[0]}
    expanded = {name: one for name, one in current.instance.expanded_devices.items() if name != gone[0]}
    instance = replace(current.instance, devices=devices, expanded_devices=expanded)
    return replace(current, instance=instance)
