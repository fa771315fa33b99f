# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of lxd_snapshot, as tests prove them one by one; tests/unit/test_options_proved.py misses none."""

from collections.abc import Mapping, Sequence
from typing import Any

Params = Mapping[str, Any]
Change = tuple[Params, Mapping[str, Any]]
"""What a task says of the snapshot, and what the server shows then at paths, or of the image that was published."""
IMAGE = "the image"
SNAPSHOT = "instances/snap/snapshots/monday"
COMMANDS = {"before": "echo before > /root/then", "after": "echo after > /root/now"}

# Of a running instance; what each takes is deleted in the end.
ROWS: dict[str, Sequence[Change]] = {
    "expires": (
        ({"expires": "12h"}, {}),
        ({"expires": "2037-01-31T12:00:00Z"}, {SNAPSHOT: {"expires_at": "2037-01-31T12:00:00Z"}}),
        ({"expires": "never"}, {SNAPSHOT: {"expires_at": "0001-01-01T00:00:00Z"}}),
    ),
    "stateful": (({"stateful": False}, {SNAPSHOT: {"stateful": False}}),),
    "quiesce, frozen": (
        ({"quiesce": {"freeze": True, "timeout": 60, **COMMANDS}}, {"instances/snap": {"status": "Running"}}),
    ),
    "quiesce, by commands alone": (
        ({"quiesce": {"freeze": False, "timeout": 20, **COMMANDS}}, {"instances/snap": {"status": "Running"}}),
    ),
    "keep": (
        ({}, {}),
        (
            {"snapshot": "mon-2", "keep": {"count": 1, "pattern": "mon*"}},
            {"instances/snap/snapshots": ["/1.0/instances/snap/snapshots/mon-2"]},
        ),
    ),
    "publish": (
        (
            {"publish": {"alias": "golden", "compression": "gzip", "public": True, "properties": {"os": "tiny"}}},
            {IMAGE: {"public": True, "properties": {"os": "tiny"}}, "images/aliases/golden": {"name": "golden"}},
        ),
        (
            {"publish": {"alias": "silver", "public": False, "properties": {"os": None, "release": "1"}}},
            {
                IMAGE: {"public": False, "properties": {"os": None, "release": "1"}},
                "images/aliases/silver": {"name": "silver"},
            },
        ),
    ),
    "export": (
        ({"export": {"file": "DIRECTORY/a.tar.gz", "compression": "gzip"}}, {"instances/snap/backups": []}),
        ({"export": {"file": "DIRECTORY/b.tar", "compression": "none", "optimized": True}}, {}),
    ),
    "restored": (
        ({}, {}),
        (
            {"state": "restored", "restore_id": "first", "force": True, "stateful": False, "volumes": False},
            {"instances/snap": {"status": "Running", "config": {"user.lxdops.restored": "monday first"}}},
        ),
    ),
    "absent": (({}, {}), ({"state": "absent"}, {"instances/snap/snapshots": []})),
}

# What a copy on another server is made of, and what that shows of it.
COPIES: dict[str, tuple[Params, Mapping[str, Any]]] = {
    "pool, timeout": (
        {"pool": "default", "timeout": 600},
        {"expanded_devices": {"root": {"pool": "default"}, "eth0": {"network": "lab0"}}},
    ),
    "networks": (
        {"pool": "fast", "networks": {"lab0": "copynet"}},
        {"expanded_devices": {"root": {"pool": "fast"}, "eth0": {"network": "copynet"}}},
    ),
    "project": ({"pool": "fast", "target": {"project": "copies"}}, {"project": "copies"}),
}
