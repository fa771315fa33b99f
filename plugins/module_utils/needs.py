# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What placement looks at in an instance, besides its devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TOGETHER, APART = "user.placement.together", "user.placement.apart"
"""Config of instances: the group that stays on one host, and the groups (comma-separated) whose members do not."""
NEEDS = ("limits.memory", "limits.cpu", TOGETHER, APART)
"""All config that placement looks at, also where profiles give it."""


def used_by(data: Mapping[str, Any]) -> int:
    """Bytes of memory that an instance uses now, as far as it was asked for (recursion=2); of a stopped one none."""
    memory = (data.get("state") or {}).get("memory") or {}
    return int(memory.get("usage", 0))
