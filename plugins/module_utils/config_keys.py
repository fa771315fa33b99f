# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Whose a key of an instance's config is, and of what kind the options of devices are."""

from __future__ import annotations

from typing import NamedTuple

MARK = "user.lxdops."
"""Prefix of the collection's own markers on an instance. A guest can read them: opaque ids and states only."""
DEVICE_SIZES = ("size", "size.state", "limits.read", "limits.write", "limits.max", "limits.ingress", "limits.egress")
DEVICE_BOOLS = (
    "readonly", "shift", "required", "recursive", "bind", "nat", "proxy_protocol", "vlan.tagged.only",
    "security.mac_filtering", "security.ipv4_filtering", "security.ipv6_filtering", "security.port_isolation",
)  # fmt: skip
DEVICE_KINDS = {**dict.fromkeys(DEVICE_SIZES, "size"), **dict.fromkeys(DEVICE_BOOLS, "bool")}
"""Kinds of device options that are not plain text."""


class Key(NamedTuple):
    """``types``: c, v or cv. ``kind``: text, bool, size or int. ``live``: the types of a running instance that take
    a change at once."""

    types: str
    kind: str
    live: str


def is_servers(key: str) -> bool:
    """Whether a config key is the server's own: a PUT must send it back as it is."""
    return key.startswith(("volatile.", "image."))
