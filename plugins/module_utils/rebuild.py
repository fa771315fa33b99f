# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A rebuild of an instance, a new root from an image: what is wanted, what there is, and the journal of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .config_keys import MARK, is_servers
from .instance import Current, Desired, Devices, Origin, Source, made_from_surely, view
from .instance_edit import wanted_config
from .instance_record import LASTING, REBUILD, REBUILT, SOURCE, is_creating
from .migration import HELD, TRUE

IDENTITY = ("volatile.uuid", "volatile.uuid.generation", "volatile.cloud-init.instance-id")
"""Who an instance is, besides its MAC addresses. The server's own rebuild keeps these too (Incus,
internal/server/instance/drivers/driver_common.go rebuildCommon)."""
ADDRESSES = ("hwaddr", "ipv4.address", "ipv6.address")
"""Options of a NIC that only one of two roots can have: the server starts neither where both do
(lxd/device/nic_bridged.go checkAddressConflict)."""
INSTANCE_ID = "volatile.cloud-init.instance-id"


@dataclass(frozen=True)
class Rebuild:
    """A task's parameters. ``desired`` holds the source, the config and how to stop; ``snapshots``: refuse, delete or
    keep; ``aside``: what the old instance is called when it is kept; ``method``: auto, server or swap."""

    desired: Desired
    snapshots: str = "refuse"
    aside: str = ""
    rebuild_id: str = ""
    method: str = "auto"

    @property
    def name(self) -> str:
        return self.desired.name

    @property
    def source(self) -> Source:
        return self.desired.source or Source()

    @property
    def keep(self) -> bool:
        return self.snapshots == "keep"

    @property
    def digest(self) -> str:
        """Identifies what is to be made, without telling it to the guest."""
        wanted = [self.source.digest, self.rebuild_id, sorted(self.desired.config.items())]
        return hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]


def beside(name: str, role: str) -> str:
    """The name that the successor, or the predecessor, of an instance has meanwhile: one that is always the same."""
    return f"{name[:40].rstrip('-')}-{role}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Names:
    """What the instance, its successor and its predecessor are called."""

    instance: str
    successor: str
    predecessor: str


@dataclass(frozen=True)
class Journal:
    """What a rebuild has noted on an instance.

    ``phase``: old (the instance, until the other takes its name), new (its successor), arrived (the successor, with all
    that makes it the instance); where the server rebuilds by itself: rebuilding, rebuilt. ``power``: what it was
    before. ``held``: the local values of the keys that are held back. ``aside``: the name of the old one afterwards.
    """

    phase: str
    digest: str
    power: str
    aside: str
    keep: bool = False
    held: Mapping[str, str | None] = field(default_factory=dict)
    ephemeral: bool = False
    instance_id: str = ""
    macs: Mapping[str, str] = field(default_factory=dict)
    """The MAC addresses that the server gave it, by their config keys."""
    addresses: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The addresses that are declared, by device. A guest knows its own."""

    @property
    def text(self) -> str:
        return json.dumps(vars(self), separators=(",", ":"), sort_keys=True)

    def at(self, phase: str) -> Journal:
        return replace(self, phase=phase)


@dataclass(frozen=True)
class Roots:
    """The instance, and what a rebuild has beside it. ``origin`` is read only where the image is needed."""

    instance: Current
    successor: Current
    predecessor: Current
    origin: Origin = field(default_factory=Origin)
    snapshots: tuple[str, ...] = ()
    backups: tuple[str, ...] = ()
    server_rebuilds: bool = False
    """Whether the server has a rebuild of its own."""

    @property
    def names(self) -> Names:
        return Names(self.instance.name, self.successor.name, self.predecessor.name)


def pinned(source: Source, origin: Origin) -> Source:
    """The source as it is fetched: an alias of the server itself by what it names now."""
    return replace(source, alias="", fingerprint=origin.fingerprint) if origin.fingerprint else source


def journal_of(config: Mapping[str, str]) -> Journal | None:
    """What a rebuild has noted on an instance, if one is under way."""
    return Journal(**json.loads(config[REBUILD])) if REBUILD in config else None


def is_made(current: Current, journal: Journal | None = None) -> bool:
    """Whether a successor is complete, and of the rebuild that a journal tells of."""
    found = journal_of(current.config)
    if found is None or found.phase == "old" or is_creating(current.config):
        return False
    return journal is None or (found.digest, found.aside) == (journal.digest, journal.aside)


def has_root(rebuild: Rebuild, roots: Roots) -> bool:
    """Whether the root is from the wanted image, and of the wanted rebuild."""
    current = roots.instance
    if rebuild.rebuild_id and current.config.get(REBUILT) != rebuild.rebuild_id:
        return False
    if made_from_surely(rebuild.source, current):
        return True
    return bool(roots.origin.fingerprint) and current.config.get("volatile.base_image") == roots.origin.fingerprint


def journal_for(rebuild: Rebuild, roots: Roots) -> Journal:
    """The journal of a rebuild that begins, or begins anew."""
    current, begun = roots.instance, journal_of(roots.instance.config)
    held = {key: current.config.get(key) for key in HELD if current.expanded_config.get(key, "false").lower() in TRUE}
    return Journal(
        phase="rebuilding" if in_place(rebuild, roots) else "old",
        digest=rebuild.digest,
        power=begun.power if begun else current.power,
        aside=roots.predecessor.name,
        keep=rebuild.keep,
        held=begun.held if begun else held,
        ephemeral=begun.ephemeral if begun else current.ephemeral,
        instance_id=begun.instance_id if begun else current.config.get(INSTANCE_ID, ""),
        macs=begun.macs if begun else {key: value for key, value in current.config.items() if is_mac(key)},
        addresses=begun.addresses if begun else addresses_of(current.devices),
    )


def is_mac(key: str) -> bool:
    """Whether a config key holds a MAC address that the server gave a NIC."""
    return key.startswith("volatile.") and key.endswith(".hwaddr")


def addresses_of(devices: Devices) -> dict[str, dict[str, str]]:
    """The addresses that NICs declare."""
    found = {
        name: {key: device[key] for key in ADDRESSES if key in device}
        for name, device in devices.items()
        if device.get("type") == "nic"
    }
    return {name: addresses for name, addresses in found.items() if addresses}


def without_addresses(devices: Devices, journal: Journal) -> dict[str, dict[str, str]]:
    """The local devices of a root that is not the instance."""
    return {
        name: {key: value for key, value in device.items() if key not in journal.addresses.get(name, {})}
        for name, device in devices.items()
    }


def with_addresses(devices: Devices, journal: Journal) -> dict[str, dict[str, str]]:
    """The local devices of the root that is the instance."""
    return {name: {**device, **journal.addresses.get(name, {})} for name, device in devices.items()}


def other_macs(name: str, config: Mapping[str, str]) -> dict[str, str]:
    """MAC addresses in place of those that the server gave an instance: with its own would go the DHCP lease of the
    new root when the old one is deleted (lxd/device/nic_bridged.go Remove)."""
    result = {}
    for key in filter(is_mac, config):
        digits = hashlib.sha256(f"{name} {key}".encode()).hexdigest()
        result[key] = f"00:16:3e:{digits[:2]}:{digits[2:4]}:{digits[4:6]}"
    return result


def itself(journal: Journal) -> dict[str, str]:
    """The config that makes a root the instance."""
    return {**journal.macs, **({INSTANCE_ID: journal.instance_id} if journal.instance_id else {})}


def in_place(rebuild: Rebuild, roots: Roots) -> bool:
    """Whether the server shall rebuild it by itself. To keep the old one takes two roots."""
    if rebuild.method == "auto":
        return roots.server_rebuilds and not rebuild.keep
    return rebuild.method == "server"


def noted(config: Mapping[str, str], journal: Journal) -> dict[str, str]:
    """The config of an instance that a rebuild has begun with."""
    return {**config, REBUILD: journal.text}


def held(config: Mapping[str, str], journal: Journal) -> dict[str, str]:
    """The config of an instance that waits: it neither starts by itself nor resists its removal."""
    return noted({**config, **{key: HELD[key] for key in journal.held}}, journal)


def released(config: Mapping[str, str], journal: Journal) -> dict[str, str]:
    """The config of an instance that a rebuild has let go of, as it was declared."""
    own = {key: value for key, value in config.items() if key != REBUILD and key not in journal.held}
    return {**own, **{key: value for key, value in journal.held.items() if value is not None}}


def holding(journal: Journal, config: Mapping[str, str]) -> Journal:
    """The journal for another config, whose own values of the keys are held back."""
    keys = (key for key in HELD if key in journal.held or config.get(key, "false").lower() in TRUE)
    return replace(journal, held={key: config.get(key) for key in keys})


def new_config(rebuild: Rebuild, current: Current, journal: Journal) -> dict[str, str]:
    """The config that goes with the new root: what is declared, what the task sets, and what it is made from."""
    current = replace(current, config=released(current.config, journal))
    declared = {
        key: value
        for key, value in wanted_config(rebuild.desired, current).items()
        if not is_servers(key) and (not key.startswith(MARK) or key in LASTING)
    }
    word = {REBUILT: rebuild.rebuild_id} if rebuild.rebuild_id else {}
    return {**declared, **word, SOURCE: rebuild.source.digest}


def identity(config: Mapping[str, str]) -> dict[str, str]:
    """What of the server's own keys makes a new root the same instance; its MAC addresses come last."""
    own = {key: value for key, value in config.items() if key in IDENTITY}
    if "volatile.uuid.generation" in own:
        own["volatile.uuid.generation"] = own["volatile.uuid"]
    return own


def view_roots(roots: Roots) -> dict[str, Any]:
    """A rebuild as results and diffs show it. ``source`` is a digest: of a remote image no more is known before."""
    shown = view(roots.instance)
    if not roots.instance.exists:
        return shown
    config = roots.instance.config
    return {
        **shown,
        "root": {"source": config.get(SOURCE), "rebuild_id": config.get(REBUILT)},
        "old": roots.predecessor.name if roots.predecessor.exists else None,
    }
