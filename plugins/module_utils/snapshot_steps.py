# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps that take, change, delete and restore snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from .errors import NotFound, OperationFailed, Refused
from .instance_power import NEXT_BOOT
from .instance_write import insist, rewrite
from .snapshot import Expiry, Shelf, Snapshot, moment, snapshot_from
from .snapshot_set import VolumeSet, drop_volumes
from .steps import Api


@dataclass(frozen=True)
class Take:
    """Take a snapshot."""

    instance: str
    result: Snapshot
    expiry: Expiry | None = None

    @property
    def text(self) -> str:
        memory = " with its memory" if self.result.stateful else ""
        until = f", which expires {_when(self.expiry)}" if self.expiry and self.expiry.text != "never" else ""
        return f"take snapshot {self.result.name} of {self.instance}{memory}{until}"

    def effect(self, shelf: Shelf) -> Shelf:
        return replace(shelf, snapshots={**shelf.snapshots, self.result.name: self.result})

    def run(self, on: Api) -> None:
        body: dict[str, Any] = {"name": self.result.name, "stateful": self.result.stateful}
        if self.expiry is not None:
            body["expires_at"] = self.expiry.written(datetime.now(timezone.utc))
        try:
            on.post(f"instances/{self.instance}/snapshots", body)
        except OperationFailed as error:
            lacks = any(word in error.message.lower() for word in ("criu", "migratable", "migration.stateful"))
            if not self.result.stateful or not lacks:
                raise
            raise Refused(
                f"{self.instance} on {on.name}: stateful: this server cannot save its memory (containers need a "
                "working CRIU, which LXD 6.6 and later have not; virtual machines migration.stateful). The nearest "
                f"that works is stateful: false, with quiesce for a container. The server says: {error.message}",
                **error.details,
            ) from None


@dataclass(frozen=True)
class Expire:
    """Change when a snapshot expires."""

    instance: str
    snapshot: Snapshot
    expiry: Expiry

    @property
    def text(self) -> str:
        return f"set that {self.instance}/{self.snapshot.name} expires {_when(self.expiry)}"

    def effect(self, shelf: Shelf) -> Shelf:
        after = replace(self.snapshot, expires=self.expiry.text)
        return replace(shelf, snapshots={**shelf.snapshots, self.snapshot.name: after})

    def run(self, on: Api) -> None:
        expires = self.expiry.written(moment(self.snapshot.created))
        for path in self.snapshot.volumes.paths.values() if self.snapshot.volumes else ():
            on.put(path, {"description": on.get(path)["description"], "expires_at": expires})
        on.put(f"instances/{self.instance}/snapshots/{self.snapshot.name}", {"expires_at": expires})


@dataclass(frozen=True)
class Drop:
    """Delete a snapshot."""

    instance: str
    name: str
    volumes: VolumeSet | None = None
    why: str = ""

    @property
    def text(self) -> str:
        others = self.volumes.text if self.volumes else ""
        return f"delete snapshot {self.name} of {self.instance}{others}{self.why}"

    def effect(self, shelf: Shelf) -> Shelf:
        return replace(shelf, snapshots={name: one for name, one in shelf.snapshots.items() if name != self.name})

    def run(self, on: Api) -> None:
        if self.volumes:
            drop_volumes(on, self.volumes)
        try:
            on.delete(f"instances/{self.instance}/snapshots/{self.name}")
        except NotFound:
            return


def dropping(on: Api, instance: str, name: str) -> Drop:
    """The deletion of a snapshot, as it is now."""
    data = on.find(f"instances/{instance}/snapshots/{name}")
    return Drop(instance, name, snapshot_from(data).volumes if data else None)


@dataclass(frozen=True)
class Restore:
    """Restore an instance from a snapshot. The server stops a running one for it, and starts it."""

    instance: str
    snapshot: Snapshot
    stateful: bool
    active: bool
    """Whether guest processes exist, which the server stops."""
    etag: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        memory = " with its memory" if self.stateful else ""
        return f"restore {self.instance} from its snapshot {self.snapshot.name}{memory}"

    def effect(self, shelf: Shelf) -> Shelf:
        found, before = self.snapshot, shelf.instance
        power = "running" if self.stateful or before.active else before.power
        boot = NEXT_BOOT if power == "running" else before.boot
        after = replace(before, config=found.config, devices=found.devices, profiles=found.profiles)
        return replace(shelf, instance=replace(after, power=power, boot=boot))

    def run(self, on: Api) -> None:
        body = {"restore": self.snapshot.name, "stateful": self.stateful}
        try:
            on.put(f"instances/{self.instance}", body, self.etag)
        except OperationFailed as error:
            # The server stops it first. What it has made of the root by then only it knows: that is not started here.
            if self.active and on.get(f"instances/{self.instance}")["status"] == "Stopped":
                error.message += f". {self.instance} was stopped for the restore, and is not started again"
            raise


@dataclass(frozen=True)
class Mark:
    """Set marks on an instance; None removes one."""

    instance: str
    marks: Mapping[str, str | None]
    text: str

    def effect(self, shelf: Shelf) -> Shelf:
        return replace(shelf, instance=replace(shelf.instance, config=self._marked(dict(shelf.instance.config))))

    def run(self, on: Api) -> None:
        insist(lambda: rewrite(on, self.instance, self._marked))

    def _marked(self, config: dict[str, str]) -> dict[str, str]:
        left = {key: value for key, value in config.items() if key not in self.marks}
        return {**left, **{key: value for key, value in self.marks.items() if value is not None}}


@dataclass(frozen=True)
class Freeze:
    """Freeze an instance again."""

    instance: str

    @property
    def text(self) -> str:
        return f"freeze {self.instance}"

    def effect(self, shelf: Shelf) -> Shelf:
        return replace(shelf, instance=shelf.instance.with_power("frozen"))

    def run(self, on: Api) -> None:
        on.put(f"instances/{self.instance}/state", {"action": "freeze"})


def _when(expiry: Expiry) -> str:
    if expiry.text == "never":
        return "never"
    return f"{expiry.text} after it was taken" if expiry.span else f"at {expiry.text}"
