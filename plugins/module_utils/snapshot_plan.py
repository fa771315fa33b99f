# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps from the snapshots that an instance has to the one it shall have, or be restored from. Pure."""

from __future__ import annotations

from typing import Any

from .compare import changed_keys
from .errors import Refused
from .instance import QUIESCED, REBUILD, RESTORED, Devices, owned
from .migration import JOURNAL
from .quiesce import End, TakeQuiet
from .snapshot import OURS, Quiesce, Shelf, Snapshot, Wanted, is_restored, restored_mark
from .snapshot_export import export_steps
from .snapshot_publish import image_steps
from .snapshot_steps import Drop, Expire, Freeze, Mark, Restore, Take
from .steps import Api, Step, predict

Steps = list[Step[Shelf, Api]]


def plan(wanted: Wanted, shelf: Shelf) -> Steps:
    """The steps, or Refused. No steps means that all is as declared."""
    mark = shelf.instance.config.get(QUIESCED)
    left: Steps = [End(wanted.instance, mark, shelf.instance.boot, wanted.quiesce or Quiesce())] if mark else []
    return [*left, *_planned(wanted, predict(shelf, left))]


def _planned(wanted: Wanted, shelf: Shelf) -> Steps:
    if wanted.state == "absent":
        return [Drop(wanted.instance, wanted.snapshot)] if wanted.snapshot in shelf.snapshots else []
    _check_instance(wanted, shelf)
    return _restored(wanted, shelf) if wanted.state == "restored" else _present(wanted, shelf)


def _present(wanted: Wanted, shelf: Shelf) -> Steps:
    steps = _taken(wanted, shelf)
    after = predict(shelf, steps)
    steps += [*image_steps(wanted, after), *export_steps(wanted, after)]
    if wanted.keep is not None:
        why = f", as {wanted.keep.count} newer ones of {wanted.keep.pattern} are kept"
        steps += [Drop(wanted.instance, name, why) for name in after.surplus(wanted.snapshot, wanted.keep)]
    return steps


def _taken(wanted: Wanted, shelf: Shelf) -> Steps:
    found = shelf.snapshots.get(wanted.snapshot)
    if found is None:
        _check_stateful(wanted, shelf)
        _check_quiet(wanted, shelf)
        _check_quiesce(wanted, shelf)
        expires = wanted.expires.text if wanted.expires else "never"
        taken = Snapshot(wanted.snapshot, expires=expires, stateful=bool(wanted.stateful))
        take = Take(wanted.instance, taken, wanted.expires)
        # Of one that does not run nothing is written, and one that is frozen already stays so.
        quiet = wanted.quiesce if shelf.instance.power == "running" else None
        return [TakeQuiet(take, shelf.instance.boot, quiet) if quiet else take]
    if wanted.stateful not in (None, found.stateful):
        has = "has" if found.stateful else "has not"
        raise Refused(
            f"{_where(wanted, shelf)}: stateful: found a snapshot that {has} the memory of its instance, and that "
            "cannot be changed: delete it first, or take another",
            option="stateful",
            found=found.stateful,
        )
    if wanted.expires is not None and not found.meets(wanted.expires):
        return [Expire(wanted.instance, found, wanted.expires)]
    return []


def _restored(wanted: Wanted, shelf: Shelf) -> Steps:
    if is_restored(wanted, shelf):
        return []
    current, found = shelf.instance, _found(wanted, shelf)
    _check_quiet(wanted, shelf)
    _check_restore(wanted, shelf, found)
    newer = [Drop(wanted.instance, name, f", which is newer than {found.name}") for name in in_the_way(wanted, shelf)]
    steps: Steps = [*newer, Restore(wanted.instance, found, bool(wanted.stateful), current.active, current.etag)]
    marks = {RESTORED: restored_mark(wanted), QUIESCED: None}
    marks |= {key: current.config.get(key) for key in OURS}
    if any(found.config.get(key) != value for key, value in marks.items()):
        steps.append(Mark(wanted.instance, marks, f"note on {wanted.instance} what it was restored from"))
    if current.power == "frozen" and not wanted.stateful:
        steps.append(Freeze(wanted.instance))
    return steps


def in_the_way(wanted: Wanted, shelf: Shelf) -> list[str]:
    """The snapshots that must be deleted for a restore: on zfs all newer ones (RestoreVolume in
    lxd/storage/drivers/driver_zfs_volumes.go)."""
    return shelf.newer(wanted.snapshot) if shelf.driver == "zfs" else []


def report(wanted: Wanted, shelf: Shelf) -> dict[str, Any]:
    """What a result says besides: facts, and what a restore loses."""
    if wanted.state != "restored":
        return facts(wanted, shelf)
    return {**facts(wanted, shelf), "loses": [] if is_restored(wanted, shelf) else losses(wanted, shelf)}


def facts(wanted: Wanted, shelf: Shelf) -> dict[str, Any]:
    """What only the server says of a snapshot, so that it is no part of predictions."""
    image = shelf.published.image
    return {
        "left_out": volumes(shelf.instance.expanded_devices),
        **times(shelf.snapshots.get(wanted.snapshot)),
        **({"fingerprint": image.fingerprint if image else None} if wanted.publish else {}),
        **({"sha256": shelf.exported.sha256 or None} if wanted.export else {}),
    }


def volumes(devices: Devices) -> list[str]:
    """The custom volumes that are attached, which no snapshot of an instance holds."""
    disks = [device for device in devices.values() if device.get("type") == "disk" and device.get("path") != "/"]
    return sorted(f"{disk['pool']}/{disk['source']}" for disk in disks if disk.get("pool") and disk.get("source"))


def times(found: Snapshot | None) -> dict[str, str | None]:
    """When a snapshot was taken, and when it expires: null for never, or where there is none."""
    expires = found.expires if found and found.expires != "never" else None
    return {"created_at": found.created if found else None, "expires_at": expires}


def losses(wanted: Wanted, shelf: Shelf) -> list[str]:
    """What a restore loses, in words."""
    current, found = shelf.instance, _found(wanted, shelf)
    lost = [f"what was written to the root since {found.created}"]
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


def _where(wanted: Wanted, shelf: Shelf) -> str:
    return f"{wanted.where} on {shelf.instance.server.name}"


def _found(wanted: Wanted, shelf: Shelf) -> Snapshot:
    if wanted.snapshot not in shelf.snapshots:
        names = sorted(shelf.snapshots)
        raise Refused(
            f"{_where(wanted, shelf)}: there is no such snapshot; it has {', '.join(names) or 'none'}",
            option="snapshot",
            allowed=names,
        )
    return shelf.snapshots[wanted.snapshot]


def _check_instance(wanted: Wanted, shelf: Shelf) -> None:
    current = shelf.instance
    if not current.exists or current.unfinished:
        found = "there is no such instance" if not current.exists else "its creation was cut short: run that task again"
        raise Refused(f"{wanted.instance} on {current.server.name}: {found}", option="name")


def _check_quiet(wanted: Wanted, shelf: Shelf) -> None:
    """Refuses what would keep the notes of something unfinished in a snapshot, or overwrite them by one."""
    current = shelf.instance
    for mark, what in ((JOURNAL, "move"), (REBUILD, "rebuild")):
        if mark in current.config:
            raise Refused(
                f"{_where(wanted, shelf)}: a {what} of {current.name} is under way: end that one first", option="name"
            )
    if current.power == "error":
        raise Refused(
            f"{_where(wanted, shelf)}: found {current.name} in the state error, allowed are running, frozen, stopped "
            "and, to take a snapshot, suspended",
            option="name",
            found="error",
        )


def _check_stateful(wanted: Wanted, shelf: Shelf) -> None:
    current = shelf.instance
    if not wanted.stateful:
        return
    if current.power != "running":
        raise Refused(
            f"{_where(wanted, shelf)}: stateful: found {current.name} {current.power}, and only a running one has a "
            "memory to save",
            option="stateful",
            found=current.power,
        )
    if current.needs_stateful:
        raise Refused(
            f"{_where(wanted, shelf)}: stateful: the server saves the memory of an instance only where it was started "
            "with the config migration.stateful: true",
            option="stateful",
        )


def _check_quiesce(wanted: Wanted, shelf: Shelf) -> None:
    current, quiet = shelf.instance, wanted.quiesce
    if quiet is None:
        return
    if wanted.stateful:
        raise Refused(
            f"{_where(wanted, shelf)}: quiesce: found stateful: true, which saves what a quiesced guest would write",
            option="quiesce",
        )
    if current.type != "container" and quiet.freeze:
        raise Refused(
            f"{_where(wanted, shelf)}: quiesce.freeze: the server freezes the processors of a virtual machine, which "
            "writes nothing of its memory to its disk; what works is freeze: false with before: fsfreeze --freeze /srv "
            "and after: fsfreeze --unfreeze /srv, for the file systems that matter",
            option="quiesce.freeze",
        )
    if current.power == "frozen" and quiet.commands:
        raise Refused(
            f"{_where(wanted, shelf)}: quiesce: found {current.name} frozen, and no command runs in it; allowed with "
            "before and after are running and stopped",
            option="quiesce",
            found="frozen",
        )


def _check_restore(wanted: Wanted, shelf: Shelf, found: Snapshot) -> None:
    current, where = shelf.instance, _where(wanted, shelf)
    if wanted.stateful and not found.stateful:
        raise Refused(f"{where}: stateful: the snapshot has no memory of its instance", option="stateful")
    if current.power == "suspended":
        raise Refused(
            f"{where}: {current.name} is suspended, and its saved memory is of the root it has now; found suspended, "
            "allowed are running, frozen and stopped",
            option="name",
            found="suspended",
        )
    # Its flag is written back together with the config that the restore has just replaced (Restore in
    # lxd/instance/drivers/driver_lxc.go).
    if current.ephemeral and current.active:
        raise Refused(
            f"{where}: {current.name} is ephemeral and runs: the server would restore its root, and not its config",
            option="name",
        )
    if shelf.lost_profiles:
        raise Refused(
            f"{where}: it was taken with profiles that the server no longer has: {', '.join(shelf.lost_profiles)}; "
            "the restore would fail with the root already replaced. Make them first",
            option="snapshot",
            found=list(shelf.lost_profiles),
        )
    newer = in_the_way(wanted, shelf)
    if newer and not wanted.force:
        raise Refused(
            f"{where}: a pool of zfs restores the newest snapshot only, and these are newer: {', '.join(newer)}. "
            "force: true deletes them",
            option="force",
            found=newer,
        )
