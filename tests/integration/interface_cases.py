# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of lxd_interface, as tests prove them one by one; tests/unit/test_options_proved.py misses none."""

from collections.abc import Mapping, Sequence
from typing import Any

BACK, PHYSICAL = "nicback", "nicphys"
MAC, MAC2 = "00:16:3e:77:00:01", "00:16:3e:77:00:02"
Params = Mapping[str, Any]
Change = tuple[Params, Mapping[str, str | None], str]
"""What a task says of eth1, which keys of the device change by that, and how that takes effect."""

# The first of each attaches; then the NIC is changed, and detached. All on a running instance.
ROWS: dict[str, Sequence[Change]] = {
    "network, hwaddr, interface": (
        (
            {"network": BACK, "hwaddr": MAC, "interface": "back0"},
            {"network": BACK, "hwaddr": MAC, "name": "back0"},
            "live",
        ),
        ({"hwaddr": MAC2}, {"hwaddr": MAC2}, "replug"),
        ({"interface": "back1"}, {"name": "back1"}, "replug"),
    ),
    "host_name": (
        ({"network": BACK, "host_name": "nicveth0"}, {"network": BACK, "host_name": "nicveth0"}, "live"),
        ({"host_name": "nicveth1"}, {"host_name": "nicveth1"}, "replug"),
    ),
    "parent, mtu": (
        (
            {"parent": BACK, "nictype": "bridged", "mtu": "1400"},
            {"parent": BACK, "nictype": "bridged", "mtu": "1400"},
            "live",
        ),
        ({"mtu": "1300"}, {"mtu": "1300"}, "replug"),
        ({"mtu": ""}, {"mtu": None}, "replug"),
    ),
    "macvlan": (
        ({"nictype": "macvlan", "parent": "eth0"}, {"nictype": "macvlan", "parent": "eth0"}, "live"),
        ({"mtu": "1400"}, {"mtu": "1400"}, "replug"),
    ),
    "physical": (
        ({"nictype": "physical", "parent": PHYSICAL}, {"nictype": "physical", "parent": PHYSICAL}, "live"),
        ({"mtu": "1400"}, {"mtu": "1400"}, "replug"),
    ),
    "routed": (
        (
            {"nictype": "routed", "parent": "eth0", "ipv4": ["10.179.9.9"], "ipv6": ["fd42:179::9"]},
            {"nictype": "routed", "parent": "eth0", "ipv4.address": "10.179.9.9", "ipv6.address": "fd42:179::9"},
            "live",
        ),
        ({"ipv4": ["10.179.9.9", "10.179.9.10"]}, {"ipv4.address": "10.179.9.9,10.179.9.10"}, "replug"),
        ({"limits": {"ingress": "10Mbit"}}, {"limits.ingress": "10Mbit"}, "live"),
    ),
    "p2p": (
        ({"nictype": "p2p", "mtu": "1300"}, {"nictype": "p2p", "mtu": "1300"}, "live"),
        (
            {"routes": {"ipv4": ["10.9.4.0/24"]}, "limits": {"ingress": "3Mbit"}},
            {"ipv4.routes": "10.9.4.0/24", "limits.ingress": "3Mbit"},
            "live",
        ),
    ),
    "static addresses": (
        ({"network": BACK, "ipv4": ["10.178.0.7"]}, {"network": BACK, "ipv4.address": "10.178.0.7"}, "live"),
        ({"ipv6": ["fd42:178::7"]}, {"ipv6.address": "fd42:178::7"}, "live"),
        ({"ipv4": [], "ipv6": []}, {"ipv4.address": None, "ipv6.address": None}, "live"),
    ),
    "filters": (
        (
            {"network": BACK, "security": {"mac_filtering": True, "port_isolation": True}},
            {"network": BACK, "security.mac_filtering": "true", "security.port_isolation": "true"},
            "live",
        ),
        ({"security": {"ipv4_filtering": True}}, {"security.ipv4_filtering": "true"}, "live"),
        ({"security": {"ipv6_filtering": True}}, {"security.ipv6_filtering": "true"}, "live"),
        ({"security": {"port_isolation": False}}, {"security.port_isolation": "false"}, "replug"),
    ),
    "routes": (
        (
            {"network": BACK, "routes": {"ipv4": ["10.9.1.0/24"], "ipv6": ["fd42:9::/64"]}},
            {"network": BACK, "ipv4.routes": "10.9.1.0/24", "ipv6.routes": "fd42:9::/64"},
            "live",
        ),
        (
            {"routes": {"ipv4_external": ["10.9.3.0/24"], "ipv6_external": ["fd42:a::/64"]}},
            {"ipv4.routes.external": "10.9.3.0/24", "ipv6.routes.external": "fd42:a::/64"},
            "live",
        ),
        ({"routes": {"ipv4": []}}, {"ipv4.routes": None}, "live"),
    ),
    "tag": (({"network": BACK, "tag": "blue"}, {"network": BACK, "user.tag": "blue"}, "live"),),
}

# The kernel of a test machine often lacks what these need, so they are declared of a stopped instance, which the
# server checks; tests/volumes/test_interfaces.py has running ones.
ACLS = {"ingress": "drop", "egress": "allow", "ingress_logged": True, "egress_logged": False}
DEFAULTS = {
    "security.acls.default.ingress.action": "drop",
    "security.acls.default.egress.action": "allow",
    "security.acls.default.ingress.logged": "true",
    "security.acls.default.egress.logged": "false",
}
BRIDGED = {"network": BACK}
COLD: dict[str, tuple[str, Sequence[Change]]] = {
    "limits": (
        "",
        (
            ({**BRIDGED, "limits": {"egress": "10Mbit"}}, {**BRIDGED, "limits.egress": "10Mbit"}, "stopped"),
            (
                {"limits": {"egress": "", "max": "20Mbit"}},
                {"limits.egress": None, "limits.max": "20Mbit"},
                "stopped",
            ),
        ),
    ),
    "limits.priority": (
        "incus",
        (({**BRIDGED, "limits": {"priority": "3"}}, {**BRIDGED, "limits.priority": "3"}, "stopped"),),
    ),
    "vlan": (
        "",
        (
            (
                {**BRIDGED, "vlan": "5", "vlan_tagged": ["6", "10-12"]},
                {**BRIDGED, "vlan": "5", "vlan.tagged": "6,10-12"},
                "stopped",
            ),
            ({"vlan": "7", "vlan_tagged": []}, {"vlan": "7", "vlan.tagged": None}, "stopped"),
        ),
    ),
    "vlan of macvlan": (
        "",
        (
            (
                {"nictype": "macvlan", "parent": "eth0", "vlan": "5"},
                {"nictype": "macvlan", "parent": "eth0", "vlan": "5"},
                "stopped",
            ),
        ),
    ),
    "ipvlan": (
        "",
        (
            (
                {"nictype": "ipvlan", "parent": "eth0", "ipv4": ["10.179.0.50"], "ipv6": ["fd42:179::50"]},
                {"nictype": "ipvlan", "parent": "eth0", "ipv4.address": "10.179.0.50", "ipv6.address": "fd42:179::50"},
                "stopped",
            ),
        ),
    ),
    "acls": (
        "incus",
        (
            ({**BRIDGED, "acls": ["nicacl"]}, {**BRIDGED, "security.acls": "nicacl"}, "stopped"),
            ({"acls_default": ACLS}, DEFAULTS, "stopped"),
            (
                {"acls_default": {"ingress": "reject", "egress": "reject"}},
                {
                    "security.acls.default.ingress.action": "reject",
                    "security.acls.default.egress.action": "reject",
                },
                "stopped",
            ),
            (
                {"acls_default": {"ingress": "allow", "egress": "drop"}},
                {
                    "security.acls.default.ingress.action": "allow",
                    "security.acls.default.egress.action": "drop",
                },
                "stopped",
            ),
            ({"acls": [], "acls_default": {}}, {"security.acls": None}, "stopped"),
        ),
    ),
}

LACKING: dict[str, tuple[str, Params, str]] = {
    "vlan": ("", {**BRIDGED, "vlan": "5"}, "The kernel of the host has no VLANs"),
    "macvlan": ("", {"nictype": "macvlan", "parent": "eth0", "vlan": "5"}, "The kernel of the host has no VLANs"),
    "limits": ("", {**BRIDGED, "limits": {"max": "3Mbit"}}, "The kernel of the host cannot limit what a guest sends"),
    "sriov": ("", {"nictype": "sriov", "parent": "eth0"}, "The device of the host has no virtual functions"),
    "acls": ("incus", {**BRIDGED, "acls": ["nicacl"]}, "The kernel of the host cannot filter so on a bridge"),
}
