# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A network interface of an instance: what it shall be, what it is, and what its type admits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import Refused
from .instance import Current, Devices, Server

MASK = {"type": "none"}
"""The local device that hides one which a profile gives."""
TAG = "user.tag"
OF_NETWORK = {"bridge": "bridged", "macvlan": "macvlan", "sriov": "sriov", "ovn": "ovn", "physical": "physical"}
"""The type of NIC that a type of managed network makes."""
# Which types of NIC have an option, on any server: validateConfig in lxd/device/nic_*.go (5.0 to 6.9) and
# internal/server/device/nic_*.go (Incus 6.0 to 7.0). A type with @incus has it there only.
TABLE = """
network bridged macvlan sriov ovn physical
nictype bridged macvlan sriov physical routed ipvlan p2p ovn
parent bridged macvlan sriov physical routed ipvlan
name bridged macvlan sriov ovn physical routed ipvlan p2p
hwaddr bridged macvlan sriov ovn physical routed ipvlan p2p
user.tag bridged macvlan sriov ovn physical routed ipvlan p2p
host_name bridged ovn routed p2p
mtu bridged macvlan sriov ovn physical routed ipvlan p2p
vlan bridged macvlan sriov ovn physical routed ipvlan
vlan.tagged bridged physical@incus
ipv4.address bridged ovn routed ipvlan
ipv6.address bridged ovn routed ipvlan
ipv4.routes bridged ovn routed p2p
ipv6.routes bridged ovn routed p2p
ipv4.routes.external bridged ovn
ipv6.routes.external bridged ovn
limits.ingress bridged routed p2p ovn@incus
limits.egress bridged routed p2p ovn@incus
limits.max bridged routed p2p ovn@incus
limits.priority bridged routed p2p ovn@incus
security.mac_filtering bridged sriov
security.ipv4_filtering bridged
security.ipv6_filtering bridged
security.port_isolation bridged
security.acls ovn bridged@incus
security.acls.default.ingress.action ovn bridged@incus
security.acls.default.egress.action ovn bridged@incus
security.acls.default.ingress.logged ovn bridged@incus
security.acls.default.egress.logged ovn bridged@incus
boot.priority bridged macvlan sriov ovn physical p2p
"""
ADMITTED = {option: tuple(types) for option, *types in (line.split() for line in TABLE.split("\n") if line)}
EXTENSIONS = {
    ("limits.priority", ""): "instances_nic_limits_priority",
    ("security.acls", "bridged"): "network_bridge_acl_devices",
}
"""What a server needs for an option, and those that begin so; of one type of NIC, or any."""
FROM_NETWORK = {"bridged": ("mtu",), "macvlan": ("mtu", "vlan"), "sriov": ("mtu", "vlan"), "physical": ("mtu", "vlan")}
"""Options that a NIC of a managed network has from there, and cannot have of its own."""
LIMITS = ("limits.ingress", "limits.egress", "limits.max", "limits.priority")
ROUTES = ("ipv4.routes", "ipv6.routes")
BRIDGED = (*LIMITS, *ROUTES, "ipv4.routes.external", "ipv6.routes.external", "ipv4.address", "ipv6.address")
FILTERING = ("security.mac_filtering", "security.ipv4_filtering", "security.ipv6_filtering")
LIVE = {"bridged": (*BRIDGED, *FILTERING), "routed": LIMITS, "p2p": (*LIMITS, *ROUTES), "ovn": ("security.acls",)}
"""What the server changes without unplugging the NIC (UpdatableFields in the same files), by type."""
COLD = ("ipvlan",)
"""Types that no server plugs into a running instance (CanHotPlug)."""


@dataclass(frozen=True)
class Interface:
    """What a task says of one NIC, in LXD's terms. ``options``: those named; None removes one."""

    instance: str
    state: str = "attached"
    device: str = ""
    hwaddr: str = ""
    options: Mapping[str, str | None] = field(default_factory=dict)
    apply: str = "replug"
    force: bool = False
    stop_timeout: int = 30

    @property
    def path(self) -> str:
        return f"instances/{self.instance}"


def nics(current: Current) -> Devices:
    """The NICs that an instance has, of its own and of its profiles."""
    return {name: device for name, device in current.expanded_devices.items() if device.get("type") == "nic"}


def mac_of(current: Current, name: str) -> str:
    """The MAC address of a NIC: declared, or as the server made it; empty where there is none yet."""
    declared = current.expanded_devices.get(name, {}).get("hwaddr")
    return (declared or current.config.get(f"volatile.{name}.hwaddr", "")).lower()


def name_of(wanted: Interface, current: Current) -> str:
    """The name of the device that a task is about: as it says, or that of the NIC with its MAC address, or empty."""
    if wanted.device:
        return wanted.device
    return next((name for name in sorted(nics(current)) if mac_of(current, name) == wanted.hwaddr), "")


def free_name(current: Current) -> str:
    """The first of eth0, eth1, ... that neither a device nor an interface in the guest is called by."""
    inside = {device.get("name") for device in current.expanded_devices.values()}
    inside |= {value for key, value in current.config.items() if key.startswith("volatile.") and key.endswith(".name")}
    taken = {*inside, *current.expanded_devices, *current.devices}
    return next(name for number in range(len(taken) + 1) if (name := f"eth{number}") not in taken)


def type_of(device: Mapping[str, str], current: Current) -> str:
    """The type of a NIC, or empty where its network is not known."""
    if not device.get("network"):
        return device.get("nictype", "")
    kind, _names = (current.server.networks or {}).get(device["network"], ("", False))
    return OF_NETWORK.get(kind, "")


def check_options(where: str, device: Mapping[str, str], nic_type: str, server: Server) -> None:
    """Refuses options that a NIC of a type does not have."""
    product = server.product
    for option in sorted(device):
        admitted = [name.partition("@") for name in ADMITTED.get(option, ())]
        if any(name == nic_type and only in ("", product) for name, _at, only in admitted):
            _check_extension(where, option, nic_type, server)
            if device.get("network") and option in FROM_NETWORK.get(nic_type, ()):
                refuse_from_network(where, option, device["network"])
            continue
        if option in ADMITTED:
            types = sorted(name for name, _at, only in admitted if only in ("", product))
            near = "; of a managed bridge the network itself has it" if option.startswith("security.acls") else ""
            raise Refused(
                f"{where}: {option}: a NIC of type {nic_type} has no such option on this server ({product}), those of "
                f"type {', '.join(types)} have it{near}",
                option=option,
                allowed=types,
            )


def _check_extension(where: str, option: str, nic_type: str, server: Server) -> None:
    for (begin, kind), extension in EXTENSIONS.items():
        if option.startswith(begin) and kind in ("", nic_type) and extension not in server.extensions:
            raise Refused(
                f"{where}: {option}: this server ({server.product}) is too old for it: it has no API extension "
                f"{extension}",
                option=option,
            )


def refuse_from_network(where: str, option: str, network: str) -> None:
    """Refuses an option that a managed network sets for its NICs."""
    # LXD 5.0 lets a bridged NIC have a VLAN of its own, so that is not in the table.
    raise Refused(
        f"{where}: {option} comes from the network {network} and cannot be set on a NIC of it; set it there, or use "
        "parent and nictype in the place of network",
        option=option,
    )


def view(wanted: Interface, current: Current) -> dict[str, Any]:
    """A NIC as results and diffs show it."""
    name = name_of(wanted, current)
    device = nics(current).get(name)
    shown: dict[str, Any] = {"instance": current.name, "device": name or None}
    if device is None:
        return {**shown, "state": "detached"}
    options = dict(sorted(device.items()))
    return {**shown, "state": "attached", "inherited": name not in current.devices, "options": options}
