# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Over the product of small desired and current states: a plan that is carried out leaves nothing to do."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.errors import Refused
from ansible_collections.lxdops.compute.plugins.module_utils.instance import Current, Desired, view
from ansible_collections.lxdops.compute.plugins.module_utils.instance_plan import plan
from ansible_collections.lxdops.compute.plugins.module_utils.instance_power import Power
from ansible_collections.lxdops.compute.plugins.module_utils.instance_record import CREATING, PENDING, RESTART
from ansible_collections.lxdops.compute.plugins.module_utils.instance_steps import Create, Delete
from ansible_collections.lxdops.compute.plugins.module_utils.steps import predict
from unit.instances import BOOT, NIC, ROOT, TINY, absent, existing, virtual_machine, want

STATES = ("present", "started", "stopped", "frozen", "suspended", "absent")
CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"config": {"user.a": "1"}, "devices": {"eth0": None}},
    {"config": {"user.a": None, "raw.apparmor": "x"}, "root": {"size": "2GiB"}},
    {"config": {"limits.memory": "1GiB"}, "devices": {"d": None}},
    {"devices": {"eth0": {"mtu": "1400"}, "d": {"type": "disk", "path": "/d", "source": "/s"}}},
    {"description": "d", "ephemeral": True},
    {"profiles": ("default", "big")},
)
HOW: tuple[dict[str, Any], ...] = (
    {},
    {"apply": "restart"},
    {"apply": "live"},
    {"purge_config": True, "purge_devices": True},
)
LOCAL: tuple[dict[str, Any], ...] = (
    {},
    {"config": {"user.a": "1", "limits.memory": "1024MiB"}, "devices": {"eth0": {"type": "none"}}},
    {"config": {PENDING: f"{BOOT} config.raw.lxc"}, "devices": {"d": {"type": "disk", "path": "/d", "source": "/s"}}},
    {"config": {RESTART: f"{BOOT} frozen"}, "devices": {"root": {**ROOT, "size": "1GiB"}, "eth1": NIC}},
    {"config": {**CREATING, "migration.stateful": "true"}},
    {"ephemeral": True},
)


def currents() -> list[Current]:
    """No instance, and containers and virtual machines in every power state, some half-made or half-restarted."""
    powers = ("running", "stopped", "frozen", "suspended", "error")
    made = [make(power, **local) for make, power, local in product((existing, virtual_machine), powers, LOCAL)]
    return [absent(), existing("stopped", config=LOCAL[4]["config"], boot="1970-01-01T00:00:00Z"), *made]


def desireds(state: str) -> list[Desired]:
    """Tasks for a state."""
    return [want(state, source=TINY, **change, **how) for change, how in product(CHANGES, HOW)]


@pytest.mark.parametrize("state", STATES)
def test_a_plan_carried_out_leaves_nothing_to_do(state: str) -> None:
    planned = 0
    for current in currents():
        for desired in desireds(state):
            try:
                steps = plan(desired, current)
            except Refused:
                continue
            planned += 1
            after = predict(current, steps)
            assert plan(desired, after) == [], (desired, current)
            check_sanity(desired, current, after)
    assert planned > 300


def check_sanity(desired: Desired, current: Current, after: Current) -> None:
    """What must hold of any plan, whatever its steps."""
    assert after.exists is (desired.state != "absent")
    if desired.state == "present" and current.exists and not current.restart_begun and not current.unfinished:
        assert after.power == current.power
    steps = plan(desired, current)
    creations = [step for step in steps if isinstance(step, Create)]
    assert len(creations) <= 1
    if creations and current.exists:
        assert current.unfinished
        assert isinstance(steps[0], Delete)
    if (
        desired.state in ("present", "stopped")
        and not current.restart_begun
        and current.power in ("stopped", "suspended")
    ):
        assert not any(isinstance(step, Power) and step.action in ("start", "resume") for step in steps)
    assert bool(steps) or view(after) == view(current)
