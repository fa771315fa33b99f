# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A volume of an instance, and all volumes of a host, for the mechanism."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from .converge import Domain, converge
from .volume import Attachment, Host, Volume, disk_of, view
from .volume_orphans import RECONCILING, Reconcile
from .volume_params import check_execution, volume_from
from .volume_plan import plan, report
from .volume_read import read_attachment
from .volume_record import Records


def converge_volumes(on: Host, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Attach or detach a volume, or clean up after what was cut short; a module's result."""
    check_execution(params)
    on = replace(on, records=Records(params["records"]))
    try:
        if params["state"] == "reconciled":
            return converge(RECONCILING, on, Reconcile(params["force"], params["wait_timeout"]), check)
        return _converge_volume(on, volume_from(params), params["wait_timeout"], check)
    finally:
        on.records.release()


def _converge_volume(on: Host, wanted: Volume, timeout: float, check: bool) -> dict[str, Any]:
    domain: Domain[Host, Volume, Attachment] = Domain(
        kind="attachment",
        settle=partial(_settle, timeout),
        read=read_attachment,
        plan=plan,
        view=partial(view, wanted),
        report=report,
        confirm=lambda _on, _wanted, current: current,
    )
    result = converge(domain, on, wanted, check)
    disk = disk_of(on.records.find(wanted.id, wanted.device))
    return {**result, "source": disk.path if disk else None, "bytes": disk.size if disk else None}


def _settle(timeout: float, on: Host, wanted: Volume) -> bool:
    """Waits for its turn, and for what a killed run left running in the server. What was read before may be old."""
    on.records.hold(timeout)
    on.api.settle(f"instances/{wanted.instance}")
    return True
