# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A task's parameters -> a move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import Refused
from .instance_params import check_name
from .migration import Move


def migration_spec() -> dict[str, dict[str, Any]]:
    """The options of a move, as AnsibleModule wants them; documented in modules/lxd_migration.py."""
    return {
        "name": {"type": "str", "required": True},
        "new_name": {"type": "str"},
        "state": {"type": "str", "choices": ["migrated", "aborted"], "default": "migrated"},
        "target": {
            "type": "dict",
            "required": True,
            "options": {
                "endpoint": {"type": "str"},
                "member": {"type": "str"},
                "client_cert": {"type": "path"},
                "client_key": {"type": "path", "no_log": False},
                "server_cert": {"type": "path"},
                "server_fingerprint": {"type": "str"},
                "trust_token": {"type": "str", "no_log": True},
                "project": {"type": "str"},
            },
            "required_one_of": [["endpoint", "member"]],
            "mutually_exclusive": [["endpoint", "member"]],
        },
        "method": {"type": "str", "choices": ["auto", "live", "refresh", "cold"], "default": "auto"},
        "transfer": {"type": "str", "choices": ["auto", "pull", "push"], "default": "auto"},
        "pool": {"type": "str"},
        "networks": {"type": "dict"},
        "snapshots": {"type": "bool", "default": True},
        "host_devices": {"type": "bool", "default": False},
        "force": {"type": "bool", "default": False},
        "stop_timeout": {"type": "int", "default": 30},
        "copy_timeout": {"type": "float", "default": 3600},
        "remember_home": {"type": "bool", "default": False},
    }


def target_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """The connection options of the target: those of the source, but for what says which server it is."""
    own = {"server_cert": None, "server_fingerprint": None, "trust_token": None}
    return {**params, **own, **{key: value for key, value in params["target"].items() if value is not None}}


def move_from(params: Mapping[str, Any]) -> Move:
    """A Move from a task's validated parameters. Raises Refused."""
    name, new_name = params["name"], params["new_name"] or params["name"]
    check_name("new_name", new_name)
    for here, there in (params["networks"] or {}).items():
        if not isinstance(there, str) or not there:
            raise Refused(
                f"{name}: networks.{here}: found {there!r}, allowed is the name of a network of the target",
                option="networks",
            )
    return Move(
        name=name,
        new_name=new_name,
        state=params["state"],
        method=params["method"],
        transfer=params["transfer"],
        pool=params["pool"] or "",
        networks=params["networks"] or {},
        snapshots=params["snapshots"],
        host_devices=params["host_devices"],
        force=params["force"],
        stop_timeout=params["stop_timeout"],
        copy_timeout=params["copy_timeout"],
        remember_home=params["remember_home"],
    )
