# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps of a move within a cluster. The cluster moves it; we stop it first and start it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from .errors import LxdError
from .instance import Current
from .instance_power import Power
from .migration import START, Journal, arrived, journal_of, noted
from .migration_steps import hold, note, release, restart
from .steps import Api
from .transfer import once_more


@dataclass(frozen=True)
class Relocate:
    """A task's parameters: which instance shall be on which member."""

    name: str
    member: str
    force: bool = False
    stop_timeout: int = 30
    host_devices: bool = False
    remember_home: bool = False
    only_for_others: tuple[str, ...] = ()
    """Options that were given and have no meaning within a cluster."""


@dataclass(frozen=True)
class Located:
    """An instance, and the members of its cluster with their states, as the server names them, and cordons.
    ``left_behind``: volumes of its that would not come along."""

    instance: Current
    members: Mapping[str, str]
    cordoned: str = ""
    left_behind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Note:
    """Note on the instance what it was before it moves."""

    name: str
    journal: Journal

    @property
    def text(self) -> str:
        return f"note on {self.name} that it moves"

    def effect(self, located: Located) -> Located:
        instance = located.instance
        config = noted(instance.config, self.journal)
        return replace(located, instance=replace(instance, config=config, ephemeral=False))

    def run(self, on: Api) -> None:
        note(on, self.name, self.journal)


@dataclass(frozen=True)
class ToMember:
    """Stop the instance, have the cluster move it, start it. One step, since a move that fails must not leave it
    stopped."""

    name: str
    member: str
    journal: Journal
    stop: tuple[Power, ...]

    @property
    def text(self) -> str:
        start = [f"{action} {self.name} there" for action in START[self.journal.power]]
        return ", ".join([*(step.text for step in self.stop), f"move {self.name} to {self.member}", *start])

    def effect(self, located: Located) -> Located:
        moved = replace(located.instance, location=self.member, power=self.journal.power)
        return replace(located, instance=moved)

    def run(self, on: Api) -> None:
        try:
            for step in self.stop:
                step.run(on)
            hold(on, self.name, self.journal)
            body = {"name": self.name, "migration": True, "live": False}
            once_more(partial(on.post, f"instances/{self.name}", body, target=self.member))
        except LxdError as error:
            self._undo(on, error)
            raise
        restart(on, self.name, self.journal)

    def _undo(self, on: Api, error: LxdError) -> None:
        """Start it again, wherever it is, and say so in the error."""
        try:
            restart(on, self.name, self.journal)
            release(on, self.name)
            where = on.get(f"instances/{self.name}")["location"]
        except LxdError as other:
            error.message += f". {self.name} could not be brought back: {other.message}"
            return
        error.message += f". {self.name} is on {where}, as it was"


@dataclass(frozen=True)
class Restart:
    """Start what an earlier run has moved."""

    name: str
    journal: Journal

    @property
    def text(self) -> str:
        return f"bring {self.name} back to {self.journal.power}"

    def effect(self, located: Located) -> Located:
        return replace(located, instance=located.instance.with_power(self.journal.power))

    def run(self, on: Api) -> None:
        restart(on, self.name, self.journal)


@dataclass(frozen=True)
class Release:
    """Take the notes off."""

    name: str

    @property
    def text(self) -> str:
        return f"take the notes of the move off {self.name}"

    def effect(self, located: Located) -> Located:
        instance, journal = located.instance, journal_of(located.instance.config)
        if journal is None:
            return located
        config = arrived(instance.config, journal)
        return replace(located, instance=replace(instance, config=config, ephemeral=journal.ephemeral))

    def run(self, on: Api) -> None:
        release(on, self.name, arrived)
