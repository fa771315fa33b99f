# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What an instance shall be (from a task's parameters) and what it is (from the API)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .compare import canonical, canonical_map
from .config_keys import MARK, Key
from .errors import Refused

NAME = re.compile(r"^[a-zA-Z](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$")  # RFC 1123, as LXD's shared/validate IsHostname
CREATING, SOURCE, PENDING, RESTART = (MARK + mark for mark in ("creating", "source", "pending", "restart"))
"""Markers: a creation is under way; digest of the declared source; ``BOOT KEY,KEY`` wait for a restart since that
boot; ``BOOT STATE`` a restart to a state was begun in that boot. A boot is named by ``last_used_at``: every start
changes it."""
SECRET = ("cloud-init.user-data", "cloud-init.vendor-data", "user.user-data", "user.vendor-data")
"""Config that often holds passwords: shown as a digest."""
NEVER_USED = ("1970-01-01", "0001-01-01")
POWER = {"Running": "running", "Ready": "running", "Frozen": "frozen", "Stopped": "stopped", "Error": "error"}

Devices = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Source:
    """Where a new instance comes from. ``type``: image, copy or none."""

    type: str = "none"
    alias: str = ""
    fingerprint: str = ""
    server: str = ""
    protocol: str = ""
    certificate: str = ""
    instance: str = ""
    snapshot: str = ""
    instance_only: bool = False

    @property
    def text(self) -> str:
        if self.type == "image":
            return f"image {self.alias or self.fingerprint}" + (f" of {self.server}" if self.server else "")
        if self.type == "copy":
            return f"instance {self.instance}" + (f"/{self.snapshot}" if self.snapshot else "")
        return "nothing"

    @property
    def digest(self) -> str:
        """Identifies the declared source, wherever it is fetched from, without telling it to the guest."""
        return hashlib.sha256(replace(self, server="").text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Desired:
    """A task's parameters in LXD's terms. None means: not named, so not touched. A None value inside removes."""

    name: str
    state: str = "started"
    type: str | None = None
    description: str | None = None
    source: Source | None = None
    config: Mapping[str, str | None] = field(default_factory=dict)
    devices: Mapping[str, Mapping[str, str | None] | None] = field(default_factory=dict)
    root: Mapping[str, str | None] = field(default_factory=dict)
    profiles: tuple[str, ...] | None = None
    ephemeral: bool | None = None
    target: str | None = None
    purge_config: bool = False
    purge_devices: bool = False
    apply: str = "next_start"
    force: bool = False
    stop_timeout: int = 30
    wait_for: tuple[str, ...] = ()
    wait_timeout: float = 300

    @property
    def path(self) -> str:
        return f"instances/{self.name}"


@dataclass(frozen=True)
class Origin:
    """What a source brings to a new instance: its configuration and, of an image, which types can be made of it."""

    config: Mapping[str, str] = field(default_factory=dict)
    devices: Devices = field(default_factory=dict)
    profiles: tuple[str, ...] | None = None
    type: str = ""
    fingerprint: str = ""
    problem: str = ""
    """Why nothing can be made of the source, or empty."""


@dataclass(frozen=True)
class Profile:
    """What a profile, or several together, give an instance."""

    config: Mapping[str, str]
    devices: Devices


@dataclass(frozen=True)
class Server:
    """What a plan needs to know of the server; ``pools`` maps names to (driver, keeps quotas). None: not read."""

    name: str = ""
    product: str = "lxd"
    extensions: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset({"container", "virtual-machine"})
    members: tuple[str, ...] = ()
    pools: Mapping[str, tuple[str, bool]] | None = None
    networks: frozenset[str] | None = None
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    keys: Mapping[str, Key] = field(default_factory=dict)


@dataclass(frozen=True)
class Current:
    """An instance as it is. ``power``: absent, stopped, running, frozen, suspended, error.

    ``raw`` is what a PUT must send back besides what it changes; ``etag`` guards it.
    """

    name: str
    power: str = "absent"
    type: str = "container"
    description: str = ""
    config: Mapping[str, str] = field(default_factory=dict)
    devices: Devices = field(default_factory=dict)
    expanded_config: Mapping[str, str] = field(default_factory=dict)
    expanded_devices: Devices = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    ephemeral: bool = False
    architecture: str = ""
    location: str = ""
    boot: str = ""
    etag: str = field(default="", compare=False)
    server: Server = field(default_factory=Server, repr=False)
    origin: Origin = field(default_factory=Origin, repr=False)

    @property
    def exists(self) -> bool:
        return self.power != "absent"

    @property
    def active(self) -> bool:
        """Whether guest processes exist, so that some changes wait for a restart."""
        return self.power in ("running", "frozen")

    @property
    def never_started(self) -> bool:
        return self.boot.startswith(NEVER_USED) or not self.boot

    @property
    def unfinished(self) -> bool:
        """Whether its creation by us was cut short: marked, never started, and without the mark that the server sets
        last (``volatile.apply_template``, lxd/storage/backend_lxd.go)."""
        return (
            CREATING in self.config
            and self.power == "stopped"
            and self.never_started
            and "volatile.apply_template" not in self.config
        )

    @property
    def pending(self) -> tuple[str, ...]:
        """The changes that wait for a restart: noted by us in the boot that still lasts."""
        boot, _space, keys = self.config.get(PENDING, "").partition(" ")
        return tuple(keys.split(",")) if keys and boot == self.boot and self.active else ()

    @property
    def restart_begun(self) -> str:
        """The state that a run of ours, which stopped it to start it again and did not come to that, had in mind."""
        boot, _space, state = self.config.get(RESTART, "").partition(" ")
        return state if self.power == "stopped" and not self.never_started and boot == self.boot else ""

    def with_power(self, power: str) -> Current:
        return replace(self, power=power)


def current_from(name: str, data: Mapping[str, Any] | None, etag: str, server: Server) -> Current:
    """A Current from the ``metadata`` of ``GET /1.0/instances/NAME``, or an absent one."""
    if data is None:
        return Current(name=name, server=server)
    power = POWER.get(data["status"], "error")
    if power == "stopped" and data.get("stateful"):
        power = "suspended"
    return Current(
        name=name,
        power=power,
        type=data["type"],
        description=data.get("description", ""),
        config=data["config"],
        devices=data["devices"],
        expanded_config=data.get("expanded_config") or {},
        expanded_devices=data.get("expanded_devices") or {},
        profiles=tuple(data["profiles"] or ()),
        ephemeral=data["ephemeral"],
        architecture=data["architecture"],
        location=data.get("location", ""),
        boot=data.get("last_used_at", ""),
        etag=etag,
        server=server,
    )


def owned(config: Mapping[str, str]) -> dict[str, str]:
    """The config that people declare: without the server's own keys and our markers."""
    return {key: value for key, value in config.items() if not key.startswith(("volatile.", "image.", MARK))}


def shown(key: str, value: str | None) -> str | None:
    """A config value as results and diffs show it."""
    if value is not None and key in SECRET:
        return f"{len(value)} characters, sha256 {hashlib.sha256(value.encode()).hexdigest()[:12]}"
    return value


def view(current: Current) -> dict[str, Any]:
    """An instance as results and diffs show it; an absent one is only its name and state."""
    if not current.exists:
        return {"name": current.name, "state": "absent"}
    return {
        "name": current.name,
        "state": current.power,
        "type": current.type,
        "description": current.description,
        "profiles": list(current.profiles),
        "ephemeral": current.ephemeral,
        "config": {key: shown(key, value) for key, value in sorted(owned(current.config).items())},
        "devices": {name: dict(sorted(device.items())) for name, device in sorted(current.devices.items())},
    }


def desired_from(params: Mapping[str, Any]) -> Desired:
    """A Desired from a task's validated parameters. Refuses what is wrong in itself, whatever the server says."""
    name = params["name"]
    if not NAME.match(name):
        raise Refused(
            f"name: found {name!r}, allowed are 1 to 63 letters, digits and hyphens, starting with a letter "
            "and not ending in a hyphen",
            option="name",
        )
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


def _root(options: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Options of the root disk device; only those that were named."""
    given = {ROOT[option]: value for option, value in (options or {}).items() if value is not None}
    return _emptied(canonical_map("root", given))


def _source(name: str, options: Mapping[str, Any] | None) -> Source | None:
    if options is None:
        return None
    given = {option: value for option, value in options.items() if value not in (None, "")}
    source = Source(**given)
    needed = {"image": ("alias", "fingerprint"), "copy": ("instance",), "none": ()}[source.type]
    allowed = {
        "image": {"alias", "fingerprint", "server", "protocol", "certificate"},
        "copy": {"instance", "snapshot", "instance_only"},
        "none": set(),
    }[source.type]
    if needed and not any(getattr(source, option) for option in needed):
        raise Refused(f"{name}: source.type {source.type} needs {' or '.join(needed)}", option="source")
    if source.alias and source.fingerprint:
        raise Refused(f"{name}: source: alias and fingerprint both name an image; give one of them", option="source")
    odd = sorted(option for option, value in given.items() if option not in allowed | {"type"} and value is not False)
    if odd:
        raise Refused(f"{name}: source.type {source.type} does not go with {', '.join(odd)}", option="source")
    return source
