# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What an instance shall be, what it is, and how it looks to users."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .instance_record import NEVER_USED, PENDING, RESTART, SOURCE, is_creating, power_of, shown_config
from .key_kinds import Key

Devices = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Source:
    """Where a new instance comes from. ``type``: image, copy, backup or none."""

    type: str = "none"
    alias: str = ""
    fingerprint: str = ""
    server: str = ""
    protocol: str = ""
    certificate: str = ""
    instance: str = ""
    snapshot: str = ""
    instance_only: bool = False
    file: str = ""
    sha256: str = ""

    @property
    def text(self) -> str:
        if self.type == "image":
            return f"image {self.alias or self.fingerprint}" + (f" of {self.server}" if self.server else "")
        if self.type == "copy":
            return f"instance {self.instance}" + (f"/{self.snapshot}" if self.snapshot else "")
        return f"backup {self.file}" if self.file else "nothing"

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
    fleet: str | None = None

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
    architecture: str = ""
    problem: str = ""
    """Why nothing can be made of it, or empty."""


@dataclass(frozen=True)
class Profile:
    """What a profile, or several together, give an instance."""

    config: Mapping[str, str]
    devices: Devices


@dataclass(frozen=True)
class Server:
    """What a plan needs to know of the server; ``pools`` maps names to (driver, keeps quotas), ``networks`` to
    (type, names its instances). None: not read."""

    name: str = ""
    product: str = "lxd"
    extensions: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset({"container", "virtual-machine"})
    members: tuple[str, ...] = ()
    pools: Mapping[str, tuple[str, bool]] | None = None
    networks: Mapping[str, tuple[str, bool]] | None = None
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    keys: Mapping[str, Key] = field(default_factory=dict)
    cordoned: str = ""
    """Why it takes no new instance, or empty; read where one is to be created."""


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
        """Whether guest processes exist: then some changes wait for a restart."""
        return self.power in ("running", "frozen")

    @property
    def needs_stateful(self) -> bool:
        """Whether its memory cannot be saved, since it was not started with ``migration.stateful``."""
        asks = self.type == "virtual-machine" or self.server.product == "incus"
        return asks and self.expanded_config.get("migration.stateful", "false") not in ("true", "1", "yes", "on")

    @property
    def never_started(self) -> bool:
        return self.boot.startswith(NEVER_USED) or not self.boot

    @property
    def creating(self) -> bool:
        """Whether it has the marker of a creation, and was not started since."""
        return self.never_started and is_creating(self.config)

    @property
    def half_made(self) -> bool:
        """Whether the server was cut short in creating it: never started, and without the mark that the server sets
        last (``volatile.apply_template``, lxd/storage/backend_lxd.go)."""
        return self.power == "stopped" and self.never_started and "volatile.apply_template" not in self.config

    @property
    def unfinished(self) -> bool:
        """Whether its creation by us was cut short."""
        return self.creating and self.half_made

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
    return Current(
        name=name,
        power=power_of(data),
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


def made_from_surely(source: Source, current: Current) -> bool:
    """Whether an instance was made from a source, as its image's fingerprint or our mark tells."""
    if source.fingerprint:
        return current.config.get("volatile.base_image", "").startswith(source.fingerprint)
    return current.config.get(SOURCE) == source.digest


def made_from(source: Source, current: Current) -> bool:
    """Whether an instance was made from a source, also by what the alias names today. What was made elsewhere, by a
    copy or from a remote image, cannot be told: believed."""
    surely = made_from_surely(source, current)
    if surely or source.fingerprint:
        return surely
    if source.type == "image" and current.origin.fingerprint:
        return current.config.get("volatile.base_image") == current.origin.fingerprint
    return SOURCE not in current.config


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
        "config": shown_config(current.config),
        "devices": {name: dict(sorted(device.items())) for name, device in sorted(current.devices.items())},
    }
