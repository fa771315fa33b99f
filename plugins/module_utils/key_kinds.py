# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Of what kind config keys and the options of devices are."""

from __future__ import annotations

from typing import NamedTuple

SIZES = ("size", "size.state", "limits.read", "limits.write", "limits.max", "limits.ingress", "limits.egress")
BOOLS = (
    "readonly", "shift", "required", "recursive", "bind", "nat", "proxy_protocol", "vlan.tagged.only",
    "security.mac_filtering", "security.ipv4_filtering", "security.ipv6_filtering", "security.port_isolation",
)  # fmt: skip
DEVICE_KINDS = {**dict.fromkeys(SIZES, "size"), **dict.fromkeys(BOOLS, "bool")}
"""Kinds of device options that are not plain text."""


class Key(NamedTuple):
    """``types``: c, v or cv. ``kind``: text, bool, size or int. ``live``: the types of a running instance that take
    a change at once."""

    types: str
    kind: str
    live: str
