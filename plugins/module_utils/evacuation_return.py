# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A host that was dead comes back: its stale copies go, the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .converge import Domain, converge, result
from .errors import LxdError, NotFound, OperationFailed, Refused, Unreachable
from .evacuation import evacuated_from, is_copy, pending_power
from .guard import AUTOSTART, GUARDED, freed, would_start
from .instance import Current, Server, view
from .instance_edit import expand
from .instance_power import Power
from .instance_read import read_current, read_profiles
from .instance_record import NEVER_USED
from .instance_write import rewrite
from .migration import JOURNAL, TRUE, Link, identify
from .several import AT_ONCE, Job, Result, failure, several, summary
from .steps import Api, Reader, Step, predict
from .volume_devices import released

Reach = Callable[[str, str], Api]


@dataclass(frozen=True)
class Homecoming:
    """What becomes of an instance of the host: it is ``stale`` since it was evacuated to ``target``, or goes on."""

    name: str
    project: str
    uuid: str = ""
    host: str = ""
    target: str = ""
    there: str = ""
    """What it is called on the target."""
    there_project: str = ""
    unfinished: bool = False
    """Whether what is there never ran: then it goes, and the instance stays."""
    problem: str = ""

    @property
    def stale(self) -> bool:
        return bool(self.target) and not self.unfinished


@dataclass(frozen=True)
class Release:
    """Start what the server would have started, then take the hold off: so a run killed in between is gone on with."""

    name: str
    start: bool

    @property
    def text(self) -> str:
        return f"start {self.name}, which was held" if self.start else f"let go of {self.name}, which was held"

    def effect(self, current: Current) -> Current:
        return replace(current, power="running" if self.start else current.power, config=freed(current.config))

    def run(self, on: Link) -> None:
        if self.start:
            Power(self.name, "start").run(on.source)
        rewrite(on.source, self.name, freed)


@dataclass(frozen=True)
class RemoveStale:
    """Stop and delete a stale copy with its snapshots. One step: right before it the instance is looked for where it
    was evacuated to, since this must never be the only copy."""

    homecoming: Homecoming

    @property
    def text(self) -> str:
        return f"stop and delete the stale copy of {self.homecoming.name}, which is on {self.homecoming.target} now"

    def effect(self, current: Current) -> Current:
        return Current(name=current.name, server=current.server)

    def run(self, on: Link) -> None:
        come = self.homecoming
        there = on.target.find(f"instances/{come.there}")
        if there is None or not is_evacuated(there, come.uuid, come.host):
            raise OperationFailed(f"{come.name}: it is not on {on.target.name} any more: the copy here is kept")
        path = f"instances/{come.name}"
        here = on.source.get(path)
        if not is_copy(here, come.uuid):
            raise OperationFailed(f"{come.name} on {on.source.name} is another instance now: it is kept")
        if here["expanded_config"].get("security.protection.delete", "false").lower() in TRUE:
            on.source.patch(path, {"config": {"security.protection.delete": "false"}})
        try:
            if here["status"] != "Stopped":
                Power(come.name, "stop", kill="now").run(on.source)
            on.source.delete(path)
        except NotFound:
            return  # An ephemeral one is gone when it stops.


@dataclass(frozen=True)
class DropUnfinished:
    """Delete what an evacuation that was cut short has made on a target, and that never ran."""

    homecoming: Homecoming

    @property
    def text(self) -> str:
        return f"delete the unfinished {self.homecoming.there} on {self.homecoming.target}"

    def effect(self, current: Current) -> Current:
        return current

    def run(self, on: Link) -> None:
        come = self.homecoming
        there = on.target.find(f"instances/{come.there}")
        if there is None:
            return
        if not is_ours(there, come.uuid, come.host) or not is_unfinished(there):
            raise OperationFailed(f"{come.name}: on {on.target.name} it has been started meanwhile: neither is touched")
        on.target.delete(f"instances/{come.there}")


def is_ours(data: Mapping[str, Any], uuid: str, host: str) -> bool:
    """Whether an instance is the one that an evacuation of a host has made again."""
    return is_copy(data, uuid) and evacuated_from(data) == host


def is_unfinished(data: Mapping[str, Any]) -> bool:
    """Whether an evacuation was cut short before it started what it had made."""
    never = str(data.get("last_used_at", "")).startswith(NEVER_USED)
    return bool(pending_power(data)) and never and data["status"] == "Stopped"


def is_evacuated(data: Mapping[str, Any], uuid: str, host: str) -> bool:
    """Whether an instance is the one that an evacuation of a host has made again, and all of it."""
    return is_ours(data, uuid, host) and not is_unfinished(data)


def fate_of(
    here: Mapping[str, Any],
    host: str,
    there: Mapping[str, Sequence[Mapping[str, Any]]],
    silent: Mapping[str, str],
    begun: Mapping[str, str],
) -> Homecoming:
    """What becomes of an instance of the host. Pure. ``there``: the instances of each target; ``silent``: why others do
    not answer; ``begun``: uuid -> target of the tombstones."""
    name, project = here["name"], here.get("project", "default")
    uuid = here["config"].get("volatile.uuid", "")
    come = Homecoming(name, project, uuid, host)
    where = [(target, one) for target, found in there.items() for one in found if is_copy(one, uuid)]
    for target, one in where:
        if is_ours(one, uuid, host):
            place = {"target": target, "there": one["name"], "there_project": one.get("project", "default")}
            return replace(come, **place, unfinished=is_unfinished(one))
    if where and JOURNAL not in here["config"]:
        return replace(come, problem=f"it is on {where[0][0]} too, not by an evacuation: neither is touched")
    target = begun.get(uuid, "")
    if target in silent:
        return replace(come, problem=f"it may have been evacuated to {target}: {silent[target]}")
    if target and target not in there:
        return replace(come, problem=f"it may have been evacuated to {target}, which is not among the targets")
    return come


def read(on: Link, come: Homecoming) -> Current:
    """The instance on the host that came back, with its profiles."""
    current = read_current(on.source, come.name, Server(name=on.source.name))
    return replace(current, server=replace(current.server, profiles=read_profiles(on.source, current.profiles)))


def plan(come: Homecoming, current: Current) -> list[Step[Current, Link]]:
    """The steps."""
    if not current.exists:
        return []
    if come.stale:
        return [RemoveStale(come)]
    first: list[Step[Current, Link]] = [DropUnfinished(come)] if come.unfinished else []
    if GUARDED not in current.config:
        return first
    gone = released(current.config)
    if gone:
        raise Refused(
            f"{come.name}: it is held, since its volumes could not be connected when the host booted "
            f"({', '.join(sorted(gone))}): say lxd_volume_attachment, state: connected, on the host"
        )
    inherited = expand(current.server.profiles, current.profiles).config
    return [*first, Release(come.name, current.power == "stopped" and would_start(current.config, inherited))]


RETURN: Domain[Link, Homecoming, Current] = Domain(
    kind="instance",
    settle=lambda on, come: on.source.settle(f"instances/{come.name}"),
    read=read,
    plan=plan,
    view=view,
    report=lambda come, _current: told(come),
    confirm=lambda _on, _come, current: current,
)


def told(come: Homecoming) -> Mapping[str, Any]:
    """What a result says of each instance."""
    return {"project": come.project, "uuid": come.uuid, "target": come.target if come.stale else None}


def survey(reach: Reach, names: Sequence[str]) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """The instances of each target, and why others do not answer."""
    there: dict[str, list[Any]] = {}
    silent: dict[str, str] = {}
    for name in names:
        try:
            there[name] = reach(name, "default").get("instances", recursion=1, **{"all-projects": "true"})
        except (Unreachable, Refused) as error:
            silent[name] = error.message
    return there, silent


def homecomings(on: Reader, reach: Reach, params: Mapping[str, Any]) -> list[Homecoming]:
    """What becomes of each instance of the host, those first that start first."""
    stones = params["tombstones"] or ()
    begun = {one["uuid"]: one["target"] for one in stones}
    for one in stones:
        if one["target"] in params["targets"]:
            try:
                reach(one["target"], one["project"]).settle(f"instances/{one['name']}")
            except (Unreachable, Refused):
                continue  # Told below.
    there, silent = survey(reach, list(params["targets"]))
    found = on.get("instances", recursion=1, **{"all-projects": "true"})
    found.sort(key=lambda data: (-int(data["expanded_config"].get(f"{AUTOSTART}.priority") or 0), data["name"]))
    return [fate_of(data, identify(on), there, silent, begun) for data in found]


def returning(at: Callable[[str], Api], comes: Sequence[Homecoming]) -> Result:
    """A module's result as it would be. ``at``: a project of the host."""
    return summary([_planned(at, come) for come in comes], "instances")


def bring_back(at: Callable[[str], Api], reach: Reach, comes: Sequence[Homecoming]) -> Result:
    """Remove the stale copies, then release the others; a module's result."""
    results = {come: _planned(at, come) for come in comes}

    def one(come: Homecoming) -> Result:
        with ExitStack() as stack:
            source = stack.enter_context(closing(at(come.project).twin()))
            there = reach(come.target, come.there_project) if come.target else None
            target = stack.enter_context(closing(there.twin())) if there else source
            return {"name": come.name, **converge(RETURN, Link(source, target), come, False)}

    todo = [come for come, found in results.items() if "error" not in found and found["changed"]]
    for part in ([come for come in todo if come.stale], [come for come in todo if not come.stale]):
        jobs = {Job(come.name, partial(one, come), "return"): come for come in part}
        for job, found in several(list(jobs), {"return": AT_ONCE}):
            results[jobs[job]] = {**told(jobs[job]), **found}
    return summary(list(results.values()), "instances")


def _planned(at: Callable[[str], Api], come: Homecoming) -> Result:
    if come.problem:
        return _failure(come, Refused(f"{come.name}: {come.problem}"))
    try:
        current = read(Link(at(come.project), at(come.project)), come)
        steps = plan(come, current)
    except LxdError as error:
        return _failure(come, error)
    texts = [step.text for step in steps]
    return {"name": come.name, **result(RETURN, come, current, predict(current, steps), texts)}


def _failure(come: Homecoming, error: LxdError) -> Result:
    return {**told(come), **failure(come.name, error)}
