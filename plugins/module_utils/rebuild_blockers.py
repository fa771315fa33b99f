# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What stands in the way of a rebuild, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from .migration import JOURNAL
from .rebuild import Rebuild, Roots, addresses_of, in_place, journal_of


def blockers(rebuild: Rebuild, roots: Roots) -> list[str]:
    """All that stands in the way."""
    return [*_of_image(roots), *_of_instance(roots), *losses(rebuild, roots), *_of_way(rebuild, roots)]


def _of_image(roots: Roots) -> Iterator[str]:
    origin, current = roots.origin, roots.instance
    if origin.problem:
        yield origin.problem
    if origin.type and origin.type != current.type:
        yield f"source: the image is of a {origin.type}, the instance is a {current.type}"
    if origin.architecture and origin.architecture != current.architecture:
        yield f"source: the image is for {origin.architecture}, the instance for {current.architecture}"


def _of_instance(roots: Roots) -> Iterator[str]:
    current = roots.instance
    if current.power not in ("running", "frozen", "stopped"):
        yield f"it is in the state {current.power}; allowed are running, frozen and stopped"
    if current.creating:
        yield "its creation was cut short"
    if JOURNAL in current.config:
        yield "a move of it is under way: end that one first, or give it up"


def losses(rebuild: Rebuild, roots: Roots) -> Iterator[str]:
    """What would go with the old root, and may not."""
    if rebuild.snapshots != "refuse":
        return
    if roots.snapshots:
        yield f"its snapshots would be lost: {', '.join(roots.snapshots)}. Say snapshots: delete or keep"
    if roots.backups and not in_place(rebuild, roots):
        yield f"its backups would be lost: {', '.join(roots.backups)}. Say snapshots: delete or keep"


def _of_way(rebuild: Rebuild, roots: Roots) -> Iterator[str]:
    if in_place(rebuild, roots):
        if not roots.server_rebuilds:
            yield "method: server, but this server has no rebuild of its own (API extension instances_rebuild)"
        return
    given = {
        name: device for name, device in roots.instance.expanded_devices.items() if name not in roots.instance.devices
    }
    for name in addresses_of(given):
        yield f"device {name} has an address from a profile, which two roots cannot have: declare it on the instance"
    if "volatile.uuid" not in roots.instance.config:
        yield "the server has given it no volatile.uuid, by which its new root would be known as the same instance"
    for other in (roots.successor, roots.predecessor):
        if other.exists and journal_of(other.config) is None:
            what = "say keep_as" if other is roots.predecessor and rebuild.keep else "rename or remove that one"
            yield f"the name {other.name}, which the rebuild needs, is taken by another instance: {what}"
