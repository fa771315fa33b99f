# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A snapshot, for the mechanism."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from .converge import Domain, converge
from .errors import OperationFailed
from .instance import Desired
from .instance_edit import root_name
from .instance_read import read, read_profiles
from .snapshot import Shelf, Wanted, is_restored, snapshot_from, view
from .snapshot_export import read_exported
from .snapshot_params import wanted_from
from .snapshot_plan import facts, plan, report
from .snapshot_publish import read_published
from .snapshot_set import read_set
from .steps import Api


def read_shelf(on: Api, wanted: Wanted) -> Shelf:
    """The instance and its snapshots: two GETs when nothing is to be done."""
    # Of an absent one no more is read than that it is.
    current = read(on, Desired(wanted.instance, "absent"))
    if not current.exists:
        return Shelf(current)
    # Where the instance went in between, so did its snapshots.
    taken = [snapshot_from(data) for data in on.find(f"{wanted.path}/snapshots", recursion=1) or ()]
    shelf = Shelf(current, {one.name: one for one in taken})
    found = shelf.snapshots.get(wanted.snapshot)
    if wanted.publish is not None:
        shelf = replace(shelf, published=read_published(on, wanted, found))
    if wanted.export is not None:
        shelf = replace(shelf, exported=read_exported(wanted, found))
    if found and found.volumes and (wanted.state != "present" or wanted.volumes):
        facts = read_set(on, wanted.instance, found.volumes, wanted.state == "restored")
        shelf = replace(shelf, found=facts)
    if wanted.state != "restored" or found is None or is_restored(wanted, shelf):
        return shelf
    root = current.expanded_devices.get(root_name(current.expanded_devices), {})
    pool = on.find(f"storage-pools/{root.get('pool', '')}") if root.get("pool") else None
    known = read_profiles(on, found.profiles)
    lost = tuple(name for name in found.profiles if name not in known)
    return replace(shelf, driver=(pool or {}).get("driver", ""), lost_profiles=lost)


def confirm(on: Api, wanted: Wanted, shelf: Shelf) -> Shelf:
    """A snapshot that an earlier run began, and did not live to see, is there before it is whole: wait for it."""
    if not shelf.instance.exists or not on.settle(wanted.path, "snapshot"):
        return shelf
    after = read_shelf(on, wanted)
    if wanted.state == "present" and wanted.snapshot not in after.snapshots:
        raise OperationFailed(
            f"{wanted.where} on {on.name}: the snapshot that another run had begun failed: run this task again"
        )
    return after


def converge_snapshot(on: Api, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Take, delete or restore a snapshot; a module's result."""
    wanted = wanted_from(params)
    domain: Domain[Api, Wanted, Shelf] = Domain(
        kind="snapshot",
        settle=lambda on, wanted: on.settle(wanted.path),
        read=read_shelf,
        plan=plan,
        view=partial(view, wanted),
        report=report,
        confirm=confirm,
    )
    result = converge(domain, on, wanted, check)
    if not result["changed"]:
        return result
    return {**result, **facts(wanted, read_shelf(on, wanted))}
