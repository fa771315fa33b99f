# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A task's parameters -> a network interface, in LXD's terms."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from .compare import canonical
from .errors import Refused
from .instance_params import check_name
from .interface import TAG, Interface

MAC = re.compile(r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")
DEVICE = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$")
PLAIN = {
    "network": "network",
    "parent": "parent",
    "nictype": "nictype",
    "interface": "name",
    "host_name": "host_name",
    "mtu": "mtu",
    "vlan": "vlan",
    "vlan_tagged": "vlan.tagged",
    "ipv4": "ipv4.address",
    "ipv6": "ipv6.address",
    "acls": "security.acls",
    "boot_priority": "boot.priority",
    "tag": TAG,
}
GROUPS = {
    "limits": {name: f"limits.{name}" for name in ("ingress", "egress", "max", "priority")},
    "security": {
        name: f"security.{name}" for name in ("mac_filtering", "ipv4_filtering", "ipv6_filtering", "port_isolation")
    },
    "acls_default": {
        "ingress": "security.acls.default.ingress.action",
        "egress": "security.acls.default.egress.action",
        "ingress_logged": "security.acls.default.ingress.logged",
        "egress_logged": "security.acls.default.egress.logged",
    },
    "routes": {
        "ipv4": "ipv4.routes",
        "ipv6": "ipv6.routes",
        "ipv4_external": "ipv4.routes.external",
        "ipv6_external": "ipv6.routes.external",
    },
}
"""Options of a task, and what the device calls them."""
NICTYPES = ("bridged", "macvlan", "physical", "routed", "ipvlan", "p2p", "sriov")


def interface_spec() -> dict[str, dict[str, Any]]:
    """The options of an interface, as AnsibleModule wants them; documented in modules/lxd_interface.py."""
    texts = {"type": "list", "elements": "str"}
    action = {"type": "str", "choices": ["allow", "drop", "reject"]}
    return {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["attached", "detached"], "default": "attached"},
        "device": {"type": "str"},
        "hwaddr": {"type": "str"},
        "network": {"type": "str"},
        "parent": {"type": "str"},
        "nictype": {"type": "str", "choices": list(NICTYPES)},
        "interface": {"type": "str"},
        "host_name": {"type": "str"},
        "mtu": {"type": "str"},
        "vlan": {"type": "str"},
        "vlan_tagged": texts,
        "ipv4": texts,
        "ipv6": texts,
        "limits": {"type": "dict", "options": {option: {"type": "str"} for option in GROUPS["limits"]}},
        "security": {"type": "dict", "options": {option: {"type": "bool"} for option in GROUPS["security"]}},
        "acls": texts,
        "acls_default": {
            "type": "dict",
            "options": {
                "ingress": action,
                "egress": action,
                "ingress_logged": {"type": "bool"},
                "egress_logged": {"type": "bool"},
            },
        },
        "routes": {"type": "dict", "options": dict.fromkeys(GROUPS["routes"], texts)},
        "boot_priority": {"type": "int"},
        "tag": {"type": "str"},
        "apply": {"type": "str", "choices": ["live", "replug", "restart"], "default": "replug"},
        "force": {"type": "bool", "default": False},
        "stop_timeout": {"type": "int", "default": 30},
    }


def interface_from(params: Mapping[str, Any]) -> Interface:
    """An Interface from a task's validated parameters. Refuses what is wrong in itself, whatever the server says."""
    name, device, mac = params["name"], params.get("device") or "", (params.get("hwaddr") or "").lower()
    check_name("name", name)
    if not device and not mac:
        raise Refused(f"{name}: found neither device nor hwaddr: one of them says which NIC is meant", option="device")
    if device and not DEVICE.match(device):
        allowed = "1 to 64 letters, digits, dots, hyphens and underscores"
        raise Refused(f"{name}: device: found {device!r}, allowed are {allowed}", option="device", found=device)
    if mac and not MAC.match(mac):
        raise Refused(f"{name}: hwaddr: found {mac}, allowed is an address like 00:16:3e:12:34:56", option="hwaddr")
    options = {PLAIN[option]: _text(option, params[option]) for option in PLAIN if params.get(option) is not None}
    for group, members in GROUPS.items():
        for option, value in (params.get(group) or {}).items():
            if value is not None:
                options[members[option]] = _text(f"{group}.{option}", value)
    _check(f"{name}: {device or mac}", params, options)
    return Interface(
        instance=name,
        state=params["state"],
        device=device,
        hwaddr=mac,
        options={**options, **({"hwaddr": mac} if mac else {})},
        apply=params["apply"],
        force=params["force"],
        stop_timeout=params["stop_timeout"],
    )


def _text(option: str, value: Any) -> str | None:
    """What the server keeps. It keeps no empty values: an empty text or list removes."""
    return (",".join(value) if isinstance(value, list) else canonical(option, value)) or None


def _check(where: str, params: Mapping[str, Any], options: Mapping[str, str | None]) -> None:
    if params["state"] == "detached":
        return
    if options.get("network") and (options.get("nictype") or options.get("parent")):
        raise Refused(
            f"{where}: network: the managed network {options['network']} says the type and the parent of its NICs; "
            "give network, or nictype and parent",
            option="network",
        )
    for option, family in (("ipv4", ipaddress.IPv4Address), ("ipv6", ipaddress.IPv6Address)):
        for address in params.get(option) or ():
            try:
                if address not in ("none", ""):
                    family(address)
            except ValueError:
                raise Refused(
                    f"{where}: {option}: found {address}, allowed are addresses without a prefix length, and none",
                    option=option,
                    found=address,
                ) from None
    vlan, mtu = options.get("vlan"), options.get("mtu")
    if vlan and vlan != "none" and not (vlan.isdigit() and int(vlan) < 4095):
        raise Refused(f"{where}: vlan: found {vlan}, allowed are 0 to 4094 and none", option="vlan", found=vlan)
    if mtu and not (mtu.isdigit() and 68 <= int(mtu) <= 65535):
        raise Refused(f"{where}: mtu: found {mtu}, allowed are 68 to 65535", option="mtu", found=mtu)
