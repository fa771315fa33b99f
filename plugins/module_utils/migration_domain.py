# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A move, for the mechanism."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .converge import Domain, converge
from .migration import Link, Move, Pair, view_pair
from .migration_params import move_from
from .migration_plan import plan, report
from .migration_read import read_pair


def settle(on: Link, move: Move) -> bool:
    """Wait for what a killed run left on either server."""
    both = [on.source.settle(f"instances/{move.name}"), on.target.settle(f"instances/{move.new_name}")]
    return any(both)


MIGRATION: Domain[Link, Move, Pair] = Domain(
    kind="migration",
    settle=settle,
    read=read_pair,
    plan=plan,
    view=view_pair,
    report=report,
    confirm=lambda _on, _move, pair: pair,
)


def converge_migration(on: Link, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Bring an instance to another server; a module's result."""
    return converge(MIGRATION, on, move_from(params), check)
