# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps from what an instance is to what it shall be. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .config_keys import MARK
from .errors import Refused
from .instance import Current, Desired, made_from
from .instance_edit import blank, check_edit, edited, impact
from .instance_power import Power
from .instance_record import LASTING, PENDING, RESTART, created
from .instance_steps import Change, Create, Delete, Discard, FirstStart, Reconfigure, Update, changes_between
from .steps import Api, Step
from .volume_devices import connected, released

Steps = list[Step[Current, Api]]

# What leads from a power state to a declared one. A word that is no action is a refusal.
UNSAVED = "only a running or frozen instance has a state to save; found"
MOVES: Mapping[tuple[str, str], tuple[str, ...] | str] = {
    ("stopped", "started"): ("start",),
    ("running", "started"): (),
    ("frozen", "started"): ("unfreeze",),
    ("suspended", "started"): ("resume",),
    ("error", "started"): ("kill", "start"),
    ("stopped", "stopped"): (),
    ("running", "stopped"): ("stop",),
    ("frozen", "stopped"): ("unfreeze", "stop"),
    ("suspended", "stopped"): (),
    ("error", "stopped"): ("kill",),
    ("stopped", "frozen"): ("start", "freeze"),
    ("running", "frozen"): ("freeze",),
    ("frozen", "frozen"): (),
    ("suspended", "frozen"): ("resume", "freeze"),
    ("error", "frozen"): ("kill", "start", "freeze"),
    ("stopped", "suspended"): UNSAVED,
    ("running", "suspended"): ("suspend",),
    ("frozen", "suspended"): ("unfreeze", "suspend"),
    ("suspended", "suspended"): (),
    ("error", "suspended"): UNSAVED,
    ("stopped", "restarted"): ("start",),
    ("running", "restarted"): ("stop", "start"),
    ("frozen", "restarted"): ("unfreeze", "stop", "start"),
    ("suspended", "restarted"): ("start",),
    ("error", "restarted"): ("kill", "start"),
    ("stopped", "absent"): (),
    ("running", "absent"): ("stop",),
    ("frozen", "absent"): ("unfreeze", "stop"),
    ("suspended", "absent"): (),
    ("error", "absent"): ("kill",),
}


@dataclass(frozen=True)
class Edit:
    """What a task changes of an existing instance, and what of it waits for a restart."""

    after: Current
    changes: tuple[Change, ...] = ()

    @property
    def restart(self) -> tuple[str, ...]:
        return tuple(change.option for change in self.changes if change.impact == "restart")


def plan(desired: Desired, current: Current) -> Steps:
    """The steps, or Refused. No steps means that the instance is as declared."""
    if desired.state == "absent":
        return _remove(desired, current)
    if not current.exists or current.unfinished:
        return _create(desired, current)
    _check_identity(desired, current)
    return _change(desired, current, edit(desired, current))


def report(desired: Desired, current: Current) -> dict[str, Any]:
    """What a result says besides: ``impact`` of each change, and ``pending``, the changes that wait for a restart; of
    one that is deleted, the ``volumes`` that its host still has."""
    if desired.state == "absent":
        return {"impact": {}, "pending": [], "volumes": connected(current)}
    if not current.exists or current.unfinished:
        return {"impact": {}, "pending": []}
    found = edit(desired, current)
    waits = current.active and desired.apply == "next_start" and desired.state in ("present", "started", "frozen")
    pending = sorted({*current.pending, *found.restart}) if waits else []
    return {"impact": {change.option: change.impact for change in found.changes}, "pending": pending}


def edit(desired: Desired, current: Current) -> Edit:
    """What the task changes of an existing instance, checked."""
    after = edited(desired, current)
    if after is current:
        return Edit(current)
    changes = changes_between(current, after, impact(current, after))
    if changes:
        check_edit(current, after)
    return Edit(after, changes)


def _remove(desired: Desired, current: Current) -> Steps:
    if not current.exists:
        return []
    if current.expanded_config.get("security.protection.delete", "false") in ("true", "1", "yes", "on"):
        raise Refused(
            f"{current.name} on {current.server.name}: security.protection.delete is set; unset it first (config: "
            f"security.protection.delete: null)",
            option="config.security.protection.delete",
        )
    stop = _moves(desired, current, "absent", kill="late")
    gone = current.ephemeral and any(step.action == "stop" for step in stop)
    return [*stop, *([] if gone else [Delete(current.name)])]


def _create(desired: Desired, current: Current) -> Steps:
    where = f"{desired.name} on {current.server.name}"
    if desired.state == "suspended":
        raise Refused(f"{where}: {UNSAVED} no instance; create it with another state first", option="state")
    if desired.source is None:
        raise Refused(
            f"{where}: there is no such instance, and the task names no source to create it from", option="source"
        )
    if current.server.cordoned:
        raise Refused(
            f"{where}: the host is cordoned and takes no new instances: {current.server.cordoned}",
            reason=current.server.cordoned,
        )
    base = blank(desired, current)
    _check_source(desired, base)
    _check_place(desired, current)
    for profile in base.profiles:
        if profile not in current.server.profiles:
            raise Refused(f"{where}: there is no profile {profile}", option="profiles", found=profile)
    after = edited(desired, base)
    check_edit(current, after)
    if after.ephemeral and desired.state == "stopped":
        raise _ephemeral_stop(after)
    remove: Steps = [Discard(current.name)] if current.unfinished else []
    moves: Steps = [*_moves(desired, after, desired.state)]
    starts = bool(moves) and desired.source.type == "image"
    if starts:
        moves[0] = FirstStart(desired.name, "start")
    return [*remove, Create(after, desired.source, desired.target or "", marked=starts), *moves]


def _check_source(desired: Desired, base: Current) -> None:
    where, origin = f"{desired.name} on {base.server.name}", base.origin
    if origin.problem:
        raise Refused(f"{where}: {origin.problem}", option="source")
    if origin.type and origin.type != base.type:
        raise Refused(
            f"{where}: type: the task says {base.type}, but {desired.source.text if desired.source else ''} is "
            f"of a {origin.type}",
            option="type",
        )
    if base.type not in base.server.types:
        raise Refused(
            f"{where}: type: this server runs no {base.type}s (its drivers: "
            f"{', '.join(sorted(base.server.types)) or 'none'})",
            option="type",
            allowed=sorted(base.server.types),
        )


def _check_place(desired: Desired, current: Current) -> None:
    members = current.server.members
    if desired.target and desired.target not in members and not desired.target.startswith("@"):
        found = f"its members are {', '.join(members)}" if members else "it is not a cluster"
        raise Refused(
            f"{desired.name}: target: {desired.target} is no member of {current.server.name}: {found}",
            option="target",
            allowed=members,
        )


def _check_identity(desired: Desired, current: Current) -> None:
    """An instance that is something else than the task says is never taken over or replaced."""
    where, server = f"{desired.name} on {current.server.name}", current.server
    if desired.type and desired.type != current.type:
        raise Refused(
            f"{where}: type: it exists as a {current.type}, the task says {desired.type}; a type never "
            "changes. Use another name, "
            "or remove it first (state: absent)",
            option="type",
            found=current.type,
        )
    if desired.target and server.members and desired.target != current.location and not desired.target.startswith("@"):
        raise Refused(
            f"{where}: target: it is on member {current.location}, the task says {desired.target}; moving an "
            "instance is a migration",
            option="target",
            found=current.location,
        )
    source = desired.source
    if source is None or made_from(source, current):
        return
    image = current.config.get("volatile.base_image", "unknown")
    raise Refused(
        f"{where}: source: it exists and was made from something else (image {image[:12]}, "
        f"{current.config.get('image.description', '')}) "
        f"than the task says ({source.text}). Nothing was changed. To manage it as it is, leave source out; "
        "for a new root, rebuild it; "
        "or remove it first (state: absent)",
        option="source",
        found=image,
    )


def _ephemeral_stop(current: Current) -> Refused:
    return Refused(
        f"{current.name} on {current.server.name}: it is ephemeral: the server deletes it when it stops. "
        "To delete it, say state: absent; to keep it, ephemeral: false",
        option="state",
    )


def _change(desired: Desired, current: Current, found: Edit) -> Steps:
    after, goal = found.after, desired.state
    if after.ephemeral and goal in ("stopped", "suspended") and current.power not in ("stopped", "suspended"):
        raise _ephemeral_stop(after)
    if goal == "present" and current.restart_begun:
        goal = current.restart_begun
    waiting = found.restart if current.active else ()
    if goal in ("stopped", "suspended", "restarted"):
        return _change_and_move(desired, current, found, bool(waiting))
    where = f"{current.name} on {current.server.name}"
    if waiting and desired.apply == "live":
        raise Refused(
            f"{where}: apply: live, but these changes need a restart: {', '.join(waiting)}. "
            "Say apply: restart, or apply: next_start to leave them pending",
            option="apply",
            pending=waiting,
        )
    if waiting and desired.apply == "next_start" and current.type == "virtual-machine":
        raise Refused(
            f"{where}: a running virtual machine takes these changes only when it is stopped: "
            f"{', '.join(waiting)}. Say apply: restart",
            option="apply",
            pending=waiting,
        )
    if desired.apply == "restart" and (waiting or current.pending):
        return _change_by_restart(desired, current, found, goal)
    update = _update(current, found, pending=waiting)
    return [*update, *_moves(desired, after, goal)]


def _change_and_move(desired: Desired, current: Current, found: Edit, waits: bool) -> Steps:
    """Change, then stop, suspend or restart: nothing is left pending. A virtual machine may take the change only
    when stopped."""
    moves = _moves(desired, found.after, desired.state)
    update = _update(current, found)
    if not waits or current.type == "container":
        return [*update, *moves]
    if desired.state == "suspended":
        raise Refused(
            f"{current.name} on {current.server.name}: a running virtual machine takes these changes only when "
            "it is stopped, so it "
            f"cannot be suspended with them: {', '.join(found.restart)}",
            option="state",
        )
    start = Power(current.name, "start")
    if desired.state == "restarted":
        return [Reconfigure(_power(desired, found.after, "stop"), update[0], start)]
    # Its ETag is stale once it has stopped: the plan is made anew there.
    return [*moves, *update]


def _change_by_restart(desired: Desired, current: Current, found: Edit, goal: str) -> Steps:
    thaw = [Power(current.name, "unfreeze")] if current.power == "frozen" else []
    frozen = goal == "frozen" or (goal == "present" and current.power == "frozen")
    freeze = [Power(current.name, "freeze")] if frozen else []
    # Without a marker a run killed between stop and start would leave it stopped where the task says only "present".
    mark = {RESTART: f"{current.boot} {'frozen' if frozen else 'started'}"} if goal == "present" else {}
    if current.type == "virtual-machine" and found.restart:
        noted = _update(current, Edit(current), mark=mark)
        update = _update(current, found, mark=mark)[0]
        stop = _power(desired, found.after, "stop")
        return [*noted, *thaw, Reconfigure(stop, update, Power(current.name, "start")), *freeze]
    restart = _powers(desired, found.after, ("stop", "start"))
    # Noted as pending first: else a run killed before the stop would leave nothing that tells the next one to restart.
    return [*_update(current, found, pending=found.restart, mark=mark), *thaw, *restart, *freeze]


def _update(
    current: Current, found: Edit, pending: tuple[str, ...] = (), mark: Mapping[str, str] | None = None
) -> list[Update]:
    """The update, if anything is to be written; it also brings the markers up to date."""
    if not found.changes and not mark and not current.creating:
        return []
    after = created(found.after.config) if current.creating else found.after.config
    config = {key: value for key, value in after.items() if not key.startswith(MARK) or key in LASTING}
    waiting = sorted({*pending, *current.pending})
    if waiting:
        config[PENDING] = f"{current.boot} {','.join(waiting)}"
    config.update(mark or {})
    return [Update(replace(found.after, config=config), found.changes, current.etag)]


def _moves(desired: Desired, current: Current, goal: str, kill: str = "") -> list[Power]:
    """The power steps from the table."""
    actions = () if goal == "present" else MOVES[current.power, goal]
    if isinstance(actions, str):
        raise Refused(
            f"{current.name} on {current.server.name}: state: {actions} {current.power}",
            option="state",
            found=current.power,
        )
    if "suspend" in actions:
        _check_suspend(current)
    if released(current.config) and {"start", "resume"} & set(actions):
        raise Refused(
            f"{current.name} on {current.server.name}: its volumes are disconnected from this host "
            f"({', '.join(sorted(released(current.config)))}), since it is about to be elsewhere, or they could not be "
            "connected at boot: end its move, or connect them (lxd_volume_attachment, state: connected)",
            option="state",
        )
    return _powers(desired, current, actions, kill)


def _powers(desired: Desired, current: Current, actions: tuple[str, ...], kill: str = "") -> list[Power]:
    """Actions as steps. An ephemeral instance is deleted when it stops, but kept when the server itself restarts it."""
    steps: list[Power] = []
    for action in actions:
        if action == "start" and steps and steps[-1].action == "stop" and current.ephemeral:
            steps[-1] = replace(steps[-1], action="restart")
        else:
            steps.append(_power(desired, current, action, kill))
    return steps


def _power(desired: Desired, current: Current, action: str, kill: str = "") -> Power:
    if action not in ("stop", "kill"):
        return Power(current.name, action)
    kill = "now" if action == "kill" or desired.force else kill or "never"
    return Power(current.name, "stop", desired.stop_timeout, kill, current.ephemeral)


def _check_suspend(current: Current) -> None:
    if current.needs_stateful:
        raise Refused(
            f"{current.name} on {current.server.name}: state: suspended needs config migration.stateful: true, "
            "set while it is stopped. "
            "The nearest that works now is state: frozen",
            option="config.migration.stateful",
        )
