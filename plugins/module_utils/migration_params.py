# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A task's parameters -> a move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .compare import quantity
from .errors import Refused
from .instance_params import check_name
from .migration import Move

TARGET: Mapping[str, Mapping[str, Any]] = {
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "server_cert": {"type": "path"},
    "server_fingerprint": {"type": "str"},
    "trust_token": {"type": "str", "no_log": True},
    "project": {"type": "str"},
}
"""How a task says of another server how to be let in, as AnsibleModule wants it."""


def migration_spec() -> dict[str, dict[str, Any]]:
    """The options of a move, as AnsibleModule wants them; documented in modules/lxd_migration.py."""
    return {
        "name": {"type": "str", "required": True},
        "new_name": {"type": "str"},
        "state": {"type": "str", "choices": ["migrated", "arrived", "aborted"], "default": "migrated"},
        "target": {
            "type": "dict",
            "required": True,
            "options": {"endpoint": {"type": "str"}, "member": {"type": "str"}, **TARGET},
            "required_one_of": [["endpoint", "member"]],
            "mutually_exclusive": [["endpoint", "member"]],
        },
        "method": {"type": "str", "choices": ["auto", "live", "refresh", "cold"], "default": "auto"},
        "transfer": {"type": "str", "choices": ["auto", "pull", "push", "relay"], "default": "auto"},
        "bandwidth": {"type": "str"},
        "pool": {"type": "str"},
        "networks": {"type": "dict"},
        "snapshots": {"type": "bool", "default": True},
        "host_devices": {"type": "bool", "default": False},
        "volumes": {"type": "dict"},
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
    for volume, path in (params["volumes"] or {}).items():
        if path is not None and not (isinstance(path, str) and path.startswith("/")):
            raise Refused(
                f"{name}: volumes.{volume}: found {path!r}, allowed is the path of its block device on the target, or "
                "null where that is the same as on the source",
                option="volumes",
                found=path,
            )
    bandwidth = _bandwidth(name, params)
    return Move(
        name=name,
        new_name=new_name,
        state=params["state"],
        method=params["method"],
        transfer="relay" if bandwidth else params["transfer"],
        bandwidth=bandwidth,
        pool=params["pool"] or "",
        networks=params["networks"] or {},
        snapshots=params["snapshots"],
        host_devices=params["host_devices"],
        force=params["force"],
        stop_timeout=params["stop_timeout"],
        copy_timeout=params["copy_timeout"],
        remember_home=params["remember_home"],
        volumes=params["volumes"] or {},
    )


def _bandwidth(name: str, params: Mapping[str, Any]) -> int:
    """Bytes a second. Refuses it where the servers copy by themselves: they know a limit of the pool only."""
    text = params["bandwidth"]
    if text is None:
        return 0
    found = quantity(text)
    if not found or found < 1:
        raise Refused(
            f"{name}: bandwidth: found {text!r}, allowed are bytes a second like 20MiB", option="bandwidth", found=text
        )
    if params["transfer"] not in ("auto", "relay"):
        raise Refused(
            f"{name}: bandwidth: found {text} with transfer: {params['transfer']}; a limit of one move needs transfer: "
            "relay; else rsync.bwlimit of the source's pool limits all copies from there",
            option="bandwidth",
            found=text,
        )
    return int(found)
