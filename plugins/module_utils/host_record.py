# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The record of a host: what is needed to make its instances again elsewhere, should it die. Without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from .compare import quantity
from .guard import GUARDED, freed
from .instance_record import PENDING, RESTART, SECRET, power_of
from .migration import identify, identity
from .needs import NEEDS, used_by
from .steps import Api

SECRETS = re.compile(r"passw|secret|token|private", re.IGNORECASE)
"""What the name of a key looks like whose value is not to be kept."""


def host_record(on: Api, _params: Mapping[str, Any], _check: bool = False) -> dict[str, Any]:
    """A module's result. Only reads, so check mode is no other."""
    query = {"all-projects": "true"}
    found = on.get("instances", recursion=2, **query)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"changed": False, "record": record_of(identify(on), on.environment, now, found)}


def record_of(
    host: str, environment: Mapping[str, Any], time: str, found: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The record. ``time`` is the only part that differs where nothing has changed."""
    instances = [recorded(data) for data in found]
    return {
        "identity": host,
        "server": environment.get("server", "lxd"),
        "server_name": environment.get("server_name", ""),
        "clustered": bool(environment.get("server_clustered")),
        "time": time,
        "instances": sorted(instances, key=lambda one: (one["project"], one["name"])),
    }


def recorded(data: Mapping[str, Any]) -> dict[str, Any]:
    """One instance, from the API's record of it."""
    power = power_of(data)
    held = data["config"].get(GUARDED)
    if power == "stopped" and held and held.endswith("RUNNING"):
        power = "running"
    whole = {key: value for key, value in identity(freed(data["config"])).items() if key not in (PENDING, RESTART)}
    config = {key: value for key, value in whole.items() if not is_secret(key)}
    devices = {name: kept(device) for name, device in data["devices"].items()}
    left_out = sorted(whole.keys() - config.keys())
    for name, device in sorted(data["devices"].items()):
        left_out += sorted(f"devices.{name}.{key}" for key in device.keys() - devices[name].keys())
    expanded = data.get("expanded_config") or {}
    return {
        "name": data["name"],
        "project": data.get("project", "default"),
        "type": data["type"],
        "architecture": data["architecture"],
        "description": data.get("description", ""),
        "profiles": list(data["profiles"] or ()),
        "ephemeral": data["ephemeral"],
        "power": power,
        "config": config,
        "devices": devices,
        "expanded_config": {key: expanded[key] for key in NEEDS if key in expanded},
        "expanded_devices": {name: kept(device) for name, device in (data["expanded_devices"] or {}).items()},
        "memory": 0 if quantity(expanded.get("limits.memory", "")) else roughly(used_by(data)),
        "left_out": left_out,
    }


def is_secret(key: str) -> bool:
    """Whether the value of a key is not to be kept."""
    return key in SECRET or bool(SECRETS.search(key))


def kept(device: Mapping[str, str]) -> dict[str, str]:
    """A device without its secrets."""
    return {key: value for key, value in device.items() if not is_secret(key)}


def roughly(size: int) -> int:
    """Bytes, up to the next power of two: a record shall not differ because a guest used some more memory."""
    return 1 << (size - 1).bit_length() if size else 0
