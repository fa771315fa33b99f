# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that every change of a NIC goes through."""

from collections.abc import Mapping
from typing import Any

from integration.case import Lane, same
from integration.killed_run import started
from integration.task import task

MODULE = "lxdops.compute.lxd_interface"
NAME = "nic"
"""The instance that has them."""
PARTS = ("changed", "steps", "diff", "interface", "impact", "pending")
Params = Mapping[str, Any]


def nic_task(lane: Lane, params: Params, *, check: bool = False) -> dict[str, Any]:
    return task({**lane.connection, "name": NAME, **params}, module=MODULE, check=check)


def done(lane: Lane, **params: Any) -> dict[str, Any]:
    result = nic_task(lane, params)
    assert not result.get("failed"), result["msg"]
    return result


def quickly(lane: Lane, **params: Any) -> None:
    """A task without Ansible around it, for what is repeated or beside the point."""
    process = started({**lane.connection, "name": NAME, **params}, module="lxd_interface")
    process.join(timeout=120)
    assert process.exitcode == 0


def proved(lane: Lane, params: Params, shows: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check, apply, again; the result of the apply. `shows`: local devices; all others stay as they are."""
    before = lane.host.everything()
    devices = lane.host.query(f"instances/{NAME}")["devices"]
    checked = nic_task(lane, params, check=True)
    assert not checked.get("failed"), checked["msg"]
    same(lane.host.everything(), before)
    assert checked["changed"]
    applied = done(lane, **params)
    same({part: applied[part] for part in PARTS}, {part: checked[part] for part in PARTS})
    wanted = {name: device for name, device in {**devices, **(shows or {})}.items() if device is not None}
    found = lane.host.query(f"instances/{NAME}")
    assert found["devices"] == wanted
    again = done(lane, **params)
    assert (again["changed"], again["steps"]) == (False, [])
    assert lane.host.query(f"instances/{NAME}") == found
    same(again["interface"], applied["interface"])
    assert (again["hwaddr"], again["host_name"]) == (applied["hwaddr"], applied["host_name"])
    return applied
