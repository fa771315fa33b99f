# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that every task about a snapshot goes through."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from integration.case import Lane, proof, same
from integration.lab_host import run
from integration.task import task

MODULE = "lxdops.compute.lxd_snapshot"
NAME = "snap"
"""The instance that has them."""
PARTS = ("changed", "steps", "diff", "snapshot", "loses")
PATH, LOCK = "/root/data", "/root/locked"
Params = Mapping[str, Any]


def given(lane: Lane, power: str, **body: Any) -> None:
    lane.host.given(NAME, power=power, **body)
    if power == "running":
        lane.host.shell(NAME, f"rm -f {PATH} {LOCK}")
    for name in taken(lane):
        lane.host.call("DELETE", f"instances/{NAME}/snapshots/{name}")


def taken(lane: Lane, name: str = NAME) -> list[str]:
    """The names of the snapshots."""
    return [url.rsplit("/", 1)[1] for url in lane.host.call("GET", f"instances/{name}/snapshots")]


def snap_task(lane: Lane, params: Params, *, check: bool = False) -> dict[str, Any]:
    return task({**lane.connection, "name": NAME, "snapshot": "monday", **params}, module=MODULE, check=check)


def done(lane: Lane, **params: Any) -> dict[str, Any]:
    result = snap_task(lane, params)
    assert not result.get("failed"), result["msg"]
    return result


def everything(lane: Lane, name: str = NAME) -> dict[str, Any]:
    found = lane.host.everything()
    return {**found, "snapshots": lane.host.call("GET", f"instances/{name}/snapshots?recursion=1")}


def proved(lane: Lane, seen: Callable[[Lane], dict[str, Any]] = everything, /, **params: Any) -> dict[str, Any]:
    """Check, apply, again; the result of the apply. ``seen``: all that the task may change."""
    applied, again = proof(lambda check: snap_task(lane, params, check=check), PARTS, lambda: seen(lane))
    same(again["snapshot"], applied["snapshot"])
    return applied


def checked(file: Path) -> None:
    """A complete file, with its checksum, which nobody else may read; nothing else is in the directory."""
    beside = file.with_name(f"{file.name}.sha256")
    run(["sh", "-c", f"cd {file.parent} && sha256sum --check --strict {beside.name}"])
    assert {path.name for path in file.parent.iterdir()} == {file.name, beside.name}
    assert [path.stat().st_mode & 0o777 for path in (file, beside)] == [0o600] * 2
