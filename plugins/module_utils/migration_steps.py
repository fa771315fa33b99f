# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps of a move. Until the copy has arrived the source is the instance; from its first start on the copy is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from .errors import LxdError, NotFound, OperationFailed, Refused, TimedOut, Unreachable
from .instance import Current
from .instance_power import Power, powers
from .instance_record import power_of
from .instance_write import rewrite
from .migration import (
    HELD,
    JOURNAL,
    Journal,
    Link,
    Pair,
    arrived,
    held,
    identity,
    journal_of,
    noted,
    released,
    starting,
)
from .steps import Api
from .transfer import Transfer


@dataclass(frozen=True)
class Begin:
    """Note on the source that it is leaving. An ephemeral one would vanish when it stops: it is not while it moves."""

    name: str
    journal: Journal

    @property
    def text(self) -> str:
        return f"note on {self.name} that it moves"

    def effect(self, pair: Pair) -> Pair:
        source = replace(pair.source, config=noted(pair.source.config, self.journal), ephemeral=False)
        return replace(pair, source=source)

    def run(self, on: Link) -> None:
        note(on.source, self.name, self.journal)


@dataclass(frozen=True)
class Drop:
    """Remove a copy that never was the instance."""

    name: str
    server: str

    @property
    def text(self) -> str:
        return f"delete the unfinished copy {self.name} on {self.server}"

    def effect(self, pair: Pair) -> Pair:
        return replace(pair, target=Current(name=self.name, server=pair.target.server))

    def run(self, on: Link) -> None:
        _delete(on.target, self.name)


@dataclass(frozen=True)
class Copy:
    """Copy the instance while it runs."""

    transfer: Transfer
    result: Current
    journal: Journal

    @property
    def text(self) -> str:
        return f"copy {self.transfer.name} to {self.result.server.name} while it runs"

    def effect(self, pair: Pair) -> Pair:
        return replace(pair, target=_held(self.result, self.journal.at("copied")))

    def run(self, on: Link) -> None:
        self.transfer.run(on)
        hold(on.target, self.result.name, self.journal.at("copied"))


@dataclass(frozen=True)
class Switch:
    """Stop the source, copy what is missing, check the copy, start it. One step, since what fails before the copy runs
    must bring the source back."""

    stop: tuple[Power, ...]
    transfer: Transfer
    start: tuple[Power, ...]
    result: Current
    journal: Journal

    @property
    def text(self) -> str:
        what = "copy what changed" if self.transfer.refresh else "copy it"
        words = [*(step.text for step in self.stop), f"{what} to {self.result.server.name}", "check the copy"]
        return ", ".join([*words, *(f"{step.text} there" for step in self.start)])

    def effect(self, pair: Pair) -> Pair:
        target = _held(self.result, self.journal.at("arrived"))
        for step in self.start:
            target = step.effect(target)
        source = pair.source
        for step in self.stop:
            source = step.effect(source)
        return replace(pair, source=source, target=target)

    def run(self, on: Link) -> None:
        try:
            for step in self.stop:
                step.run(on.source)
            hold(on.source, self.transfer.name, self.journal.at("leaving"))
            self.transfer.run(on)
            check_copy(on, self.transfer, self.result.name)
            hold(on.target, self.result.name, self.journal.at("arrived"))
        except TimedOut:
            raise  # The servers are still at it: the next run waits for them, and goes on.
        except LxdError as error:
            undo(on, self.transfer.name, self.result.name, error)
            raise
        start(on, self.transfer.name, self.start)


@dataclass(frozen=True)
class Start:
    """Start the copy that has arrived."""

    name: str
    source: str
    start: tuple[Power, ...]
    failing: str = "restore"
    """What is done where it does not start: ``restore`` the source; ``note`` it, where the source has no volumes until
    somebody connects them; ``leave`` it, where the source is gone."""

    @property
    def text(self) -> str:
        return ", ".join(step.text for step in self.start)

    def effect(self, pair: Pair) -> Pair:
        target = pair.target
        for step in self.start:
            target = step.effect(target)
        return replace(pair, target=target)

    def run(self, on: Link) -> None:
        if self.failing == "restore":
            start(on, self.source, self.start)
            return
        try:
            for step in self.start:
                step.run(on.target)
        except OperationFailed:
            if self.failing == "note" and is_down(on.target, self.name):
                journal = journal_of(on.target.get(f"instances/{self.name}")["config"])
                if journal is not None:
                    hold(on.target, self.name, journal.at("copied"))
            raise


@dataclass(frozen=True)
class Remove:
    """Delete the source, which the server refuses for one that runs."""

    name: str
    server: str

    @property
    def text(self) -> str:
        return f"delete {self.name} on {self.server}"

    def effect(self, pair: Pair) -> Pair:
        return replace(pair, source=Current(name=self.name, server=pair.source.server))

    def run(self, on: Link) -> None:
        _delete(on.source, self.name)


@dataclass(frozen=True)
class Finish:
    """Take the notes off the copy, which is the instance now."""

    name: str
    server: str

    @property
    def text(self) -> str:
        return f"{self.name} is on {self.server}: take off the notes of the move"

    def effect(self, pair: Pair) -> Pair:
        return replace(pair, target=_released(pair.target, arrived))

    def run(self, on: Link) -> None:
        release(on.target, self.name, arrived)


@dataclass(frozen=True)
class Abort:
    """Remove the copy and bring the source back as it was."""

    name: str
    copy: str
    start: tuple[Power, ...] = field(default=())

    @property
    def text(self) -> str:
        return ", ".join([f"give up the move of {self.name}", *(step.text for step in self.start)])

    def effect(self, pair: Pair) -> Pair:
        source = _released(pair.source)
        for step in self.start:
            source = step.effect(source)
        return replace(pair, source=source, target=Current(name=self.copy, server=pair.target.server))

    def run(self, on: Link) -> None:
        _delete(on.target, self.copy)
        restore(on.source, self.name)


def start(on: Link, source: str, steps: tuple[Power, ...]) -> None:
    """Start the copy. Where that fails and the copy does not run, the source is brought back."""
    for step in steps:
        try:
            step.run(on.target)
        except OperationFailed as error:
            if step is steps[0] and is_down(on.target, step.name):
                undo(on, source, step.name, error)
            raise


def is_down(on: Api, copy: str) -> bool:
    """Whether a copy that failed to start is stopped. The server may still be ending it: it is told to, and waited
    for."""
    try:
        Power(copy, "stop", kill="now").run(on)
    except (OperationFailed, Refused):
        pass  # It is stopped already.
    return bool(on.get(f"instances/{copy}")["status"] == "Stopped")


def undo(on: Link, source: str, copy: str, error: LxdError) -> None:
    """Remove the copy, bring the source back as it was, and say so in the error."""
    try:
        _delete(on.target, copy)
    except (Unreachable, TimedOut, OperationFailed) as other:
        error.message += f". The unfinished copy {copy} is still on {on.target.name}: {other.message}"
    try:
        restore(on.source, source)
    except LxdError as other:
        error.message += f". {source} on {on.source.name} could not be brought back: {other.message}"
        return
    error.message += f". {source} on {on.source.name} is as it was"


def restore(on: Api, name: str) -> None:
    """Bring the source back: its config, and its power."""
    journal = journal_of(on.get(f"instances/{name}")["config"])
    if journal is None:
        return
    restart(on, name, journal)
    release(on, name)


def restart(on: Api, name: str, journal: Journal) -> None:
    """Bring an instance that was stopped to the power it had."""
    data = on.get(f"instances/{name}")
    for step in powers(name, starting(journal.power, power_of(data))) if data["status"] == "Stopped" else ():
        step.run(on)


def check_copy(on: Link, transfer: Transfer, copy: str) -> None:
    """Raises OperationFailed unless the copy on the target is what the stopped source is."""
    name, body = transfer.name, transfer.body
    source, target = on.source.get(f"instances/{name}"), on.target.get(f"instances/{copy}")
    wrong = [key for key in ("architecture", "type") if source[key] != target[key]]
    wrong += [key for key in ("devices", "profiles", "description") if body[key] != target[key]]
    config = {key: value for key, value in identity(source["config"]).items() if key != JOURNAL and key not in HELD}
    wrong += [f"config {key}" for key, value in config.items() if target["config"].get(key) != value]
    if transfer.snapshots and _snapshots(on.source, name) != _snapshots(on.target, copy):
        wrong.append("snapshots")
    if source["type"] == "container" and _root(on.source, name) != _root(on.target, copy):
        wrong.append("the root directory")
    if wrong:
        raise OperationFailed(
            f"{name}: the copy {copy} on {on.target.name} is not what the source is: {', '.join(wrong)}", found=wrong
        )


def _snapshots(on: Api, name: str) -> list[str]:
    return sorted(url.rsplit("/", 1)[1].split("?")[0] for url in on.get(f"instances/{name}/snapshots"))


def _root(on: Api, name: str) -> list[str]:
    return sorted(on.get(f"instances/{name}/files", path="/"))


def _delete(on: Api, name: str) -> None:
    try:
        on.delete(f"instances/{name}")
    except NotFound:
        return


def note(on: Api, name: str, journal: Journal) -> None:
    """Write the journal. An ephemeral instance would vanish when it stops: it is not while it moves."""
    rewrite(on, name, lambda config: noted(config, journal), ephemeral=False)


def hold(on: Api, name: str, journal: Journal) -> None:
    """Write the journal, and hold back what would start by itself or resist its removal."""
    rewrite(on, name, lambda config: held(config, journal), ephemeral=False)


Letting = Callable[[Mapping[str, str], Journal], dict[str, str]]
"""What the config becomes when the journal is taken off: ``released`` or ``arrived``."""


def release(on: Api, name: str, letting: Letting = released) -> None:
    """Take the journal off, and restore what was held back."""
    journal = journal_of(on.get(f"instances/{name}")["config"])
    if journal is not None:
        begun = journal
        rewrite(on, name, lambda config: letting(config, begun), ephemeral=begun.ephemeral)


def _held(current: Current, journal: Journal) -> Current:
    return replace(current, config=held(current.config, journal))


def _released(current: Current, letting: Letting = released) -> Current:
    journal = journal_of(current.config)
    if journal is None:
        return current
    return replace(current, config=letting(current.config, journal), ephemeral=journal.ephemeral)
