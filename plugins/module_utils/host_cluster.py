# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The evacuation of a member by its cluster's own engine, and what that leaves undone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .config_keys import MARK
from .errors import NotFound, OperationFailed
from .steps import Api

EVACUATING = MARK + "evacuating"
"""Key of a member's config while it is evacuated: PROJECT/NAME of the instances that ran."""

OPERATION = "cluster member"
"""In the descriptions of the operations, which name no resource (lxd/db/operationtype)."""


def instances_on(on: Api, member: str) -> list[dict[str, Any]]:
    """The instances of all projects that are on a member."""
    everywhere = on.get("instances", recursion=1, **{"all-projects": "true"})
    return [data for data in everywhere if data["location"] == member]


def remaining(on: Api, member: str) -> list[dict[str, str]]:
    """Those of them that are still there, as a result names them."""
    return [{key: data[key] for key in ("name", "project", "status")} for data in instances_on(on, member)]


def crash_of(data: Mapping[str, Any]) -> list[str]:
    """The device, in words, on which the server ends with a nil pointer when it evacuates an instance that leaves it to
    the server what becomes of it: a disk of no pool (``disk.CanMigrate``, lxd/device/disk.go)."""
    if data["expanded_config"].get("cluster.evacuate", "auto") != "auto":
        return []
    disks = {name: device for name, device in data["expanded_devices"].items() if device["type"] == "disk"}
    found = [name for name, device in sorted(disks.items()) if device.get("path") != "/" and not device.get("pool")]
    return [f"{data['name']} (project {data['project']}, device {name})" for name in found[:1]]


def rewrite_member(on: Api, member: str, changes: Mapping[str, str | None]) -> None:
    """Set config keys of a member; None removes one."""
    found = on.find_tagged(f"cluster/members/{member}")
    if found is None:
        raise NotFound(f"{member} is no longer a member of {on.name}")
    data, etag = found
    config = {key: value for key, value in (data["config"] or {}).items() if key not in changes}
    config |= {key: value for key, value in changes.items() if value is not None}
    kept = {key: data[key] for key in ("description", "roles", "failure_domain", "groups") if key in data}
    on.put(f"cluster/members/{member}", {**kept, "config": config}, etag)


def evacuate(on: Api, member: str, mode: str) -> None:
    """Evacuate a member: afterwards all that ran runs again, but for what the server can only stop.

    The server stops an instance before it moves it. Where it fails between the two it leaves it so, and LXD 5.0 does
    not start it when it moves it another time. So those that ran are noted on the member, as long as not all run again.
    """
    data = on.get(f"cluster/members/{member}")
    if EVACUATING not in (data["config"] or {}):
        running = [f"{one['project']}/{one['name']}" for one in instances_on(on, member) if one["status"] == "Running"]
        rewrite_member(on, member, {EVACUATING: ",".join(sorted(running)) or "none"})
    try:
        if data["status"].lower() != "evacuated":
            on.post(f"cluster/members/{member}/state", {"action": "evacuate", **({"mode": mode} if mode else {})})
    except OperationFailed:
        _start_again(on, member)
        raise
    _start_again(on, member)


def _start_again(on: Api, member: str) -> None:
    """Start those of the noted instances that stand still, where they are; on the member only if it is in service."""
    data = on.get(f"cluster/members/{member}")
    noted = data["config"][EVACUATING].split(",")
    out = member if data["status"].lower() == "evacuated" else ""
    for one in on.get("instances", recursion=1, **{"all-projects": "true"}):
        if f"{one['project']}/{one['name']}" in noted and one["status"] == "Stopped" and one["location"] != out:
            on.put(f"instances/{one['name']}/state", {"action": "start"}, project=one["project"])
    rewrite_member(on, member, {EVACUATING: None})
