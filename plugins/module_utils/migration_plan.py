# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The steps that bring an instance to another server, from wherever an earlier run was cut short. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .errors import Refused
from .instance import Current
from .instance_power import powers
from .instance_record import HOME
from .migration import Journal, Link, Move, Pair, Place, held, identity, journal_for, journal_of, starting, stopping
from .migration_blockers import blockers, devices_there, unnamed_volumes
from .migration_steps import Abort, Begin, Copy, Drop, Finish, Remove, Start, Switch
from .steps import Step
from .transfer import Transfer
from .volume_devices import connected, released, shown_volumes, volumes_of

Steps = list[Step[Pair, Link]]


def plan(move: Move, pair: Pair) -> Steps:
    """The steps, or Refused. No steps: it is on the target, and nothing of a move is left."""
    if move.state == "aborted":
        return _abort(move, pair)
    source, target = pair.source, pair.target
    leaving, coming = journal_of(source.config), journal_of(target.config)
    if not source.exists:
        return _arrived_alone(move, target, coming)
    _check_way(pair, leaving)
    if not target.exists:
        if pair.place is not None:
            _check(move, pair, pair.place)
        return _move(move, pair, leaving, fresh=True)
    _check_same(move, pair, coming)
    if coming is not None and coming.phase == "arrived":
        return _end(move, pair, coming)
    if leaving is None:
        # A move that was given up, but whose copy could not be reached then.
        return [Drop(target.name, target.server.name), *_move(move, pair, None, fresh=True)]
    if coming is not None and coming.phase == "copied" and _saved(target) == _live(move, source):
        return _move(move, pair, leaving, fresh=False)
    return [Drop(target.name, target.server.name), *_move(move, pair, leaving, fresh=True)]


def report(move: Move, pair: Pair) -> dict[str, Any]:
    """What a result says besides: how it is moved, and with which volumes."""
    volumes = shown_volumes(pair.source.devices)
    if move.state == "aborted" or not pair.source.exists:
        return {"method": None, "volumes": volumes}
    return {"method": _method(move, pair.source), "volumes": volumes}


def _saved(current: Current) -> bool:
    """Whether it is one to be resumed: only a copy that is made as such takes a saved memory."""
    return current.power == "suspended"


def _live(move: Move, source: Current) -> bool:
    """Whether the memory moves too. LXD's own live migration of a container leaves the source as it is when it fails,
    and that of a virtual machine outside a cluster runs it twice: here it is suspended, moved and resumed."""
    return _saved(source) or (move.method == "live" and source.active)


def _method(move: Move, source: Current) -> str:
    if _live(move, source):
        return "live"
    if source.power == "stopped" or source.type != "container":
        return "cold"
    return "cold" if move.method == "cold" else "refresh"


def _check(move: Move, pair: Pair, place: Place) -> None:
    if journal_of(pair.source.config) is None:
        _refuse(move, pair, blockers(move, pair.source, pair.origin or Place(), place))


def _refuse(move: Move, pair: Pair, found: list[str]) -> None:
    if found:
        raise Refused(
            f"{move.name} on {pair.source.server.name}: cannot move to {pair.target.server.name}: {'; '.join(found)}",
            blockers=found,
            volumes=shown_volumes(pair.source.devices),
        )


def _check_way(pair: Pair, leaving: Journal | None) -> None:
    if leaving is not None and (leaving.source, leaving.target) != (pair.here, pair.there):
        raise Refused(
            f"{pair.source.name} on {pair.source.server.name}: a move to another server than "
            f"{pair.target.server.name} is under way, where it may run already: end that one, or give it up (state: "
            "aborted), with the same target",
            option="target",
        )


def _check_same(move: Move, pair: Pair, coming: Journal | None) -> None:
    source, target = pair.source, pair.target
    if coming is None:
        raise Refused(
            f"{move.name}: there is an instance {target.name} on {target.server.name} already, and one on "
            f"{source.server.name}: neither is a copy that a move of ours made. Say new_name, or remove one of them",
            option="new_name",
        )
    if coming.uuid != source.config.get("volatile.uuid"):
        raise Refused(
            f"{move.name}: {target.name} on {target.server.name} is the unfinished copy of another instance",
            option="name",
        )
    if source.active and target.active:
        raise Refused(
            f"{move.name}: it runs on {source.server.name} and on {target.server.name}: somebody started one of them "
            "while it moved. Stop the one whose changes may be lost, then run again"
        )


def _arrived_alone(move: Move, target: Current, coming: Journal | None) -> Steps:
    if not target.exists:
        raise Refused(f"{move.name}: there is no such instance on either server", option="name")
    if coming is None or (move.state == "arrived" and coming.phase == "arrived"):
        return []
    if coming.phase != "arrived":
        raise Refused(
            f"{target.name} on {target.server.name} is an unfinished copy, and its source is gone: nothing was "
            f"changed. If it is good nevertheless, remove its config key by hand, and set what it held back"
        )
    return [*_started(move, target, coming, "leave"), Finish(target.name, target.server.name)]


def _end(move: Move, pair: Pair, coming: Journal) -> Steps:
    source, target = pair.source, pair.target
    if source.active:
        if not target.never_started:
            raise Refused(
                f"{move.name}: it ran on {target.server.name}, and somebody has started it again on "
                f"{source.server.name} since: both have changes. Stop one of them and remove it"
            )
        return [Drop(target.name, target.server.name), *_move(move, pair, journal_of(source.config), fresh=True)]
    if move.state == "arrived":
        return []
    failing = "note" if volumes_of(source.devices) else "restore"
    _check_volumes(move, source, target)
    remove = Remove(source.name, source.server.name)
    return [*_started(move, target, coming, failing), remove, Finish(target.name, target.server.name)]


def _started(move: Move, target: Current, coming: Journal, failing: str) -> Steps:
    actions = starting(coming.power, target.power)
    return [Start(target.name, move.name, powers(target.name, actions), failing)] if actions else []


def _check_volumes(move: Move, source: Current, target: Current) -> None:
    """Refuses to start the copy while the source's host may still write to a volume, and without its volumes."""
    left = connected(source)
    if left and not target.active:
        raise Refused(
            f"{move.name} on {source.server.name}: its copy on {target.server.name} is complete; before it starts, its "
            f"volumes must be disconnected from the source, which proves that nobody writes to them there: "
            f"{', '.join(left)} (lxd_volume_attachment, state: disconnected, on that host)",
            volumes=shown_volumes(source.devices),
        )
    gone = released(target.config)
    if gone:
        raise Refused(
            f"{move.name}: its volumes are disconnected from {target.server.name}, where it shall start: connect them "
            f"there (lxd_volume_attachment, state: connected): {', '.join(sorted(gone))}",
            volumes=shown_volumes(source.devices),
        )


def _move(move: Move, pair: Pair, leaving: Journal | None, fresh: bool) -> Steps:
    """All of it; ``fresh``: there is no copy yet that only lacks the latest changes."""
    source, target = pair.source, pair.target
    journal = leaving or journal_for(source, pair.here, pair.there, _home(move, pair))
    begin: Steps = [] if leaving else [Begin(source.name, journal)]
    live = _live(move, source)
    copy = _copy_of(move, source, target, journal)
    ahead = fresh and source.active and source.type == "container" and _method(move, source) != "cold"
    transfer = Transfer(
        name=source.name,
        body=_body(copy),
        refresh=ahead or not fresh,
        running=False,
        snapshots=move.snapshots,
        way=move.transfer,
        timeout=move.copy_timeout,
        bandwidth=move.bandwidth,
    )
    _refuse(move, pair, list(unnamed_volumes(move, source)))
    volumes = shown_volumes(source.devices)
    if volumes and move.state == "migrated":
        raise Refused(
            f"{move.name} on {source.server.name}: it has volumes, and moves in steps, so that no two hosts write to "
            f"one: state: arrived; then disconnect them from {source.server.name} (lxd_volume_attachment, state: "
            "disconnected); then state: migrated. The roles instance_migration and host_maintenance do all of it",
            option="state",
            volumes=volumes,
        )
    pre: Steps = [Copy(replace(transfer, refresh=False, running=True), copy, journal)] if ahead else []
    switch = Switch(
        powers(source.name, stopping(source.power, live), move.stop_timeout, move.force),
        transfer,
        () if move.state == "arrived" else powers(copy.name, starting(journal.power, copy.power)),
        copy,
        journal,
    )
    if move.state == "arrived":
        return [*begin, *pre, switch]
    remove = Remove(source.name, source.server.name)
    return [*begin, *pre, switch, remove, Finish(copy.name, target.server.name)]


def _home(move: Move, pair: Pair) -> str | None:
    """What the copy shall note as its home: nothing more when it comes there, the source when it leaves it."""
    noted = pair.source.config.get(HOME)
    if noted and pair.place and noted == pair.place.name:
        return ""
    return pair.origin.name if move.remember_home and not noted and pair.origin else None


def _copy_of(move: Move, source: Current, target: Current, journal: Journal) -> Current:
    """The copy as it will be made: stopped, or saved with its memory, and held back."""
    return replace(
        source,
        name=move.new_name,
        power="suspended" if _live(move, source) else "stopped",
        config=held(identity(source.config), journal.at("incoming")),
        devices=devices_there(move, source),
        ephemeral=False,
        boot="",
        etag="",
        location="",
        server=target.server,
    )


def _body(copy: Current) -> dict[str, Any]:
    return {
        "name": copy.name,
        "architecture": copy.architecture,
        "config": dict(copy.config),
        "description": copy.description,
        "devices": copy.devices,
        "ephemeral": False,
        "profiles": list(copy.profiles),
        "stateful": _saved(copy),
        "type": copy.type,
    }


def _abort(move: Move, pair: Pair) -> Steps:
    source, target = pair.source, pair.target
    leaving, coming = journal_of(source.config), journal_of(target.config)
    _check_way(pair, leaving)
    if leaving is None and (coming is None or not source.exists):
        return []
    if target.exists:
        _check_same(move, pair, coming)
        if target.active or (coming and coming.phase == "arrived" and not target.never_started):
            raise Refused(
                f"{move.name}: it has started on {target.server.name} already: let the move end, then move it back",
                option="state",
            )
        ran = not target.never_started or (coming is not None and coming.phase == "arrived")
        held_there = connected(target) if ran else []
        if held_there:
            raise Refused(
                f"{move.name}: its copy on {target.server.name} may have begun to use its volumes: disconnect them "
                f"there first (lxd_volume_attachment, state: disconnected): {', '.join(held_there)}",
                option="state",
                volumes=shown_volumes(source.devices),
            )
    if leaving is None:
        return [Drop(target.name, target.server.name)]
    if released(source.config):
        raise Refused(
            f"{move.name}: its volumes are disconnected from {source.server.name}: connect them there first "
            "(lxd_volume_attachment, state: connected)",
            option="state",
            volumes=shown_volumes(source.devices),
        )
    actions = () if source.active else starting(leaving.power, source.power)
    return [Abort(source.name, move.new_name, powers(source.name, actions))]
