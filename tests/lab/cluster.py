# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making one cluster out of the hosts: the first bootstraps it, the others join with a token."""

from collections.abc import Sequence
from functools import partial

from . import api, preseed
from .errors import LabError
from .host import Host
from .processes import wait_until


class LostRace(LabError):
    """LXD 5.0 led its database before its own log was applied to it: its host is of no use then."""


def bootstrap(first: Host) -> None:
    """Make a cluster of one. Raises LostRace where that needs another, new host."""
    cluster = {"cluster": {"enabled": True, "server_name": first.name}}
    try:
        preseed.apply(first, preseed.standalone(first) | cluster)
    except LabError as error:
        if "Failed to fetch nodes: no such table" in str(error):
            raise LostRace(str(error)) from error
        raise


def join(first: Host, others: Sequence[Host]) -> None:
    """Let the others join the first, one after another."""
    for host in others:
        token = preseed.client(first, "cluster", "add", host.name, "--quiet").split()[-1]
        member = {
            "enabled": True,
            "server_name": host.name,
            "server_address": f"{host.address}:8443",
            "cluster_token": token,
            "member_config": [
                {"entity": "storage-pool", "name": preseed.FAST_POOL, "key": "size", "value": preseed.FAST_SIZE},
            ],
        }
        try:
            preseed.apply(host, {"cluster": member})
        except LabError as error:  # on a slow machine the client program may give up while the daemon goes on
            wait_until(partial(_is_member, host), 60, f"{host.name} is a member, after: {error}")


def _is_member(host: Host) -> bool:
    try:
        return bool(api.call(host.socket, "GET", "/1.0/cluster")["enabled"])
    except (LabError, OSError):  # it closes its sockets for a moment when it joins
        return False
