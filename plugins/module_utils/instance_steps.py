# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps that make, change and delete an instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import Conflict, NotFound, OperationFailed
from .instance import Current, Server, Source, current_from
from .instance_power import Power
from .instance_record import CREATING, created, is_creating, shown_config, with_servers_keys
from .instance_write import insist, replace_instance, writable
from .steps import Api

TAKEN = ('"instances" entry already exists', "UNIQUE constraint failed: instances.")
"""So a server refuses a name that is taken (lxd/db/cluster/instances.mapper.go; on Incus in the database's words)."""


@dataclass(frozen=True)
class Create:
    """Create a stopped instance. It carries a marker until the server has finished, so that a half-made one is
    known. ``marked``: it keeps that, for the step FirstStart."""

    result: Current
    source: Source
    target: str = ""
    marked: bool = False

    @property
    def text(self) -> str:
        where = f" on {self.target}" if self.target else ""
        return f"create {self.result.type} {self.result.name} from {self.source.text}{where}"

    def effect(self, current: Current) -> Current:
        return self.result

    def run(self, on: Api) -> None:
        query = {"target": self.target} if self.target else {}
        name = self.result.name
        try:
            on.post("instances", self.body(), **query)
        except OperationFailed as error:
            if not any(words in error.message for words in TAKEN):
                raise
            raise Conflict(f"{name} on {on.name}: somebody else has created it: {error.message}") from None
        if self.source.type == "copy":
            insist(lambda: self.finish(on, name))
        elif not self.marked:
            insist(lambda: _unmark(on, name, self.result.description))

    def finish(self, on: Api, name: str, itself: bool = True) -> None:
        """Write it as declared, without the marker: to a copy the server adds all that its origin has. ``itself``:
        whether it is the instance that it was made from, and so keeps addresses and identity."""
        found = on.find_tagged(f"instances/{name}")
        if found is None:
            raise OperationFailed(f"{on.name}: {name} was created, but is gone")
        data, etag = found
        config = with_servers_keys(self.result.config, created(data["config"]))
        if not itself:
            config = {key: value for key, value in config.items() if not key.endswith((".hwaddr", ".uuid"))}
        wanted = self.body()
        declared = {key: wanted[key] for key in ("devices", "description", "ephemeral", "profiles")}
        on.put(f"instances/{name}", {**writable(data), **declared, "config": config}, etag)

    def body(self) -> dict[str, Any]:
        """The body of ``POST /1.0/instances``."""
        result = self.result
        return {
            "name": result.name,
            "type": result.type,
            "description": result.description,
            "config": {**result.config, **CREATING},
            "devices": {name: dict(device) for name, device in result.devices.items()},
            "profiles": list(result.profiles),
            "ephemeral": result.ephemeral,
            "source": self._source(),
        }

    def _source(self) -> dict[str, Any]:
        source = self.source
        if source.type == "copy":
            origin = f"{source.instance}/{source.snapshot}" if source.snapshot else source.instance
            return {"type": "copy", "source": origin, "instance_only": source.instance_only}
        if source.type == "none":
            return {"type": "none"}
        named = {"alias": source.alias} if source.alias else {"fingerprint": source.fingerprint}
        if not source.server:
            return {"type": "image", **named}
        remote = {
            "server": source.server,
            "protocol": source.protocol or "simplestreams",
            "certificate": source.certificate,
        }
        return {"type": "image", "mode": "pull", **named, **{key: value for key, value in remote.items() if value}}


@dataclass(frozen=True)
class FirstStart(Power):
    """Start what was created with its marker left on: the server takes that off, and we where it cannot start it."""

    def run(self, on: Api) -> None:
        try:
            super().run(on)
        except OperationFailed:
            found = on.find(f"instances/{self.name}")
            if found and is_creating(found["config"]):
                insist(lambda: _unmark(on, self.name, found["description"]))
            raise


def _unmark(on: Api, name: str, description: str) -> None:
    """Take the marker of a creation off."""
    # LXD 5.0 empties a description that a PATCH does not name.
    on.patch(f"instances/{name}", {"config": dict.fromkeys(CREATING, ""), "description": description})


@dataclass(frozen=True)
class Change:
    """One option that changes; ``impact``: live, restart, or stopped (nothing runs that could notice)."""

    option: str
    before: str | None
    after: str | None
    impact: str

    @property
    def text(self) -> str:
        if self.after is None:
            return f"remove {self.option}"
        return f"set {self.option} to {self.after}"


@dataclass(frozen=True)
class Update:
    """Replace the editable part of an instance, guarded by the ETag that the plan was made on."""

    after: Current
    changes: tuple[Change, ...]
    etag: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        what = ", ".join(change.text for change in self.changes) or "note what waits for a restart"
        return f"update {self.after.name}: {what}"

    def effect(self, current: Current) -> Current:
        return self.after.with_power(current.power)

    def run(self, on: Api) -> None:
        replace_instance(on, self.after.name, self.body(self.after.config), self.etag)

    def body(self, config: Mapping[str, str]) -> dict[str, Any]:
        """The body of ``PUT /1.0/instances/NAME``."""
        after = self.after
        return {
            "architecture": after.architecture,
            "config": dict(config),
            "description": after.description,
            "devices": {name: dict(device) for name, device in after.devices.items()},
            "ephemeral": after.ephemeral,
            "profiles": list(after.profiles),
        }


@dataclass(frozen=True)
class Reconfigure:
    """Stop a running virtual machine, update it, start it: it takes some changes only when stopped. One step, since a
    refused update must not leave it stopped."""

    stop: Power
    update: Update
    start: Power

    @property
    def text(self) -> str:
        return f"{self.stop.text}, {self.update.text}, {self.start.text}"

    def effect(self, current: Current) -> Current:
        return self.start.effect(self.update.effect(self.stop.effect(current)))

    def run(self, on: Api) -> None:
        self.stop.run(on)
        try:
            # Stopping changes the server's own keys, so the ETag and those keys are read again.
            data, etag = on.find_tagged(f"instances/{self.update.after.name}") or ({}, "")
            config = with_servers_keys(self.update.after.config, data.get("config", {}))
            replace_instance(on, self.update.after.name, self.update.body(config), etag)
        finally:
            self.start.run(on)


@dataclass(frozen=True)
class Delete:
    """Delete a stopped instance and its snapshots. An ephemeral one is already gone when it stops."""

    name: str

    @property
    def text(self) -> str:
        return f"delete {self.name}"

    def effect(self, current: Current) -> Current:
        return Current(name=self.name, server=current.server, origin=current.origin)

    def run(self, on: Api) -> None:
        try:
            on.delete(f"instances/{self.name}")
        except NotFound:
            return


@dataclass(frozen=True)
class Discard(Delete):
    """Delete what is left of a creation that was cut short; not what somebody else is making, or has made meanwhile."""

    def run(self, on: Api) -> None:
        found = on.find(f"instances/{self.name}")
        if found is None:
            return
        if not current_from(self.name, found, "", Server()).half_made:
            raise Conflict(f"{self.name} on {on.name}: somebody else has created it meanwhile")
        on.delete(f"instances/{self.name}", patient=False)


def changes_between(before: Current, after: Current, impact: Mapping[str, str]) -> tuple[Change, ...]:
    """Every option that differs, with its impact (live where ``impact`` says nothing)."""
    flat_before, flat_after = _flat(before), _flat(after)
    return tuple(
        Change(
            option,
            flat_before.get(option),
            flat_after.get(option),
            impact.get(option, "live") if before.active else "stopped",
        )
        for option in sorted({*flat_before, *flat_after})
        if flat_before.get(option) != flat_after.get(option)
    )


def _flat(current: Current) -> dict[str, str | None]:
    devices = {
        f"devices.{name}.{key}": value for name, device in current.devices.items() for key, value in device.items()
    }
    return {
        **{f"config.{key}": value for key, value in shown_config(current.config).items()},
        **devices,
        "description": current.description,
        "ephemeral": str(current.ephemeral).lower(),
        "profiles": ",".join(current.profiles),
    }
