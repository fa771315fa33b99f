# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The evacuation of a dead host: look at the targets, decide, and make its instances again, several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any

from .converge import converge, result
from .drain import room_of
from .errors import LxdError, Refused, Unreachable
from .evacuation import Fate, Target, Wishes, fates
from .evacuation_steps import RESCUE, Rescue, plan, read, told
from .instance_params import desired_from
from .migration import identify
from .several import AT_ONCE, Job, Result, failure, several, summary
from .steps import Api, predict

DECLARED = ("name", "project", "config", "devices", "profiles", "description", "cloud_init")
PLAIN = {"state": "present", "purge_config": False, "purge_devices": False, "apply": "next_start", "force": False}

Reach = Callable[[str, str], Api]
"""The connection to a target, by its name, and to a project there. Raises Unreachable or Refused."""


def wishes_from(params: Mapping[str, Any]) -> Wishes:
    """What a task says. Raises Refused."""
    declared = {}
    for one in params["instances"] or ():
        said = {**PLAIN, "stop_timeout": 0, "wait_timeout": 0, **{key: one.get(key) for key in DECLARED}}
        declared[one["project"], one["name"]] = desired_from(said)
    begun = params["tombstones"]
    names = params["names"]
    return Wishes(
        weight=params["weight"],
        names=None if names is None else frozenset(names),
        declared=declared,
        begun=None if begun is None else {one["uuid"]: one["target"] for one in begun},
        drop_volumes=params["drop_volumes"],
        host_devices=params["host_devices"],
        volumes=params["volumes"] or {},
    )


def check_record(record: Mapping[str, Any], wishes: Wishes) -> None:
    """Refuses what is no record of a standalone host, and names that are not in it."""
    missing = {"identity", "server_name", "clustered", "instances"} - record.keys()
    if missing:
        raise Refused(f"record: found none of {', '.join(sorted(missing))}: it is what lxd_host_record returns")
    if record["clustered"]:
        raise Refused(
            f"record: {record['server_name']} is a member of a cluster, which recovers its members by itself: lxd_host "
            "state: evacuated drains a live one; of a dead one move what is on shared pools (lxc move --target), or "
            "let cluster.healing_threshold do it"
        )
    known = {one["name"] for one in record["instances"]}
    said = set(wishes.names or ()) | {name for _project, name in wishes.declared}
    if wishes.names is not None and set(wishes.names) - known:
        raise Refused(
            f"names: not in the record of {record['server_name']}: {', '.join(sorted(said - known))}", option="names"
        )


def look(reach: Reach, name: str, projects: Iterable[str]) -> Target:
    """A target as it is; one that does not answer takes nothing."""
    rooms, images, problem = {}, {}, ""
    identity, found = "", ()
    for project in ("default", *sorted(set(projects) - {"default"})):
        try:
            on = reach(name, project)
        except Refused as error:  # It has no such project: nothing of that can be there, or go there.
            problem = problem if identity else error.message
            continue
        except Unreachable as error:
            return Target(name, problem=error.message)
        if not identity:
            identity = identify(on)
            found = tuple(on.get("instances", recursion=1, **{"all-projects": "true"}))
        rooms[project] = room_of(on, name, found)
        images[project] = {image["fingerprint"]: image for image in on.get("images", recursion=1)}
    return Target(name, identity, problem, found, rooms, images)


def decided(reach: Reach, params: Mapping[str, Any]) -> list[Fate]:
    """What becomes of each instance of the record. Raises Refused."""
    record, wishes = params["record"], wishes_from(params)
    check_record(record, wishes)
    projects = {one["project"] for one in record["instances"]}
    targets = [look(reach, name, projects) for name in sorted(params["targets"])]
    itself = [target.name for target in targets if target.identity == record["identity"]]
    if itself:
        raise Refused(f"targets.{itself[0]} is {record['server_name']} itself, and it answers", option="targets")
    return fates(record, targets, wishes)


def foreseen(reach: Reach, params: Mapping[str, Any], decisions: Sequence[Fate]) -> Result:
    """A module's result as it would be."""
    return _told(decisions, [_planned(reach, params, fate) for fate in decisions])


def evacuate(reach: Reach, params: Mapping[str, Any], decisions: Sequence[Fate]) -> Result:
    """Make the instances again; a module's result. One that fails does not stop the others."""
    results = [_planned(reach, params, fate) for fate in decisions]

    def one(fate: Fate) -> Result:
        with closing(reach(fate.target, _project(fate)).twin()) as server:
            return {"name": fate.lost.name, **converge(RESCUE, server, _rescue(fate, params), False)}

    todo = [number for number, found in enumerate(results) if "error" not in found and found["changed"]]
    jobs = {Job(decisions[number].lost.name, partial(one, decisions[number]), "evacuate"): number for number in todo}
    for job, found in several(list(jobs), {"evacuate": AT_ONCE}):
        results[jobs[job]] = {**_facts(decisions[jobs[job]]), **found}
    return _told(decisions, results)


def _project(fate: Fate) -> str:
    return str((fate.there or {}).get("project", fate.lost.project))


def _rescue(fate: Fate, params: Mapping[str, Any]) -> Rescue:
    name = fate.there["name"] if fate.there else fate.lost.name
    return Rescue(fate.lost, params["record"]["identity"], fate.target, fate.image, name)


def _planned(reach: Reach, params: Mapping[str, Any], fate: Fate) -> Result:
    """What would be done for one instance."""
    if fate.elsewhere:
        facts = told(fate.lost, fate.elsewhere, "")
        note = f"it was on {fate.elsewhere} already, not by an evacuation, and is left alone"
        return {
            "name": fate.lost.name,
            "changed": False,
            "steps": [],
            "diff": {"before": {}, "after": {}},
            **facts,
            "note": note,
        }
    if fate.problem:
        return _failure(fate, Refused(f"{fate.lost.name}: {fate.problem}"))
    rescue = _rescue(fate, params)
    try:
        current = read(reach(fate.target, _project(fate)), rescue)
        steps = plan(rescue, current)
    except LxdError as error:
        return _failure(fate, error)
    texts = [step.text for step in steps]
    return {"name": fate.lost.name, **result(RESCUE, rescue, current, predict(current, steps), texts)}


def _failure(fate: Fate, error: LxdError) -> Result:
    return {**_facts(fate), **failure(fate.lost.name, error)}


def _facts(fate: Fate) -> Mapping[str, Any]:
    return told(fate.lost, fate.target, fate.image)


def _told(decisions: Sequence[Fate], results: Sequence[Result]) -> Result:
    """One result of all, with the tombstones: where each instance is or goes."""
    stones = [
        {"uuid": fate.lost.uuid, "name": fate.lost.name, "project": fate.lost.project, "target": fate.target}
        for fate in decisions
        if fate.target and not fate.problem
    ]
    return {**summary(results, "instances"), "tombstones": stones}
