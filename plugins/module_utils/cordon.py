# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A cordoned host takes no new instance from this collection."""

from __future__ import annotations

from .config_keys import CORDON
from .steps import Reader


def cordon_of(on: Reader, member: str = "") -> str:
    """Why a host, or a member of its cluster, takes no new instance, or empty."""
    config = on.get(f"cluster/members/{member}")["config"] if member else on.config
    reason: str = (config or {}).get(CORDON, "")
    return reason
