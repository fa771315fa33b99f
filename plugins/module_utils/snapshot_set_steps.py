# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps that take and restore a set of snapshots, of an instance and its custom volumes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from .errors import Conflict, LxdError, NotFound, OperationFailed
from .instance_power import Power
from .instance_record import SET
from .instance_write import insist, rewrite
from .snapshot import Shelf, Snapshot
from .snapshot_set import NOTE, VolumeSet, drop_volumes, volume_path
from .snapshot_steps import Take
from .steps import Api

LOOKS, INTERVAL = 4, 0.5
"""How often, with how many seconds between, nothing is seen of a run before it is taken for dead."""


@dataclass(frozen=True)
class TakeSet:
    """Take snapshots of the volumes, and of the instance. One step: what is not whole is deleted again."""

    take: Take
    volumes: tuple[str, ...]

    @property
    def instance(self) -> str:
        return self.take.instance

    @property
    def result(self) -> Snapshot:
        return self.take.result

    @property
    def text(self) -> str:
        return f"{self.take.text}{VolumeSet('', self.result.name, self.volumes).text}"

    def effect(self, shelf: Shelf) -> Shelf:
        taken = replace(self.result, volumes=VolumeSet("", self.result.name, self.volumes))
        return replace(shelf, snapshots={**shelf.snapshots, self.result.name: taken})

    def run(self, on: Api) -> None:
        found = VolumeSet(secrets.token_hex(6), self.result.name, self.volumes)
        expiry = self.take.expiry
        body = {"expires_at": expiry.written(datetime.now(timezone.utc))} if expiry else {}
        insist(lambda: rewrite(on, self.instance, lambda config: {**config, SET: found.mark}))
        try:
            for volume in found.volumes:
                on.post(f"{volume_path(volume)}/snapshots", {"name": f"{found.snapshot}.{found.id}", **body})
            self.take.run(on)
        except LxdError:
            # Where the server does not answer, the next run does this by the mark.
            drop_volumes(on, found)
            _unmark(on, self.instance)
            raise
        _unmark(on, self.instance)


@dataclass(frozen=True)
class EndSet:
    """End what a run of ours, of which nothing is left, had begun to take."""

    instance: str
    begun: VolumeSet
    whole: bool
    """Whether all snapshots of it are there."""

    @property
    def text(self) -> str:
        what = "take the notes of" if self.whole else "delete what there is of"
        return f"{what} a set of snapshots that was begun of {self.instance}"

    def effect(self, shelf: Shelf) -> Shelf:
        config = {key: value for key, value in shelf.instance.config.items() if key != SET}
        return replace(shelf, instance=replace(shelf.instance, config=config, etag=""))

    def run(self, on: Api) -> None:
        looks = 0
        while looks < LOOKS:
            data = on.find(f"instances/{self.instance}")
            if data is None or data["config"].get(SET) != self.begun.mark:
                raise Conflict(f"{self.instance} on {on.name}: another run took a snapshot of it")
            # The operations of volumes do not say of which, as a path at least.
            looks = 0 if on.settle("", "snapshot") else looks + 1
            time.sleep(INTERVAL)
        if not self.whole:
            if on.find(f"instances/{self.instance}/snapshots/{self.begun.snapshot}") is not None:
                raise Conflict(f"{self.instance} on {on.name}: another run took a snapshot of it")
            drop_volumes(on, self.begun)
        _unmark(on, self.instance)


@dataclass(frozen=True)
class NoteRestore:
    """Note that a set is restored, and which power the instance shall have then; or, empty, that this is over."""

    instance: str
    found: VolumeSet
    then: str

    @property
    def text(self) -> str:
        if not self.then:
            return f"take off the note that {self.instance} is restored"
        return f"note that {self.instance} is restored, and is {self.then} then"

    def effect(self, shelf: Shelf) -> Shelf:
        return replace(shelf, found=replace(shelf.found, then=self.then))

    def run(self, on: Api) -> None:
        path = next(iter(self.found.paths.values()))
        record = on.get(path)
        note = f"{NOTE}{self.then}" if self.then else ""
        on.put(path, {"expires_at": record["expires_at"], "description": note})


@dataclass(frozen=True)
class RestoreVolumes:
    """Restore the volumes of a set. Nobody may use them meanwhile."""

    instance: str
    found: VolumeSet

    @property
    def text(self) -> str:
        return f"restore the volumes {', '.join(self.found.volumes)} from {self.found.snapshot}.{self.found.id}"

    def effect(self, shelf: Shelf) -> Shelf:
        return shelf

    def run(self, on: Api) -> None:
        for volume in self.found.volumes:
            try:
                on.put(volume_path(volume), {"restore": f"{self.found.snapshot}.{self.found.id}"})
            except OperationFailed as error:
                error.message += (
                    f". {self.instance} was stopped for the restore, and is not started before this task ends well"
                )
                raise


@dataclass(frozen=True)
class Move:
    """Change the power of the instance."""

    power: Power

    @property
    def text(self) -> str:
        return self.power.text

    def effect(self, shelf: Shelf) -> Shelf:
        return replace(shelf, instance=self.power.effect(shelf.instance))

    def run(self, on: Api) -> None:
        self.power.run(on)


def _unmark(on: Api, instance: str) -> None:
    def without(config: Mapping[str, str]) -> dict[str, str]:
        return {key: value for key, value in config.items() if key != SET}

    try:
        insist(lambda: rewrite(on, instance, without))
    except NotFound:
        return
