# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that every change of a NIC goes through."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from integration import case
from integration.case import Lane, same
from integration.killed_run import started
from integration.task import task

MODULE = "lxdops.compute.lxd_interface"
NAME = "nic"
"""The instance that has them."""
PARTS = ("changed", "steps", "diff", "interface", "impact", "pending")
Params = Mapping[str, Any]
Run = Callable[[Params, bool], dict[str, Any]]
"""A task with these parameters, whether it only checks -> its result."""


class Server(Protocol):
    """The server of the instance, as it is seen without the module."""

    def query(self, path: str) -> Any:
        """What `lxc query` shows."""

    def everything(self) -> dict[str, Any]:
        """All that a task could change: to be compared."""


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
    """The proof, on a lab host."""
    return proof(lambda asked, check: nic_task(lane, asked, check=check), lane.host, params, shows)


def proof(run: Run, server: Server, params: Params, shows: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check, apply, again; the result of the apply. `shows`: local devices; all others stay as they are."""
    instance = f"instances/{params.get('name', NAME)}"
    devices = server.query(instance)["devices"]
    seen = partial(server.query, instance)
    applied, again = case.proof(partial(run, params), PARTS, server.everything, seen)
    wanted = {name: device for name, device in {**devices, **(shows or {})}.items() if device is not None}
    assert seen()["devices"] == wanted
    same(again["interface"], applied["interface"])
    assert (again["hwaddr"], again["host_name"]) == (applied["hwaddr"], applied["host_name"])
    return applied
