# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Instances that a boot guard holds: they do not start by themselves when their host comes up (roles/host_record)."""

from __future__ import annotations

from collections.abc import Mapping

from .config_keys import MARK
from .migration import TRUE

GUARDED = MARK + "held"
"""Marker: ``AUTOSTART POWER`` as they were, each may be empty: the local boot.autostart and the server's last power."""
AUTOSTART = "boot.autostart"
LAST_POWER = "volatile.last_state.power"


def freed(config: Mapping[str, str]) -> dict[str, str]:
    """The config as it was before the guard."""
    if GUARDED not in config:
        return dict(config)
    autostart = config[GUARDED].partition(" ")[0]
    own = {key: value for key, value in config.items() if key not in (GUARDED, AUTOSTART)}
    return {**own, AUTOSTART: autostart} if autostart else own


def would_start(config: Mapping[str, str], inherited: Mapping[str, str]) -> bool:
    """Whether the server would have started a held instance, as its instanceShouldAutoStart decides (lxd/instances.go).

    ``inherited``: the config of its profiles."""
    own, _space, power = config.get(GUARDED, "").partition(" ")
    autostart = own or inherited.get(AUTOSTART, "")
    if autostart in ("", "last-state"):
        return power == "RUNNING"
    return autostart.lower() in TRUE
