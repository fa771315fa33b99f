# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A copy of a snapshot on another server: an instance of its own, stopped.

It is known by a digest of what it was made from, and has the marker of a creation until it is whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from .converge import Domain, converge
from .errors import Refused
from .instance import Current, Server, current_from
from .instance_params import check_name
from .instance_read import read_current
from .instance_record import CREATING, SOURCE, created, owned
from .instance_steps import Delete
from .instance_write import insist, rewrite
from .migration import Link, Move, Place
from .migration_blockers import blockers, devices_there, of_the_host
from .migration_params import TARGET
from .migration_read import read_origin, read_place
from .snapshot import Snapshot, snapshot_from
from .snapshot_publish import origin_of
from .steps import Step
from .transfer import Transfer

KEPT = ("volatile.base_image", "volatile.last_state.idmap", "volatile.idmap.base")
"""Of the server's own keys what a copy needs: whose files are whose on its root."""


@dataclass(frozen=True)
class Copy:
    """What a task says of the copy."""

    instance: str
    snapshot: str
    name: str
    pool: str = ""
    networks: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 3600

    @property
    def move(self) -> Move:
        """The same in the words of a move, for what stands in its way."""
        return Move(self.instance, self.name, method="cold", pool=self.pool, networks=self.networks)


@dataclass(frozen=True)
class Both:
    """The snapshot here, as the instance that it would be, and the copy there. ``origin`` is empty in predictions, of
    a snapshot that is not taken yet."""

    copy: Current
    snapshot: Current
    origin: str = ""
    here: Place | None = None
    there: Place | None = None
    left: tuple[str, ...] = ()
    """The devices that the copy has not, since what they are is here."""

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.origin.encode()).hexdigest()[:16]


def copy_spec() -> dict[str, Any]:
    """The option ``copy``, as AnsibleModule wants it; documented in modules/lxd_snapshot.py."""
    target = {"endpoint": {"type": "str", "required": True}, **TARGET}
    return {
        "type": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "target": {"type": "dict", "required": True, "options": target},
            "pool": {"type": "str"},
            "networks": {"type": "dict"},
            "timeout": {"type": "float", "default": 3600},
        },
    }


def check_copy(params: Mapping[str, Any]) -> None:
    """Refuses what is wrong in itself."""
    if params["state"] != "present":
        raise Refused(f"{params['name']}: copy is for state: present, found state: {params['state']}", option="copy")
    check_name("copy.name", params["copy"]["name"])


def read_both(on: Link, wanted: Copy) -> Both:
    """The snapshot, the copy, and of the target what a copy that is to be made needs to know."""
    copy = read_current(on.target, wanted.name, Server(name=on.target.name, product=on.target.product))
    here = Server(name=on.source.name, product=on.source.product)
    parent = on.source.get(f"instances/{wanted.instance}")
    data = on.source.find(f"instances/{wanted.instance}/snapshots/{wanted.snapshot}")
    found = snapshot_from(data) if data else Snapshot(wanted.snapshot)
    origin = origin_of(wanted.instance, found) if data else ""
    # Of a snapshot that is not taken yet the instance tells what it will be.
    like = {**parent, **(data or {}), "status": "Stopped", "stateful": False, "type": parent["type"]}
    whole = current_from(wanted.instance, like, "", here)
    left = tuple(sorted(name for name, device in whole.expanded_devices.items() if _stays(device)))
    snapshot = replace(
        whole,
        devices=_without(whole.devices, left),
        expanded_devices=_without(whole.expanded_devices, left),
        # A move would know its copy by that; this one is known otherwise.
        config={"volatile.uuid": "", **whole.config},
    )
    both = Both(copy, snapshot, origin, left=left)
    if copy.exists and not copy.unfinished:
        return both
    return replace(both, here=read_origin(on.source), there=read_place(on.target, snapshot))


def _stays(device: Mapping[str, str]) -> bool:
    volume = device.get("type") == "disk" and device.get("path") != "/"
    return volume or of_the_host(device)


def _without(devices: Mapping[str, Mapping[str, str]], left: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Devices for the copy: without what stays here, and without addresses, of which there must not be two."""
    return {
        name: {key: value for key, value in device.items() if key != "hwaddr"}
        for name, device in devices.items()
        if name not in left
    }


def plan_copy(wanted: Copy, both: Both) -> list[Step[Both, Link]]:
    """The steps to the copy, or Refused."""
    copy = both.copy
    where = f"{wanted.instance}/{wanted.snapshot}: copy.name: {wanted.name} on {copy.server.name}"
    ours = copy.exists and both.origin and copy.config.get(SOURCE) == both.digest
    if ours and not copy.unfinished:
        return [Finish(wanted.name)] if copy.creating else []
    if copy.exists and not ours:
        raise Refused(
            f"{where}: found a {copy.type} that is no copy of this snapshot: say another name, or delete it first",
            option="copy.name",
            found=wanted.name,
        )
    problems = blockers(wanted.move, both.snapshot, both.here or Place(), both.there or Place())
    if problems:
        raise Refused(f"{where}: {'; '.join(problems)}", option="copy", blockers=problems)
    away = CopyAway(wanted, both.snapshot, both.origin, both.left)
    return [*([DeleteCopy(Delete(wanted.name))] if copy.exists else []), away, Finish(wanted.name)]


def view_copy(wanted: Copy, both: Both) -> dict[str, Any]:
    """The copy as results and diffs show it."""
    return {"name": wanted.name, "server": both.copy.server.name, "state": both.copy.power}


@dataclass(frozen=True)
class CopyAway:
    """Copy a snapshot to another server, as an instance that bears the marker of a creation."""

    wanted: Copy
    snapshot: Current
    origin: str
    left: tuple[str, ...]

    @property
    def text(self) -> str:
        without = f", without what stays here: {', '.join(self.left)}" if self.left else ""
        return f"copy {self.wanted.instance}/{self.wanted.snapshot} as {self.wanted.name} to the other server{without}"

    def effect(self, both: Both) -> Both:
        return replace(both, copy=replace(both.copy, power="stopped", config=CREATING))

    def run(self, on: Link) -> None:
        path = f"instances/{self.wanted.instance}/snapshots/{self.wanted.snapshot}"
        origin = origin_of(self.wanted.instance, snapshot_from(on.source.get(path)))
        kept = {key: value for key, value in self.snapshot.config.items() if key in KEPT}
        digest = hashlib.sha256(origin.encode()).hexdigest()[:16]
        body = {
            "name": self.wanted.name,
            "type": self.snapshot.type,
            "architecture": self.snapshot.architecture,
            "description": self.snapshot.description,
            "config": {**kept, **owned(self.snapshot.config), **CREATING, SOURCE: digest},
            "devices": devices_there(self.wanted.move, self.snapshot),
            "profiles": list(self.snapshot.profiles),
            "ephemeral": False,
        }
        transfer = Transfer(self.wanted.instance, body, False, False, False, "auto", self.wanted.timeout, origin=path)
        transfer.run(on)


@dataclass(frozen=True)
class DeleteCopy:
    """Delete what a killed run left."""

    delete: Delete

    @property
    def text(self) -> str:
        return f"{self.delete.text}, which was copied by half"

    def effect(self, both: Both) -> Both:
        return replace(both, copy=self.delete.effect(both.copy))

    def run(self, on: Link) -> None:
        self.delete.run(on.target)


@dataclass(frozen=True)
class Finish:
    """Take the marker off."""

    name: str

    @property
    def text(self) -> str:
        return f"note that {self.name} is whole"

    def effect(self, both: Both) -> Both:
        digest = both.digest if both.origin else ""
        return replace(both, copy=replace(both.copy, config={SOURCE: digest}))

    def run(self, on: Link) -> None:
        insist(lambda: rewrite(on.target, self.name, created))


def with_copy(on: Link, params: Mapping[str, Any], check: bool, first: dict[str, Any]) -> dict[str, Any]:
    """A module's result with that of the copy added; ``first``: of the snapshot."""
    given = params["copy"]
    wanted = Copy(
        params["name"],
        params["snapshot"],
        given["name"],
        given.get("pool") or "",
        given.get("networks") or {},
        given["timeout"],
    )
    domain: Domain[Link, Copy, Both] = Domain(
        kind="copy",
        settle=lambda on, wanted: on.target.settle(f"instances/{wanted.name}"),
        read=read_both,
        plan=plan_copy,
        view=partial(view_copy, wanted),
        report=lambda _wanted, both: {"copy_left_out": list(both.left)},
        confirm=lambda _on, _wanted, both: both,
    )
    second = converge(domain, on, wanted, check)
    return {
        **first,
        "changed": first["changed"] or second["changed"],
        "steps": [*first["steps"], *second["steps"]],
        "diff": {side: {**first["diff"][side], "copy": second["diff"][side]} for side in ("before", "after")},
        "copy": {**second["copy"], "left_out": second["copy_left_out"]},
    }
