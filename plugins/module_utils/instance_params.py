# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A task's parameters -> what an instance shall be, in LXD's terms."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from .compare import canonical, canonical_map
from .errors import Refused
from .instance import Desired, Source

NAME = re.compile(r"^[a-zA-Z](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$")  # RFC 1123, as LXD's shared/validate IsHostname
ROOT = {
    "pool": "pool",
    "size": "size",
    "size_state": "size.state",
    "boot_priority": "boot.priority",
    "read": "limits.read",
    "write": "limits.write",
    "max": "limits.max",
}
"""Options of the root disk in a task, and what the device calls them."""


def instance_spec() -> dict[str, dict[str, Any]]:
    """The options of an instance, as AnsibleModule wants them; documented in modules/lxd_instance.py."""
    return {
        "name": {"type": "str", "required": True},
        "state": {
            "type": "str",
            "choices": ["present", "started", "stopped", "frozen", "suspended", "restarted", "absent"],
            "default": "started",
        },
        "type": {"type": "str", "choices": ["container", "virtual-machine"]},
        "description": {"type": "str"},
        "source": {
            "type": "dict",
            "options": {
                "type": {"type": "str", "choices": ["image", "copy", "backup", "none"], "default": "image"},
                "alias": {"type": "str"},
                "fingerprint": {"type": "str"},
                "server": {"type": "str"},
                "protocol": {"type": "str", "choices": ["simplestreams", "lxd", "incus"]},
                "certificate": {"type": "str"},
                "instance": {"type": "str"},
                "snapshot": {"type": "str"},
                "instance_only": {"type": "bool", "default": False},
                "file": {"type": "path"},
                "sha256": {"type": "str"},
            },
        },
        "config": {"type": "dict"},
        "devices": {"type": "dict"},
        "root": {
            "type": "dict",
            "options": {
                "pool": {"type": "str"},
                "size": {"type": "str"},
                "size_state": {"type": "str"},
                "boot_priority": {"type": "int"},
                "read": {"type": "str"},
                "write": {"type": "str"},
                "max": {"type": "str"},
            },
        },
        "cloud_init": {
            "type": "dict",
            "options": {
                "user_data": {"type": "raw", "no_log": True},
                "vendor_data": {"type": "raw", "no_log": True},
                "network_config": {"type": "raw"},
            },
        },
        "config_drive": {
            "type": "dict",
            "options": {
                "source": {"type": "path", "required": True},
                "path": {"type": "path", "default": "/config-drive"},
                "shift": {"type": "bool", "default": False},
            },
        },
        "profiles": {"type": "list", "elements": "str"},
        "ephemeral": {"type": "bool"},
        "target": {"type": "str"},
        "purge_config": {"type": "bool", "default": False},
        "purge_devices": {"type": "bool", "default": False},
        "apply": {"type": "str", "choices": ["live", "restart", "next_start"], "default": "next_start"},
        "force": {"type": "bool", "default": False},
        "stop_timeout": {"type": "int", "default": 30},
        "wait_for": {"type": "list", "elements": "str"},
    }


def check_name(option: str, name: str) -> None:
    """Refuses what no instance can be called."""
    if not NAME.match(name):
        raise Refused(
            f"{option}: found {name!r}, allowed are 1 to 63 letters, digits and hyphens, starting with a letter "
            "and not ending in a hyphen",
            option=option,
        )


def desired_from(params: Mapping[str, Any]) -> Desired:
    """A Desired from a task's validated parameters. Refuses what is wrong in itself, whatever the server says."""
    name = params["name"]
    check_name("name", name)
    config = canonical_map("config", params.get("config"))
    for key, value in _cloud_init(params.get("cloud_init")).items():
        if key in config and config[key] != value:
            raise Refused(
                f"{name}: {key} is declared in config and in cloud_init, with different values", option="cloud_init"
            )
        config[key] = value
    devices: dict[str, Mapping[str, str | None] | None] = {}
    for device, options in (params.get("devices") or {}).items():
        if options is not None and not isinstance(options, Mapping):
            raise Refused(
                f"{name}: devices.{device}: found a {type(options).__name__}, allowed are a dictionary of "
                "options or null",
                option=f"devices.{device}",
            )
        devices[device] = None if options is None else _emptied(canonical_map(f"devices.{device}", options))
    drive = params.get("config_drive")
    if drive is not None:
        devices["config-drive"] = {
            "type": "disk",
            "source": drive["source"],
            "path": drive["path"],
            "readonly": "true",
            "shift": "true" if drive["shift"] else None,
        }
    profiles = params.get("profiles")
    return Desired(
        name=name,
        state=params["state"],
        type=params.get("type"),
        description=params.get("description"),
        source=_source(name, params.get("source")),
        config=_emptied(config),
        devices=devices,
        root=_root(params.get("root")),
        profiles=None if profiles is None else tuple(profiles),
        ephemeral=params.get("ephemeral"),
        target=params.get("target"),
        purge_config=params["purge_config"],
        purge_devices=params["purge_devices"],
        apply=params["apply"],
        force=params["force"],
        stop_timeout=params["stop_timeout"],
        wait_for=tuple(params.get("wait_for") or ()),
        wait_timeout=params["wait_timeout"],
        fleet=params.get("fleet"),
    )


def _emptied(values: Mapping[str, str | None]) -> dict[str, str | None]:
    """The server keeps no empty values: an empty string removes, like null."""
    return {key: value or None for key, value in values.items()}


def _cloud_init(options: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Config keys for cloud-init. A dictionary is written as JSON, which is YAML."""
    result: dict[str, str | None] = {}
    for option, key in (
        ("user_data", "user-data"),
        ("vendor_data", "vendor-data"),
        ("network_config", "network-config"),
    ):
        value = (options or {}).get(option)
        if isinstance(value, (Mapping, list)):
            header = "" if option == "network_config" else "#cloud-config\n"
            value = header + json.dumps(value, indent=1, sort_keys=True) + "\n"
        if value is not None:
            result[f"cloud-init.{key}"] = canonical(f"cloud_init.{option}", value)
    return result


def _root(options: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Options of the root disk device; only those that were named."""
    given = {ROOT[option]: value for option, value in (options or {}).items() if value is not None}
    return _emptied(canonical_map("root", given))


def _source(name: str, options: Mapping[str, Any] | None) -> Source | None:
    if options is None:
        return None
    given = {option: value for option, value in options.items() if value not in (None, "")}
    source = Source(**given)
    needed = {"image": ("alias", "fingerprint"), "copy": ("instance",), "backup": ("file",), "none": ()}[source.type]
    allowed = {
        "image": {"alias", "fingerprint", "server", "protocol", "certificate"},
        "copy": {"instance", "snapshot", "instance_only"},
        "backup": {"file", "sha256"},
        "none": set(),
    }[source.type]
    if needed and not any(getattr(source, option) for option in needed):
        raise Refused(f"{name}: source.type {source.type} needs {' or '.join(needed)}", option="source")
    if source.alias and source.fingerprint:
        raise Refused(f"{name}: source: alias and fingerprint both name an image; give one of them", option="source")
    odd = sorted(option for option, value in given.items() if option not in allowed | {"type"} and value is not False)
    if odd:
        raise Refused(f"{name}: source.type {source.type} does not go with {', '.join(odd)}", option="source")
    if source.file and not source.file.startswith("/"):
        raise Refused(f"{name}: source.file: found {source.file}, allowed is an absolute path", option="source.file")
    return source
