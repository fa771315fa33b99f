# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A rebuild, for the mechanism."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .converge import Domain, converge
from .rebuild import Rebuild, Roots, view_roots
from .rebuild_params import rebuild_from
from .rebuild_plan import plan, report
from .rebuild_read import names_of, read_roots
from .steps import Api


def settle(on: Api, rebuild: Rebuild) -> bool:
    """Wait for what a killed run left, under any of the names."""
    waited = [on.settle(f"instances/{name}") for name in vars(names_of(rebuild)).values()]
    return any(waited)


REBUILD: Domain[Api, Rebuild, Roots] = Domain(
    kind="instance",
    settle=settle,
    read=read_roots,
    plan=plan,
    view=view_roots,
    report=report,
    confirm=lambda _on, _rebuild, roots: roots,
)


def converge_rebuild(on: Api, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Give an instance a new root; a module's result."""
    return converge(REBUILD, on, rebuild_from(params), check)
