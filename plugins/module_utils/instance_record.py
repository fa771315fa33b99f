# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What the server's record of an instance says: our markers in it, whose its config is, its power."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from .config_keys import MARK, is_servers

SOURCE, PENDING, RESTART = (MARK + mark for mark in ("source", "pending", "restart"))
"""Markers: digest of the declared source; ``BOOT KEY,KEY`` wait for a restart since that
boot; ``BOOT STATE`` a restart to a state was begun in it. A boot is named by ``last_used_at``."""
LAST_POWER = "volatile.last_state.power"
CREATING = {LAST_POWER: "lxdops creating"}
"""Marker: a creation is under way. A key of the server's own, which it writes over when it starts an instance
(lxd/instance/drivers/driver_common.go recordLastState): taking a marker off takes a tenth of creating and starting."""
FLEET = MARK + "fleet"
"""Marker: the fleet that the instance belongs to. Unlike the others it is shown, and kept by every task."""
HOME = MARK + "home"
"""Marker: the name of the server that it was moved away from, to be brought back to."""
EVACUATED = MARK + "evacuated"
"""Marker: which dead host the instance was evacuated from, and until it is done the power that it shall have."""
REBUILT = MARK + "rebuild_id"
"""Marker: the word that the last rebuild was asked for with."""
REBUILD = MARK + "rebuild"
"""Marker while a rebuild is under way: its journal."""
RESTORED = MARK + "restored"
"""Marker: ``SNAPSHOT WORD`` of the last restore that was asked for with a word."""
QUIESCED = MARK + "quiesced"
"""Marker: ``BOOT DEADLINE`` while it is quiet for a snapshot; see quiesce.py."""
SET = MARK + "set"
RELEASED = MARK + "released"
LASTING = (SOURCE, FLEET, HOME, EVACUATED, REBUILT, REBUILD, RESTORED, QUIESCED, SET, RELEASED)
SECRET = ("cloud-init.user-data", "cloud-init.vendor-data", "user.user-data", "user.vendor-data")
"""Config that often holds passwords: shown as a digest."""
NEVER_USED = ("1970-01-01", "0001-01-01")
POWER = {"Running": "running", "Ready": "running", "Frozen": "frozen", "Stopped": "stopped", "Error": "error"}


def power_of(data: Mapping[str, Any]) -> str:
    """The power of an instance, from the API's record of it."""
    power = POWER.get(data["status"], "error")
    return "suspended" if power == "stopped" and data.get("stateful") else power


def is_creating(config: Mapping[str, str]) -> bool:
    """Whether a config has the marker of a creation."""
    return config.get(LAST_POWER) == CREATING[LAST_POWER]


def created(config: Mapping[str, str]) -> dict[str, str]:
    """A config without the marker of a creation."""
    return {key: value for key, value in config.items() if (key, value) not in CREATING.items()}


def owned(config: Mapping[str, str]) -> dict[str, str]:
    """The config that people declare: without the server's own keys and our markers."""
    return {key: value for key, value in config.items() if not is_servers(key) and not key.startswith(MARK)}


def with_servers_keys(config: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """``config`` for a PUT, with the server's own keys as it has them now."""
    own = {key: value for key, value in found.items() if is_servers(key)}
    return {**own, **{key: value for key, value in config.items() if not is_servers(key)}}


def shown_config(config: Mapping[str, str]) -> dict[str, str | None]:
    """The config as results and diffs show it: what people declare, and the fleet."""
    fleet = {FLEET: config[FLEET]} if FLEET in config else {}
    return {key: shown(key, value) for key, value in sorted({**owned(config), **fleet}.items())}


def shown(key: str, value: str | None) -> str | None:
    """A config value as results and diffs show it."""
    if value is not None and key in SECRET:
        return f"{len(value)} characters, sha256 {hashlib.sha256(value.encode()).hexdigest()[:12]}"
    return value
