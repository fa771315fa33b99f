# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's wires: one bridge on the machine, and per host a network namespace with a veth pair into it."""

import json
import os
import zlib
from collections.abc import Collection
from pathlib import Path

from .errors import LabError
from .processes import run
from .state import ROOT, Lab


def choose_subnet(name: str, taken: Collection[int]) -> int:
    """The third number of 10.77.x.0/24: always the same for a name, unless it is taken."""
    wanted = zlib.crc32(name.encode())
    for step in range(250):
        subnet = (wanted + step) % 250 + 1
        if subnet not in taken:
            return subnet
    raise LabError("no free subnet in 10.77.0.0/16")


def subnets_in_use() -> set[int]:
    """The 10.77.x.0/24 that the machine has an address in."""
    addresses = [
        address["local"]
        for link in json.loads(run(["ip", "-json", "-4", "address", "show"]))
        for address in link.get("addr_info", [])
    ]
    return {int(address.split(".")[2]) for address in addresses if address.startswith("10.77.")}


def links() -> dict[str, bool]:
    """The machine's links by name, and whether each is set up."""
    return {link["ifname"]: "UP" in link["flags"] for link in json.loads(run(["ip", "-json", "link", "show"]))}


def namespace_file(lab: str, number: int) -> Path:
    """The file that host `number`'s network namespace is mounted on, so that it can be told without a process."""
    return ROOT / lab / f"host{number}.net"


def namespace_files(lab: str) -> list[Path]:
    """Those of all hosts of the lab."""
    return sorted((ROOT / lab).glob("host*.net"))


def wire_name(lab: str, number: int) -> str:
    """The machine's end of host `number`'s wire."""
    return f"ll-{lab}-{number}"


def address(lab: Lab, number: int) -> str:
    """Host `number`'s address in the lab."""
    return f"10.77.{lab.subnet}.{10 + number}"


def add_bridge(lab: Lab) -> None:
    """The bridge all hosts of the lab hang on."""
    run(["ip", "link", "add", lab.bridge, "type", "bridge"])
    run(["ip", "address", "add", f"{lab.gateway}/24", "dev", lab.bridge])
    run(["ip", "link", "set", lab.bridge, "up"])


def add_host(lab: Lab, number: int) -> None:
    """A network namespace whose eth0 is wired to the bridge."""
    netns, wire = namespace_file(lab.name, number), wire_name(lab.name, number)
    netns.touch()
    run(["unshare", f"--net={netns}", "true"])
    run(["ip", "link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", netns])
    inside = f"""
        link set lo up
        link set eth0 up
        address add {address(lab, number)}/24 dev eth0
        route add default via {lab.gateway}
    """
    run(["nsenter", f"--net={netns}", "ip", "-batch", "-"], text=inside)
    run(["ip", "link", "set", wire, "master", lab.bridge, "up"])


def cut(lab: Lab, number: int) -> None:
    """Pull the host's plug."""
    run(["ip", "link", "set", wire_name(lab.name, number), "down"])


def heal(lab: Lab, number: int) -> None:
    """Put the host's plug back."""
    run(["ip", "link", "set", wire_name(lab.name, number), "up"])


def remove(name: str) -> None:
    """The bridge, wires and network namespaces of a lab, whatever is left of them."""
    for link in links():
        if link == f"ll-{name}" or link.startswith(f"ll-{name}-"):
            run(["ip", "link", "delete", link])
    for file in namespace_files(name):
        if os.path.ismount(file):  # Path.is_mount knows directories only
            run(["umount", file])
