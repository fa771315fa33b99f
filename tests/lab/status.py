# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is and how it does, as a table."""

import http.client
from collections.abc import Sequence

from . import api, network
from .errors import LabError
from .host import Host, daemon, holder
from .state import Lab

HEAD = ("HOST", "ADDRESS", "VERSION", "STATE", "INSTANCES")


def row(host: Host, links: dict[str, bool]) -> tuple[str, ...]:
    """One host: up, cut (no network), down (no daemon), silent (a daemon that does not answer) or gone."""
    version, count = "-", "-"
    held_by = holder(host)
    if held_by is None:
        condition = "gone"
    elif daemon(host, held_by) is None:
        condition = "down"
    else:
        condition = "up" if links.get(network.wire_name(host.lab.name, host.number)) else "cut"
        try:
            version = api.call(host.socket, "GET", "/1.0", timeout=5)["environment"]["server_version"]
            count = str(len(api.call(host.socket, "GET", "/1.0/instances?all-projects=true", timeout=15)))
        except (LabError, OSError, http.client.HTTPException):
            condition += ", silent"
    return host.name, host.address, f"{host.lab.product} {version}", condition, count


def table(lab: Lab, hosts: Sequence[Host]) -> str:
    """All hosts of the lab, and where their description lies."""
    links = network.links()
    rows = [HEAD, *(row(host, links) for host in hosts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in rows]
    complete = f"inventory: {lab.directory}/inventory.yml" if lab.summary.exists() else "half made: run `up` again"
    return "\n".join([*lines, complete])
