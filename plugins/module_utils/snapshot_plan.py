# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps from the snapshots that an instance has to the one it shall have, or be restored from. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .compare import changed_keys
from .errors import Refused
from .instance_power import powers
from .instance_record import QUIESCED, RESTORED, SET, owned
from .quiesce import End, TakeQuiet
from .snapshot import OURS, Quiesce, Shelf, Snapshot, Wanted, is_restored, restored_mark
from .snapshot_checks import (
    check_absent,
    check_instance,
    check_quiesce,
    check_quiet,
    check_restore,
    check_set,
    check_stateful,
    in_the_way,
    place,
    restored_volumes,
)
from .snapshot_export import export_steps
from .snapshot_publish import image_steps
from .snapshot_set import attached, external, set_of
from .snapshot_set_steps import EndSet, Move, NoteRestore, RestoreVolumes, TakeSet
from .snapshot_steps import Drop, Expire, Freeze, Mark, Restore, Take
from .steps import Api, Step, predict

Steps = list[Step[Shelf, Api]]


def plan(wanted: Wanted, shelf: Shelf) -> Steps:
    """The steps, or Refused. No steps means that all is as declared."""
    mark = shelf.instance.config.get(QUIESCED)
    left: Steps = [End(wanted.instance, mark, shelf.instance.boot, wanted.quiesce or Quiesce())] if mark else []
    begun = set_of(shelf.instance.config)
    if begun is not None:
        found = shelf.snapshots.get(begun.snapshot)
        left.append(EndSet(wanted.instance, begun, whole=found is not None and found.volumes == begun))
    return [*left, *_planned(wanted, predict(shelf, left))]


def _planned(wanted: Wanted, shelf: Shelf) -> Steps:
    if wanted.state == "absent":
        found = shelf.snapshots.get(wanted.snapshot)
        check_absent(wanted, shelf)
        return [Drop(wanted.instance, wanted.snapshot, found.volumes)] if found else []
    check_instance(wanted, shelf)
    return _restored(wanted, shelf) if wanted.state == "restored" else _present(wanted, shelf)


def _present(wanted: Wanted, shelf: Shelf) -> Steps:
    steps = _taken(wanted, shelf)
    after = predict(shelf, steps)
    steps += [*image_steps(wanted, after), *export_steps(wanted, after)]
    if wanted.keep is not None:
        why = f", as {wanted.keep.count} newer ones of {wanted.keep.pattern} are kept"
        surplus = after.surplus(wanted.snapshot, wanted.keep)
        steps += [Drop(wanted.instance, name, after.snapshots[name].volumes, why) for name in surplus]
    return steps


def _taken(wanted: Wanted, shelf: Shelf) -> Steps:
    found = shelf.snapshots.get(wanted.snapshot)
    if found is None:
        check_stateful(wanted, shelf)
        check_quiet(wanted, shelf)
        check_quiesce(wanted, shelf)
        expires = wanted.expires.text if wanted.expires else "never"
        taken = Snapshot(wanted.snapshot, expires=expires, stateful=bool(wanted.stateful))
        one = Take(wanted.instance, taken, wanted.expires)
        take = TakeSet(one, attached(shelf.instance.expanded_devices)) if wanted.volumes else one
        # Of one that does not run nothing is written, and one that is frozen already stays so. A set is taken of a
        # quiet guest only: its snapshots are taken one after another.
        quiet = wanted.quiesce or (Quiesce() if wanted.volumes else None)
        quiet = quiet if shelf.instance.power == "running" else None
        return [TakeQuiet(take, shelf.instance.boot, quiet, shelf.instance.type != "container") if quiet else take]
    if wanted.stateful not in (None, found.stateful):
        has = "has" if found.stateful else "has not"
        raise Refused(
            f"{place(wanted, shelf)}: stateful: found a snapshot that {has} the memory of its instance, and that "
            "cannot be changed: delete it first, or take another",
            option="stateful",
            found=found.stateful,
        )
    check_set(wanted, shelf, found)
    if wanted.expires is not None and not found.meets(wanted.expires):
        return [Expire(wanted.instance, found, wanted.expires)]
    return []


def _restored(wanted: Wanted, shelf: Shelf) -> Steps:
    if is_restored(wanted, shelf):
        return _ended(wanted, shelf)
    found = _found(wanted, shelf)
    check_quiet(wanted, shelf)
    check_restore(wanted, shelf, found)
    why = f", which is newer than {found.name}"
    newer: Steps = [
        Drop(wanted.instance, name, shelf.snapshots[name].volumes, why) for name in in_the_way(wanted, shelf)
    ]
    volumes = restored_volumes(wanted, found)
    if volumes is None:
        steps = [*newer, *_restored_root(wanted, shelf, found)]
        return [*steps, *_ended(wanted, predict(shelf, steps))]
    # Nobody may use the volumes, so the instance is stopped here, and not by the server.
    then = shelf.found.then or shelf.instance.power
    steps = [*newer, *([] if shelf.found.then else [NoteRestore(wanted.instance, volumes, then)])]
    if shelf.instance.active:
        steps += map(Move, powers(wanted.instance, ("stop",), force=True))
    steps.append(RestoreVolumes(wanted.instance, volumes))
    after = predict(shelf, steps)
    # What it was read as is no longer so, since it was stopped.
    steps += _restored_root(wanted, replace(after, instance=replace(after.instance, etag="")), found)
    return [*steps, *_ended(wanted, predict(shelf, steps))]


def _restored_root(wanted: Wanted, shelf: Shelf, found: Snapshot) -> Steps:
    current = shelf.instance
    steps: Steps = [Restore(wanted.instance, found, bool(wanted.stateful), current.active, current.etag)]
    marks = {RESTORED: restored_mark(wanted), QUIESCED: None, SET: None}
    marks |= {key: current.config.get(key) for key in OURS}
    if any(found.config.get(key) != value for key, value in marks.items()):
        steps.append(Mark(wanted.instance, marks, f"note on {wanted.instance} what it was restored from"))
    if current.power == "frozen" and not wanted.stateful:
        steps.append(Freeze(wanted.instance))
    return steps


def _ended(wanted: Wanted, shelf: Shelf) -> Steps:
    """What is left of the restore of a set when all is restored: the power that the instance had."""
    then, found = shelf.found.then, shelf.snapshots.get(wanted.snapshot)
    if not then or found is None or found.volumes is None:
        return []
    back = {"running": ("start",), "frozen": ("start", "freeze")}.get(then, ())
    actions = [action for action in back if not (action == "start" and shelf.instance.active)]
    actions = [] if shelf.instance.power == then else actions
    return [*map(Move, powers(wanted.instance, actions)), NoteRestore(wanted.instance, found.volumes, "")]


def report(wanted: Wanted, shelf: Shelf) -> dict[str, Any]:
    """What a result says besides: facts, and what a restore loses."""
    if wanted.state != "restored":
        return facts(wanted, shelf)
    return {**facts(wanted, shelf), "loses": [] if is_restored(wanted, shelf) else losses(wanted, shelf)}


def facts(wanted: Wanted, shelf: Shelf) -> dict[str, Any]:
    """What only the server says of a snapshot, so that it is no part of predictions."""
    image, found = shelf.published.image, shelf.snapshots.get(wanted.snapshot)
    return {
        "left_out": left_out(wanted, shelf),
        "set_id": found.volumes.id if found and found.volumes else None,
        **times(found),
        **({"fingerprint": image.fingerprint if image else None} if wanted.publish else {}),
        **({"sha256": shelf.exported.sha256 or None} if wanted.export else {}),
    }


def left_out(wanted: Wanted, shelf: Shelf) -> list[str]:
    """The volumes that are attached, and which the snapshot does not hold, or would not."""
    devices, found = shelf.instance.expanded_devices, shelf.snapshots.get(wanted.snapshot)
    if found is None:
        inside = attached(devices) if wanted.volumes else ()
    else:
        inside = found.volumes.volumes if found.volumes else ()
    return [*(volume for volume in attached(devices) if volume not in inside), *external(devices)]


def times(found: Snapshot | None) -> dict[str, str | None]:
    """When a snapshot was taken, and when it expires: null for never, or where there is none."""
    expires = found.expires if found and found.expires != "never" else None
    return {"created_at": found.created if found else None, "expires_at": expires}


def losses(wanted: Wanted, shelf: Shelf) -> list[str]:
    """What a restore loses, in words."""
    current, found = shelf.instance, _found(wanted, shelf)
    volumes = restored_volumes(wanted, found)
    what = f"the root and the volumes {', '.join(volumes.volumes)}" if volumes else "the root"
    lost = [f"what was written to {what} since {found.created}"]
    changed = changed_keys(owned(current.config), owned(found.config))
    if changed:
        lost.append(f"config as it is now: {', '.join(changed)}")
    devices = changed_keys(current.devices, found.devices)
    if devices:
        lost.append(f"devices as they are now: {', '.join(devices)}")
    if current.profiles != found.profiles:
        lost.append(f"profiles as they are now: {', '.join(current.profiles) or 'none'}")
    if in_the_way(wanted, shelf):
        lost.append(f"newer snapshots: {', '.join(in_the_way(wanted, shelf))}")
    if current.active:
        lost.append("what runs: the guest is killed, and " + ("resumed" if wanted.stateful else "started again"))
    return lost


def _found(wanted: Wanted, shelf: Shelf) -> Snapshot:
    if wanted.snapshot not in shelf.snapshots:
        names = sorted(shelf.snapshots)
        raise Refused(
            f"{place(wanted, shelf)}: there is no such snapshot; it has {', '.join(names) or 'none'}",
            option="snapshot",
            allowed=names,
        )
    return shelf.snapshots[wanted.snapshot]
