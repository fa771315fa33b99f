# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A snapshot of a guest that is quiet meanwhile, and is not left so.

Three hold the deadline: this process, another one that thaws the guest when this one dies or takes too long, and where
their whole machine dies, the marker ``user.lxdops.quiesced``, by which the next run knows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .errors import Conflict, LxdError, OperationFailed, TimedOut
from .instance_power import thaw
from .instance_record import QUIESCED
from .instance_write import insist, rewrite
from .quiesce_machine import Lease
from .snapshot import Quiesce, Shelf
from .snapshot_set_steps import TakeSet
from .snapshot_steps import Take, dropping
from .steps import Api
from .watchdog import watched

SNAPSHOT = "snapshot"
"""In the description of the operation that takes one."""
FREEZING = "freezing"
"""In the description of the operation that freezes one."""
INTERVAL = 0.25
"""Seconds between two looks at the marker, whose removal is no event."""


@dataclass(frozen=True)
class TakeQuiet:
    """Take a snapshot of a guest that is quiet meanwhile. One step, since it must not stay quiet."""

    take: Take | TakeSet
    boot: str
    quiet: Quiesce
    machine: bool = False
    """Whether it is a virtual machine, whose file systems are frozen, from inside."""

    @property
    def text(self) -> str:
        frozen = "its file systems frozen" if self.machine else "frozen"
        ways = [frozen] if self.quiet.freeze else []
        return f"{self.take.text}, {' '.join([*ways, 'between commands'] if self.quiet.commands else ways)}"

    def effect(self, shelf: Shelf) -> Shelf:
        return self.take.effect(shelf)

    def run(self, on: Api) -> None:
        name, limit = self.take.instance, self.quiet.timeout
        mark = f"{self.boot} {int(time.time()) + limit}"
        end = time.monotonic() + limit
        with watched(limit, partial(self._give_up, on, end)) as over:
            try:
                insist(lambda: rewrite(on, name, lambda config: {**config, QUIESCED: mark}))
                self._take_quiet(on)
            finally:
                problem = finish(on, name, self.quiet)
                over()
        if time.monotonic() > end:
            self._drop(on)
            raise TimedOut(
                f"{name}/{self.take.result.name} on {on.name}: quiesce: the guest was quiet for {limit} seconds, and "
                "the snapshot was not whole by then, so it was deleted; quiesce.timeout allows more"
            )
        if problem:
            raise problem

    def _take_quiet(self, on: Api) -> None:
        begin(on, self.take.instance, self.quiet, self.machine)
        if not self.machine or not self.quiet.freeze:
            self.take.run(on)
            return
        lease = Lease(on, self.take.instance, self.quiet.timeout)
        try:
            self.take.run(on)
        finally:
            lease.end()

    def _give_up(self, on: Api, end: float) -> None:
        """What the other process does: a snapshot that the server is taking may end in time."""
        own, path, late = on.twin(), f"instances/{self.take.instance}", False
        try:
            own.settle(path, SNAPSHOT, max(0.0, end - time.monotonic()))
        except TimedOut:
            late = True
        finish(own, self.take.instance, self.quiet)
        if own.settle(path, SNAPSHOT) or late:
            self._drop(own)

    def _drop(self, on: Api) -> None:
        dropping(on, self.take.instance, self.take.result.name).run(on)


@dataclass(frozen=True)
class End:
    """End what a run of ours, of which nothing is left, had begun to quiet."""

    instance: str
    mark: str
    boot: str
    quiet: Quiesce

    @property
    def text(self) -> str:
        return f"end what left {self.instance} quiesced"

    def effect(self, shelf: Shelf) -> Shelf:
        current = shelf.instance
        config = {key: value for key, value in current.config.items() if key != QUIESCED}
        # While it freezes or thaws the server calls it neither, which is read as error.
        power = "running" if self._lasts and current.power in ("frozen", "error") else current.power
        return replace(shelf, instance=replace(current, config=config, power=power, etag=""))

    def run(self, on: Api) -> None:
        if self._lasts:
            self._wait(on)
            problem = finish(on, self.instance, self.quiet)
            if problem:
                raise problem
        else:
            unmark(on, self.instance)

    @property
    def _lasts(self) -> bool:
        """Whether it was in the boot that still lasts; else it has been started since, or restored."""
        return self.mark.rpartition(" ")[0] == self.boot

    def _wait(self, on: Api) -> None:
        """Until the deadline that was set: the run may be alive. Raises Conflict where it was, or its watchdog."""
        deadline = self.mark.rpartition(" ")[2]
        while deadline.isdigit() and time.time() < int(deadline):
            data = on.find(f"instances/{self.instance}")
            if data is None or data["config"].get(QUIESCED) != self.mark:
                raise Conflict(f"{self.instance} on {on.name}: another run took a snapshot of it")
            time.sleep(INTERVAL)


def begin(on: Api, name: str, quiet: Quiesce, machine: bool) -> None:
    """Make a guest quiet, but for the file systems of a virtual machine."""
    if quiet.before:
        command(on, name, "before", ["sh", "-c", quiet.before], quiet.timeout)
    if quiet.freeze and not machine:
        command(on, name, "freeze", ["sync"], quiet.timeout)
        on.put(f"instances/{name}/state", {"action": "freeze"})


def finish(on: Api, name: str, quiet: Quiesce) -> LxdError | None:
    """Let a guest go on, as far as it runs; what its own command failed of."""
    # A run that was killed may have asked for it without seeing it done.
    on.settle(f"instances/{name}", FREEZING)
    problem, status = None, on.get(f"instances/{name}")["status"]
    if status == "Frozen":
        thaw(on, name)
    if quiet.after and status in ("Frozen", "Running", "Ready"):
        try:
            command(on, name, "after", ["sh", "-c", quiet.after], quiet.timeout)
        except (OperationFailed, TimedOut) as error:
            problem = error
    unmark(on, name)
    return problem


def unmark(on: Api, name: str) -> None:
    """Remove the marker."""

    def without(config: dict[str, str]) -> dict[str, str]:
        return {key: value for key, value in config.items() if key != QUIESCED}

    insist(lambda: rewrite(on, name, without))


def command(on: Api, name: str, option: str, words: list[str], timeout: float) -> None:
    """Run a command in a guest. Raises OperationFailed with what it wrote, where it fails."""
    request: dict[str, Any] = {"command": words, "interactive": False, "record-output": True}
    record = on.wait(on.begin(f"instances/{name}/exec", {**request, "wait-for-websocket": False}), timeout)
    outcome = record["metadata"]
    written = [_take(on, url) for url in (outcome.get("output") or {}).values()]
    if outcome["return"]:
        said = " ".join(text.strip() for text in written if text.strip()) or "no output"
        raise OperationFailed(
            f"{name} on {on.name}: quiesce.{option}: {words[-1]!r} ended with {outcome['return']}: {said}",
            option=f"quiesce.{option}",
        )


def _take(on: Api, url: str) -> str:
    """The content of a file of output, which is removed from the server."""
    path = url.split("?")[0].split("/", 2)[2]
    text = on.text(path)
    on.delete(path)
    return text
