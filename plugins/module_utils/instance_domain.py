# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""An instance, for the mechanism."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .converge import Domain, converge
from .instance import Current, Desired, view
from .instance_backup import importing, read_instance
from .instance_params import desired_from
from .instance_plan import plan, report
from .steps import Api
from .wait_for import check_conditions, confirm

INSTANCE: Domain[Api, Desired, Current] = Domain(
    kind="instance",
    settle=lambda on, desired: on.settle(desired.path),
    read=read_instance,
    plan=lambda desired, current: [importing(step) for step in plan(desired, current)],
    view=view,
    report=report,
    confirm=confirm,
)


def converge_instance(on: Api, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Bring one instance to the state that a task's validated parameters declare; a module's result."""
    desired = desired_from(params)
    check_conditions(desired.name, desired.wait_for)
    return converge(INSTANCE, on, desired, check)
