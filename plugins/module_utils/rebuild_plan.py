# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps that give an instance a new root, from wherever an earlier run was cut short. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .errors import Refused
from .instance import Current
from .instance_edit import wanted_config
from .instance_power import Power, powers
from .instance_steps import Create
from .migration import STOP, starting
from .rebuild import (
    Journal,
    Rebuild,
    Roots,
    has_root,
    held,
    holding,
    identity,
    in_place,
    is_made,
    journal_for,
    journal_of,
    new_config,
    pinned,
    without_addresses,
)
from .rebuild_blockers import blockers, losses
from .rebuild_in_place import Renew
from .rebuild_steps import Begin, BringBack, Drop, Finish, Make, Retire, Start, Switch, devices_kept
from .steps import Api, Step


def plan(rebuild: Rebuild, roots: Roots) -> list[Step[Roots, Api]]:
    """The steps, or Refused. No steps: the root is the wanted one, and nothing of a rebuild is left."""
    steps: list[Step[Roots, Api]] = []
    while step := _next(rebuild, roots):
        steps.append(step)
        roots = step.effect(roots)
    return steps


def report(rebuild: Rebuild, roots: Roots) -> dict[str, Any]:
    """What a result says besides."""
    config, begun = roots.instance.config, journal_of(roots.instance.config)
    fingerprint = config.get("volatile.base_image", "")[:12] or "unknown"
    needed = begun is not None or not has_root(rebuild, roots)
    power = begun.power if begun else roots.instance.power
    server = in_place(rebuild, roots)
    downtime = "none" if power == "stopped" else "while the image is unpacked" if server else "seconds"
    return {
        "image": {
            "before": f"{config.get('image.description', 'image')} ({fingerprint})",
            "after": rebuild.source.text,
        },
        "snapshots": list(roots.snapshots),
        "method": ("server" if server else "swap") if needed else None,
        "downtime": downtime if needed else None,
    }


def _next(rebuild: Rebuild, roots: Roots) -> Step[Roots, Api] | None:
    """The next step. What it leads to is looked at as if an earlier run had left it."""
    name, journal = rebuild.name, journal_of(roots.instance.config)
    _check_others(rebuild, roots)
    if not roots.instance.exists:
        return _between(rebuild, roots)
    if journal is None:
        return _begin(rebuild, roots)
    if journal.phase in ("rebuilding", "old"):
        fresh = journal_for(rebuild, roots)
        if (journal.phase, journal.digest, journal.aside) != (fresh.phase, fresh.digest, fresh.aside):
            _check(rebuild, roots)
            return Begin(name, fresh)
        _check_losses(rebuild, roots)
        return _renew(rebuild, roots, journal) if journal.phase == "rebuilding" else _replace(rebuild, roots, journal)
    if journal.phase == "new":
        return Switch(roots.names, journal, start=_start(name, journal))
    actions = starting(journal.power, roots.instance.power)
    if actions and journal.phase == "rebuilt" and journal.digest != rebuild.digest:
        # It may not start as an earlier run made it, and what is wanted now is something else.
        _check(rebuild, roots)
        return Begin(name, journal_for(rebuild, roots))
    if actions:
        return Start(roots.names, powers(name, actions))
    old = journal_of(roots.predecessor.config)
    if old is not None and old.phase == "old":
        devices = devices_kept(roots.predecessor) if journal.keep else {}
        return Retire(roots.predecessor.name, journal.keep, devices)
    return Finish(name)


def _check_others(rebuild: Rebuild, roots: Roots) -> None:
    for other in (roots.successor, roots.predecessor):
        if other.active and journal_of(other.config) is not None:
            raise Refused(
                f"{rebuild.name} on {other.server.name}: {other.name} runs, which is its root of before or after a "
                "rebuild that was cut short: somebody started it. Stop it, then run again"
            )


def _between(rebuild: Rebuild, roots: Roots) -> Step[Roots, Api]:
    """The old one has given up the name, and the successor has not taken it yet."""
    new, old = journal_of(roots.successor.config), journal_of(roots.predecessor.config)
    if new is not None and is_made(roots.successor):
        return Switch(roots.names, new, start=_start(rebuild.name, new))
    if old is not None:
        return BringBack(roots.names, old)
    raise Refused(f"{rebuild.name} on {roots.instance.server.name}: there is no such instance", option="name")


def _begin(rebuild: Rebuild, roots: Roots) -> Step[Roots, Api] | None:
    if journal_of(roots.predecessor.config) is not None:
        raise Refused(
            f"{rebuild.name} on {roots.instance.server.name}: a rebuild was cut short when {roots.predecessor.name}, "
            f"the old one, had given up the name, and there is another {rebuild.name} now that it did not make. "
            "Nothing was changed. Remove the one of them that is wrong, and give the other the name"
        )
    if journal_of(roots.successor.config) is not None:
        return Drop(roots.successor.name)
    wanted_config(rebuild.desired, roots.instance)
    if has_root(rebuild, roots):
        return None
    _check(rebuild, roots)
    return Begin(rebuild.name, journal_for(rebuild, roots))


def _check(rebuild: Rebuild, roots: Roots) -> None:
    _refuse(rebuild, roots, blockers(rebuild, roots))


def _check_losses(rebuild: Rebuild, roots: Roots) -> None:
    """Again where a rebuild is gone on with: somebody may have made a snapshot since."""
    _refuse(rebuild, roots, list(losses(rebuild, roots)))


def _refuse(rebuild: Rebuild, roots: Roots, found: list[str]) -> None:
    if found:
        where = f"{rebuild.name} on {roots.instance.server.name}"
        raise Refused(f"{where}: cannot be rebuilt from {rebuild.source.text}: {'; '.join(found)}", blockers=found)


def _replace(rebuild: Rebuild, roots: Roots, journal: Journal) -> Step[Roots, Api]:
    """A successor is made, and put in the place of the old one."""
    instance, successor = roots.instance, roots.successor
    if is_made(successor, journal):
        own = journal_of(successor.config) or journal
        return Switch(roots.names, own, _stop(rebuild, instance), _start(instance.name, own))
    if successor.exists:
        return Drop(successor.name)
    source = pinned(rebuild.source, roots.origin)
    config = {**new_config(rebuild, instance, journal), **identity(instance.config)}
    own = holding(journal.at("new"), config)
    base = {"volatile.base_image": source.fingerprint} if source.fingerprint else {}
    result = _fresh(instance, held({**config, **base}, own), successor.name)
    result = replace(result, devices=without_addresses(instance.devices, journal))
    member = "" if instance.location in ("", "none") else instance.location
    return Make(Create(result, source, member), roots.names, rebuild.source.text)


def _renew(rebuild: Rebuild, roots: Roots, journal: Journal) -> Renew:
    instance, source = roots.instance, pinned(rebuild.source, roots.origin)
    config = new_config(rebuild, instance, journal)
    base = {"volatile.base_image": source.fingerprint} if source.fingerprint else {}
    own = holding(journal.at("rebuilt"), config)
    result = _fresh(instance, {**config, **identity(instance.config), **base}, instance.name)
    body = Create(result, source).body()["source"]
    gone = roots.snapshots if rebuild.snapshots == "delete" else ()
    return Renew(result, own, body, rebuild.source.text, _stop(rebuild, instance), gone)


def _fresh(instance: Current, config: dict[str, str], name: str) -> Current:
    """An instance with a new root: stopped, and never started."""
    return replace(instance, name=name, power="stopped", config=config, ephemeral=False, boot="", etag="")


def _stop(rebuild: Rebuild, instance: Current) -> tuple[Power, ...]:
    return powers(instance.name, STOP[instance.power], rebuild.desired.stop_timeout, rebuild.desired.force)


def _start(name: str, journal: Journal) -> tuple[Power, ...]:
    return powers(name, starting(journal.power, "stopped"))
