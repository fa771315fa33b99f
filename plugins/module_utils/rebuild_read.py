# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Reads an instance, what a rebuild has beside it, and of the image what a rebuild that begins needs to know."""

from __future__ import annotations

from dataclasses import replace

from .instance import Server
from .instance_read import DRIVERS, described_keys, read_current, read_origin
from .rebuild import Names, Rebuild, Roots, beside, has_root, journal_of
from .steps import Api


def names_of(rebuild: Rebuild) -> Names:
    """What the instance and what is beside it are called by a task."""
    return Names(rebuild.name, beside(rebuild.name, "rebuild"), rebuild.aside)


def read_roots(on: Api, rebuild: Rebuild) -> Roots:
    """The instance and what is beside it."""
    server = Server(
        name=on.name,
        product=on.product,
        types=frozenset(DRIVERS.get(driver, driver) for driver in on.environment["driver"].split(" | ")),
        keys=described_keys(on, rebuild.desired),
    )
    names = names_of(rebuild)
    instance, successor = read_current(on, names.instance, server), read_current(on, names.successor, server)
    begun = journal_of(instance.config) or journal_of(successor.config)
    # A rebuild that is under way has said where the old root goes; once there, that is where it is.
    aside = begun.aside if begun is not None and begun.phase in ("new", "arrived") else names.predecessor
    predecessor = read_current(on, aside, server)
    roots = Roots(instance, successor, predecessor, server_rebuilds=on.has("instances_rebuild"))
    if has_root(rebuild, roots) and begun is None:
        return roots
    roots = replace(roots, origin=read_origin(on, rebuild.desired))
    if not instance.exists or (has_root(rebuild, roots) and begun is None):
        return roots
    snapshots, backups = (_children(on, rebuild.name, kind) for kind in ("snapshots", "backups"))
    return replace(roots, snapshots=snapshots, backups=backups)


def _children(on: Api, name: str, kind: str) -> tuple[str, ...]:
    return tuple(sorted(url.rsplit("/", 1)[1].split("?")[0] for url in on.get(f"instances/{name}/{kind}")))
