# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""All volumes of a host: what they are, and those that are left of what was cut short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .block import holders
from .converge import Domain
from .steps import Step
from .volume import Host, User, disk_of, here, users_of
from .volume_leftovers import Leftover, leftovers, remove
from .volume_params import check_execution
from .volume_read import identity, member
from .volume_record import Record, Records
from .volume_steps import release


@dataclass(frozen=True)
class Volumes:
    """The records of a host, and who uses which volume."""

    records: tuple[Record, ...] = ()
    users: Mapping[str, tuple[User, ...]] = field(default_factory=dict)
    server: str = ""
    leftovers: tuple[Leftover, ...] = ()
    """Of ours that no record is about."""

    @property
    def orphans(self) -> tuple[Record, ...]:
        """Volumes that are connected, or half so, for instances of this daemon, of which none has them."""
        return tuple(
            record
            for record in self.records
            if record.server == self.server and not self.users.get(record.volume) and not record.awaits
        )

    @property
    def missing(self) -> dict[str, tuple[User, ...]]:
        """Volumes that instances of this host have, and that are not connected here."""
        known = {record.volume for record in self.records}
        return {volume: users for volume, users in sorted(self.users.items()) if volume not in known}


@dataclass(frozen=True)
class Reconcile:
    """What a task says of all volumes."""

    force: bool = False
    timeout: float = 300


@dataclass(frozen=True)
class Reclaim:
    """Disconnect an orphan."""

    record: Record
    force: bool = False

    @property
    def text(self) -> str:
        return f"disconnect volume {self.record.volume}, which no instance has"

    def effect(self, current: Volumes) -> Volumes:
        return replace(current, records=tuple(record for record in current.records if record != self.record))

    def run(self, on: Host) -> None:
        release(on, self.record, self.force)


@dataclass(frozen=True)
class Sweep:
    """Remove what no record is about."""

    leftover: Leftover

    @property
    def text(self) -> str:
        return f"remove {self.leftover.text}, which no record is about"

    def effect(self, current: Volumes) -> Volumes:
        return replace(current, leftovers=tuple(one for one in current.leftovers if one != self.leftover))

    def run(self, _on: Host) -> None:
        remove(self.leftover)


def read(on: Host, _wanted: Reconcile) -> Volumes:
    """All volumes of the host."""
    found = users_of(on.api.get("instances", recursion=1, **{"all-projects": "true"}))
    mine = {volume: users for volume, all_users in found.items() if (users := here(all_users, member(on)))}
    records = tuple(on.records.all())
    return Volumes(records, mine, identity(on), leftovers(records))


def plan(wanted: Reconcile, current: Volumes) -> list[Step[Volumes, Host]]:
    """A step for each orphan, and for each leftover."""
    orphans = [Reclaim(record, wanted.force) for record in current.orphans]
    return [*orphans, *(Sweep(leftover) for leftover in current.leftovers)]


def view(current: Volumes) -> dict[str, Any]:
    """The volumes of a host as results and diffs show them."""
    return {
        "connected": [record.volume for record in current.records],
        "orphans": [record.volume for record in current.orphans],
        "missing": list(current.missing),
        "leftovers": [leftover.text for leftover in current.leftovers],
    }


def _settle(on: Host, wanted: Reconcile) -> bool:
    on.records.hold(wanted.timeout)
    return True


RECONCILING: Domain[Host, Reconcile, Volumes] = Domain(
    kind="volumes",
    settle=_settle,
    read=read,
    plan=plan,
    view=view,
    report=lambda _wanted, _current: {},
    confirm=lambda _on, _wanted, current: current,
)


def volumes_info(on: Host, params: Mapping[str, Any], _check: bool = False) -> dict[str, Any]:
    """A module's result: the volumes, as LXD, the records and the kernel see them, and the connector of the host."""
    check_execution(params)
    on = replace(on, records=Records(params["records"]))
    current = read(on, Reconcile())
    orphans = current.orphans
    shown = [_shown(record, current.users.get(record.volume, ()), record in orphans) for record in current.records]
    missing = [
        {"volume": volume, "users": [_user(user) for user in users]} for volume, users in current.missing.items()
    ]
    return {
        "changed": False,
        "volumes": shown,
        "orphans": [record.volume for record in orphans],
        "missing": missing,
        "leftovers": [leftover.text for leftover in current.leftovers],
        "connector": on.brick.properties(on.address) if params["connector"] else None,
    }


def _shown(record: Record, users: tuple[User, ...], orphan: bool) -> dict[str, Any]:
    disk = disk_of(record)
    return {
        "volume": record.volume,
        "protocol": record.connection.get("driver_volume_type"),
        "source": record.path or None,
        "connected": disk is not None,
        "bytes": disk.size if disk else None,
        "held": list(holders(disk)) if disk else [],
        "users": [_user(user) for user in users],
        "orphan": orphan,
        "awaits": record.awaits or None,
        "connection": dict(record.connection),
        "replaces": record.replaces.get("volume"),
        "copied": record.replaces.get("copied"),
    }


def _user(user: User) -> dict[str, str]:
    return {"project": user.project, "instance": user.instance, "device": user.device}
