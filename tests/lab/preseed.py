# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every host holds from the start: pools `default` and `fast`, network `lab0`, the default profile, images."""

import json
from pathlib import Path
from typing import Any

from . import api
from .host import Host, client_environment
from .processes import run

POOL, FAST_POOL, NETWORK = "default", "fast", "lab0"
FAST_SIZE = "2GiB"


def standalone(host: Host) -> dict[str, Any]:
    """The preseed of a host by itself, and of the first member of a cluster."""
    profiles = [
        {
            "name": "default",
            "devices": {
                "root": {"type": "disk", "path": "/", "pool": POOL},
                "eth0": {"type": "nic", "network": NETWORK, "name": "eth0"},
            },
        }
    ]
    if host.criu:
        # a container can be dumped only where LXC has given it no console
        profiles.append(
            {
                "name": "criu",
                "config": {"raw.lxc": "lxc.console.path = none"},
                "devices": {"root": {"type": "disk", "path": "/", "pool": FAST_POOL}},
            }
        )
    return {
        "config": {"core.https_address": f"{host.address}:8443"},
        "storage_pools": [
            {"name": POOL, "driver": "dir"},
            {"name": FAST_POOL, "driver": "btrfs", "config": {"size": FAST_SIZE}},
        ],
        # The same subnet on every host: an instance keeps its address when it moves.
        "networks": [
            {
                "name": NETWORK,
                "type": "bridge",
                "config": {"ipv4.address": "10.177.0.1/24", "ipv4.nat": "true", "ipv6.address": "none"},
            }
        ],
        "profiles": profiles,
    }


def client(host: Host, *words: str | Path) -> str:
    """What the product's client program prints when run against the host."""
    return run([host.product.client, *words], env=client_environment(host), timeout=120)


def apply(host: Host, preseed: dict[str, Any]) -> None:
    """Feed a preseed to the host's daemon."""
    run(host.product.preseed, text=json.dumps(preseed), env=client_environment(host), timeout=180)


def add_images(host: Host, images: dict[str, Path]) -> None:
    """Import the images, each under its alias; by the API, since the client program gives up on a slow machine."""
    for alias, image in images.items():
        fingerprint = api.operate(host.socket, "POST", "/1.0/images", image.read_bytes())["fingerprint"]
        api.call(host.socket, "POST", "/1.0/images/aliases", {"name": alias, "target": fingerprint})
