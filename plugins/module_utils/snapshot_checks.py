# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What is refused of snapshots, in words, before anything is changed. Pure."""

from __future__ import annotations

from .errors import Refused
from .instance_record import REBUILD
from .migration import JOURNAL
from .snapshot import Shelf, Snapshot, Wanted
from .snapshot_set import VolumeSet


def place(wanted: Wanted, shelf: Shelf) -> str:
    """Which snapshot a refusal is about, and where."""
    return f"{wanted.where} on {shelf.instance.server.name}"


def check_instance(wanted: Wanted, shelf: Shelf) -> None:
    """Refuses an instance that is not there, or only half."""
    current = shelf.instance
    if not current.exists or current.unfinished:
        found = "there is no such instance" if not current.exists else "its creation was cut short: run that task again"
        raise Refused(f"{wanted.instance} on {current.server.name}: {found}", option="name")


def check_quiet(wanted: Wanted, shelf: Shelf) -> None:
    """Refuses what would keep the notes of something unfinished in a snapshot, or overwrite them by one."""
    current = shelf.instance
    for mark, what in ((JOURNAL, "move"), (REBUILD, "rebuild")):
        if mark in current.config:
            raise Refused(
                f"{place(wanted, shelf)}: a {what} of {current.name} is under way: end that one first", option="name"
            )
    if current.power == "error":
        raise Refused(
            f"{place(wanted, shelf)}: found {current.name} in the state error, allowed are running, frozen, stopped "
            "and, to take a snapshot, suspended",
            option="name",
            found="error",
        )


def check_stateful(wanted: Wanted, shelf: Shelf) -> None:
    """Refuses to save a memory that is not there, or that the server does not save."""
    current = shelf.instance
    if not wanted.stateful:
        return
    if current.power != "running":
        raise Refused(
            f"{place(wanted, shelf)}: stateful: found {current.name} {current.power}, and only a running one has a "
            "memory to save",
            option="stateful",
            found=current.power,
        )
    if current.needs_stateful:
        raise Refused(
            f"{place(wanted, shelf)}: stateful: the server saves the memory of an instance only where it was started "
            "with the config migration.stateful: true",
            option="stateful",
        )


def check_absent(wanted: Wanted, shelf: Shelf) -> None:
    """Refuses to delete what alone ends a restore that was begun."""
    if shelf.found.then:
        raise Refused(
            f"{place(wanted, shelf)}: a restore of {wanted.instance} from it was begun, and not ended: run that task "
            "again first",
            option="state",
        )


def check_set(wanted: Wanted, shelf: Shelf, found: Snapshot) -> None:
    """Refuses a snapshot that has its volumes not as the task says."""
    where = place(wanted, shelf)
    if wanted.volumes is not None and wanted.volumes is not (found.volumes is not None):
        has = "without its volumes" if wanted.volumes else "with its volumes"
        raise Refused(
            f"{where}: volumes: found a snapshot of the instance {has}, and that cannot be changed: delete it first, "
            "or take another",
            option="volumes",
            found=found.volumes is not None,
        )
    _check_whole(where, shelf, found)


def _check_whole(where: str, shelf: Shelf, found: Snapshot) -> None:
    if found.volumes and shelf.found.missing:
        gone = [f"{volume}/{found.name}.{found.volumes.id}" for volume in shelf.found.missing]
        raise Refused(
            f"{where}: the set is no longer whole, gone are {', '.join(gone)}; what works is state: restored with "
            "volumes: false, for the instance alone, and state: absent",
            option="volumes",
            found=gone,
        )


def check_quiesce(wanted: Wanted, shelf: Shelf) -> None:
    """Refuses what cannot be quieted as the task says."""
    current, quiet = shelf.instance, wanted.quiesce
    if wanted.volumes:
        _check_quiet_set(wanted, shelf)
    if quiet is None:
        return
    if wanted.stateful:
        raise Refused(
            f"{place(wanted, shelf)}: quiesce: found stateful: true, which saves what a quiesced guest would write",
            option="quiesce",
        )
    if current.power == "frozen" and quiet.commands:
        raise Refused(
            f"{place(wanted, shelf)}: quiesce: found {current.name} frozen, and no command runs in it; allowed with "
            "before and after are running and stopped",
            option="quiesce",
            found="frozen",
        )


def _check_quiet_set(wanted: Wanted, shelf: Shelf) -> None:
    current, where = shelf.instance, place(wanted, shelf)
    if wanted.stateful:
        raise Refused(
            f"{where}: volumes: found stateful: true; the memory is saved at another moment than the volumes, which "
            "it would not fit",
            option="volumes",
        )
    loud = wanted.quiesce is not None and not wanted.quiesce.freeze and current.type == "container"
    if loud and current.power == "running":
        raise Refused(
            f"{where}: quiesce.freeze: found false; the snapshots of a set are taken one after another, so a running "
            "container is frozen meanwhile",
            option="quiesce.freeze",
            found=False,
        )


def check_restore(wanted: Wanted, shelf: Shelf, found: Snapshot) -> None:
    """Refuses what would be lost, or half restored."""
    current, where = shelf.instance, place(wanted, shelf)
    if restored_volumes(wanted, found):
        _check_whole(where, shelf, found)
        if shelf.found.problems:
            raise Refused(
                f"{where}: {'; '.join(shelf.found.problems)}. volumes: false restores the instance alone",
                option="volumes",
                found=list(shelf.found.problems),
            )
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


def in_the_way(wanted: Wanted, shelf: Shelf) -> list[str]:
    """The snapshots that must be deleted for a restore: on zfs all newer ones (RestoreVolume in
    lxd/storage/drivers/driver_zfs_volumes.go)."""
    return shelf.newer(wanted.snapshot) if shelf.driver == "zfs" else []


def restored_volumes(wanted: Wanted, found: Snapshot) -> VolumeSet | None:
    """The set whose volumes are restored too."""
    return found.volumes if found.volumes and found.volumes.volumes and wanted.volumes is not False else None
