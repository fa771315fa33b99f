# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making one cluster out of the hosts: the first bootstraps it, the others join with a token."""

from collections.abc import Sequence

from . import preseed
from .host import Host


def form(hosts: Sequence[Host]) -> None:
    """Bootstrap on the first host, then let the others join, one after another."""
    first = hosts[0]
    bootstrap = {"cluster": {"enabled": True, "server_name": first.name}}
    preseed.apply(first, preseed.standalone(first) | bootstrap)
    # a dead member is told within the shortest time that LXD admits
    preseed.client(first, "config", "set", "cluster.offline_threshold", "11")
    for host in hosts[1:]:
        token = preseed.client(first, "cluster", "add", host.name, "--quiet").split()[-1]
        join = {
            "enabled": True,
            "server_name": host.name,
            "server_address": f"{host.address}:8443",
            "cluster_token": token,
            "member_config": [
                {"entity": "storage-pool", "name": preseed.FAST_POOL, "key": "size", "value": preseed.FAST_SIZE},
            ],
        }
        preseed.apply(host, {"cluster": join})
