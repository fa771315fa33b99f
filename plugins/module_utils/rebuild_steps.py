# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps of a rebuild by a second root. Until the successor has the name and starts, the old one is the instance."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .errors import LxdError, OperationFailed, TimedOut
from .instance import Current
from .instance_edit import root_name
from .instance_power import Power
from .instance_record import FLEET, HOME, NEVER_USED
from .instance_steps import Create, Delete
from .instance_write import rewrite
from .rebuild import (
    Journal,
    Names,
    Roots,
    held,
    itself,
    journal_of,
    noted,
    other_macs,
    released,
    with_addresses,
    without_addresses,
)
from .rebuild_write import become, hold, journal_at, note, release, rename, restart, strip
from .steps import Api


@dataclass(frozen=True)
class Begin:
    """Note on the instance that it is rebuilt. An ephemeral one would vanish when it stops: it is not meanwhile."""

    name: str
    journal: Journal

    @property
    def text(self) -> str:
        return f"note on {self.name} that it is rebuilt"

    def effect(self, roots: Roots) -> Roots:
        instance = replace(roots.instance, config=noted(roots.instance.config, self.journal), ephemeral=False)
        return replace(roots, instance=instance)

    def run(self, on: Api) -> None:
        note(on, self.name, self.journal)


@dataclass(frozen=True)
class Drop:
    """Remove a successor that never was the instance."""

    name: str

    @property
    def text(self) -> str:
        return f"delete the unfinished successor {self.name}"

    def effect(self, roots: Roots) -> Roots:
        return replace(roots, successor=Current(name=self.name, server=roots.successor.server))

    def run(self, on: Api) -> None:
        Delete(self.name).run(on)


@dataclass(frozen=True)
class Make:
    """Make the successor from the image: stopped, held back, and with all that is declared."""

    create: Create
    names: Names
    source: str

    @property
    def text(self) -> str:
        return f"create {self.create.result.name} from {self.source}"

    def effect(self, roots: Roots) -> Roots:
        return replace(roots, successor=self.create.result)

    def run(self, on: Api) -> None:
        try:
            self.create.run(on)
        except TimedOut:
            raise  # The server is still at it: the next run waits for it, and goes on.
        except LxdError as error:
            undo(on, self.names, error)
            raise


@dataclass(frozen=True)
class Switch:
    """Stop the old one, give its name and identity to the successor, start that. One step, since what fails before the
    successor runs must bring the old one back. Goes on from wherever an earlier run was cut short."""

    names: Names
    journal: Journal
    stop: tuple[Power, ...] = ()
    start: tuple[Power, ...] = ()

    @property
    def text(self) -> str:
        words = [*(step.text for step in self.stop), f"put the new root in the place of {self.names.instance}"]
        return ", ".join([*words, *(step.text for step in self.start)])

    def effect(self, roots: Roots) -> Roots:
        came = journal_of(roots.instance.config)
        if came is not None and came.phase == "old":
            name = self.names.predecessor
            config = {**held(roots.instance.config, came), **other_macs(name, roots.instance.config)}
            devices = without_addresses(roots.instance.devices, came)
            old = replace(roots.instance, name=name, power="stopped", config=config, devices=devices)
            new = roots.successor
        else:
            old, new = roots.predecessor, roots.successor if roots.successor.exists else roots.instance
        config = noted({**new.config, **itself(self.journal)}, self.journal.at("arrived"))
        new = replace(new, name=self.names.instance, config=config, devices=with_addresses(new.devices, self.journal))
        for step in self.start:
            new = step.effect(new)
        gone = Current(name=self.names.successor, server=roots.instance.server)
        return replace(roots, instance=new, successor=gone, predecessor=old, snapshots=(), backups=())

    def run(self, on: Api) -> None:
        try:
            self._switch(on)
        except TimedOut:
            raise
        except LxdError as error:
            undo(on, self.names, error)
            raise
        start(on, self.names, self.start)

    def _switch(self, on: Api) -> None:
        names = self.names
        for step in self.stop:
            step.run(on)
        old = journal_at(on, names.instance)
        if old is not None and old.phase == "old":
            hold(on, names.instance, old)
            rename(on, names.instance, names.predecessor)
        if journal_at(on, names.predecessor) is not None:
            strip(on, names.predecessor)
        if journal_at(on, names.successor) is not None:
            rename(on, names.successor, names.instance)
        become(on, names.instance, self.journal.at("arrived"))


@dataclass(frozen=True)
class Start:
    """Start the new root that an earlier run has put in its place."""

    names: Names
    start: tuple[Power, ...]

    @property
    def text(self) -> str:
        return ", ".join(step.text for step in self.start)

    def effect(self, roots: Roots) -> Roots:
        instance = roots.instance
        for step in self.start:
            instance = step.effect(instance)
        return replace(roots, instance=instance)

    def run(self, on: Api) -> None:
        start(on, self.names, self.start)


@dataclass(frozen=True)
class Retire:
    """Delete the old one; or keep it, as an instance of its own without anything that could clash."""

    name: str
    keep: bool
    devices: dict[str, dict[str, str]] = field(default_factory=dict)
    """The local devices of one that is kept."""

    @property
    def text(self) -> str:
        return f"keep the old instance as {self.name}" if self.keep else f"delete the old root {self.name}"

    def effect(self, roots: Roots) -> Roots:
        old = Current(name=self.name, server=roots.predecessor.server)
        if self.keep:
            old = replace(roots.predecessor, config=retired(roots.predecessor.config), devices=self.devices)
        return replace(roots, predecessor=old)

    def run(self, on: Api) -> None:
        if not self.keep:
            Delete(self.name).run(on)
            return
        own = {"volatile.uuid": str(uuid.uuid4())}
        rewrite(on, self.name, lambda config: {**retired(config), **own}, devices=self.devices)


@dataclass(frozen=True)
class Finish:
    """Take the notes off the instance."""

    name: str

    @property
    def text(self) -> str:
        return f"take the notes of the rebuild off {self.name}"

    def effect(self, roots: Roots) -> Roots:
        instance, journal = roots.instance, journal_of(roots.instance.config)
        if journal is None:
            return roots
        config = released(instance.config, journal)
        return replace(roots, instance=replace(instance, config=config, ephemeral=journal.ephemeral))

    def run(self, on: Api) -> None:
        release(on, self.name)


@dataclass(frozen=True)
class BringBack:
    """Give the old one its name again, where its successor is lost."""

    names: Names
    journal: Journal

    @property
    def text(self) -> str:
        return f"bring {self.names.instance} back as it was"

    def effect(self, roots: Roots) -> Roots:
        old = roots.predecessor
        back = replace(old, name=self.names.instance, power=self.journal.power)
        config = {**released(old.config, self.journal), **itself(self.journal)}
        devices = with_addresses(old.devices, self.journal)
        back = replace(back, config=config, devices=devices, ephemeral=self.journal.ephemeral)
        gone = [Current(name=name, server=old.server) for name in (self.names.successor, self.names.predecessor)]
        return replace(roots, instance=back, successor=gone[0], predecessor=gone[1])

    def run(self, on: Api) -> None:
        bring_back(on, self.names)


def devices_kept(old: Current) -> dict[str, dict[str, str]]:
    """The local devices of an old instance that is kept: its root, and nothing of what profiles give besides."""
    root = root_name(old.expanded_devices)
    local = {name: dict(device) for name, device in old.devices.items() if name == root}
    return {**local, **{name: {"type": "none"} for name in old.expanded_devices if name not in (root, *local)}}


def retired(config: Mapping[str, str]) -> dict[str, str]:
    """The config of an old instance that is kept: it never starts by itself, and belongs to no fleet."""
    journal = journal_of(config)
    own = released(config, journal) if journal else dict(config)
    return {**{key: value for key, value in own.items() if key not in (FLEET, HOME)}, "boot.autostart": "false"}


def start(on: Api, names: Names, steps: tuple[Power, ...]) -> None:
    """Start the new root. Where that fails and it never ran, the old one is brought back."""
    never = on.get(f"instances/{names.instance}")["last_used_at"].startswith(NEVER_USED)
    try:
        for step in steps:
            step.run(on)
    except OperationFailed as error:
        if never and on.get(f"instances/{names.instance}")["status"] == "Stopped":
            undo(on, names, error)
        raise


def undo(on: Api, names: Names, error: LxdError) -> None:
    """Bring the old one back as it was, and say so in the error."""
    try:
        bring_back(on, names)
    except LxdError as other:
        error.message += f". {names.instance} could not be brought back: {other.message}"
        return
    error.message += f". {names.instance} is as it was"


def bring_back(on: Api, names: Names) -> None:
    """Remove the successor; then the old one has its name again, its addresses, power and config."""
    there = journal_at(on, names.instance)
    old = journal_at(on, names.predecessor)
    if there is not None and there.phase != "old" and old is not None:
        Delete(names.instance).run(on)
    if journal_at(on, names.successor) is not None:
        Delete(names.successor).run(on)
    if old is not None:
        rename(on, names.predecessor, names.instance)
        become(on, names.instance, old)
    restart(on, names.instance)
    release(on, names.instance)
