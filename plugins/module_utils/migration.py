# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A move of an instance from one server to another: what is wanted, what both servers have, and the journal of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .config_keys import MARK, is_servers
from .instance import Current, Profile, view
from .instance_record import HOME, RELEASED
from .steps import Api, Reader

JOURNAL = MARK + "migration"
"""Marker on both copies while a move is under way."""
HELD = {"boot.autostart": "false", "security.protection.delete": "false"}
"""Config of a copy that must neither start by itself nor resist its removal."""
START = {"running": ("start",), "frozen": ("start", "freeze"), "stopped": ()}
"""The actions that bring a stopped copy to the power it had."""
STOP = {"running": ("stop",), "frozen": ("unfreeze", "stop"), "stopped": ()}
IDENTITY = ("volatile.base_image", "volatile.uuid", "volatile.uuid.generation", "volatile.cloud-init.instance-id")
"""What the server keeps of an instance and a copy must keep too, besides MAC addresses."""
TRUE = ("true", "1", "yes", "on")


def stopping(power: str, live: bool) -> tuple[str, ...]:
    """The actions that stop an instance; ``live``: with its memory saved."""
    return tuple("suspend" if live and action == "stop" else action for action in STOP.get(power, ()))


def starting(power: str, now: str) -> tuple[str, ...]:
    """The actions that bring an instance from the power it has ``now`` to the one it had. What runs is not stopped."""
    if now in ("running", "frozen"):
        return ("freeze",) if (now, power) == ("running", "frozen") else ()
    return tuple("resume" if now == "suspended" and action == "start" else action for action in START.get(power, ()))


def identify(on: Reader) -> str:
    """What identifies a server, without telling a guest which it is."""
    return hashlib.sha256(on.environment["certificate_fingerprint"].encode()).hexdigest()[:16]


def identity(config: Mapping[str, str]) -> dict[str, str]:
    """The config of a copy on another server: all that is declared, and who it is."""
    return {
        key: value
        for key, value in config.items()
        if key != RELEASED
        and (key in IDENTITY or key.endswith(".hwaddr") or key.startswith("image.") or not is_servers(key))
    }


@dataclass(frozen=True)
class Link:
    """The two servers of a move."""

    source: Api
    target: Api


@dataclass(frozen=True)
class Move:
    """A task's parameters. ``state``: migrated, arrived or aborted; ``method``: auto, live, refresh or cold;
    ``transfer``: auto, pull, push or relay; ``bandwidth``: bytes a second, or 0."""

    name: str
    new_name: str
    state: str = "migrated"
    method: str = "auto"
    transfer: str = "auto"
    bandwidth: int = 0
    pool: str = ""
    networks: Mapping[str, str] = field(default_factory=dict)
    snapshots: bool = True
    host_devices: bool = False
    force: bool = False
    stop_timeout: int = 30
    copy_timeout: float = 3600
    remember_home: bool = False
    volumes: Mapping[str, str | None] = field(default_factory=dict)
    """The volumes that are connected to the target, and the path of each there; None: the same as on the source."""


@dataclass(frozen=True)
class Journal:
    """What a move has noted on a copy.

    ``source`` and ``target`` identify the servers. ``phase``: leaving (the source); incoming (being copied), copied
    (may lack the latest changes), arrived (complete, about to start). ``power``: what it was before. ``held``: the
    local values of the keys that are held back.
    """

    uuid: str
    source: str
    target: str
    phase: str
    power: str
    held: Mapping[str, str | None] = field(default_factory=dict)
    ephemeral: bool = False
    home: str | None = None
    """What the copy notes as its home: a server's name, empty for nothing more, None for what it had."""

    @property
    def text(self) -> str:
        return json.dumps(vars(self) | {"held": dict(self.held)}, separators=(",", ":"), sort_keys=True)

    def at(self, phase: str) -> Journal:
        return replace(self, phase=phase)


def journal_of(config: Mapping[str, str]) -> Journal | None:
    """What a move has noted on an instance, if one is under way."""
    return Journal(**json.loads(config[JOURNAL])) if JOURNAL in config else None


def journal_for(current: Current, source: str = "", target: str = "", home: str | None = None) -> Journal:
    """The journal of a move that begins."""
    held = {key: current.config.get(key) for key in HELD if current.expanded_config.get(key, "false").lower() in TRUE}
    return Journal(
        current.config["volatile.uuid"], source, target, "leaving", current.power, held, current.ephemeral, home
    )


def noted(config: Mapping[str, str], journal: Journal) -> dict[str, str]:
    """The config of an instance that a move has begun with."""
    return {**config, JOURNAL: journal.text}


def held(config: Mapping[str, str], journal: Journal) -> dict[str, str]:
    """The config of a copy that waits: it neither starts by itself nor resists its removal."""
    return noted({**config, **{key: HELD[key] for key in journal.held}}, journal)


def arrived(config: Mapping[str, str], journal: Journal) -> dict[str, str]:
    """The config of the copy when the move is over."""
    own = released(config, journal)
    if journal.home is None:
        return own
    rest = {key: value for key, value in own.items() if key != HOME}
    return {**rest, HOME: journal.home} if journal.home else rest


def released(config: Mapping[str, str], journal: Journal) -> dict[str, str]:
    """The config of an instance that a move has let go of, as it was declared."""
    own = {key: value for key, value in config.items() if key != JOURNAL and key not in journal.held}
    return {**own, **{key: value for key, value in journal.held.items() if value is not None}}


@dataclass(frozen=True)
class Place:
    """What the target server offers, and what the instance has and uses there."""

    name: str = ""
    product: str = "lxd"
    fingerprint: str = ""
    architectures: tuple[str, ...] = ()
    types: frozenset[str] = frozenset()
    pools: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    memory: int = 0
    """Bytes of the whole machine."""
    cordoned: str = ""
    """Why it takes no new instance, or empty."""
    volumes: frozenset[tuple[str, str]] = frozenset()
    """Custom volumes of pools, as (pool, volume)."""
    listening: Mapping[str, str] = field(default_factory=dict)
    """Where running instances have the host listen for them, and which one that is; empty where it does not matter."""


@dataclass(frozen=True)
class Pair:
    """The instance on both servers; ``place`` is read only where a move is to begin."""

    source: Current
    target: Current
    here: str = ""
    there: str = ""
    """What identifies the servers."""
    place: Place | None = None
    origin: Place | None = None


def view_pair(pair: Pair) -> dict[str, Any]:
    """A move as results and diffs show it."""
    return {
        side: {"server": current.server.name, **view(current)}
        for side, current in (("source", pair.source), ("target", pair.target))
    }
