# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Many instances of one server: one listing to plan on, then as many at once as the server can take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import Any

from .converge import converge, result
from .errors import LxdError, Refused, TimedOut, Unreachable
from .instance import Current, Desired
from .instance_backup import read_instance
from .instance_domain import INSTANCE
from .instance_record import FLEET, REBUILD
from .several import Job, Result, failure, several, summary
from .steps import Api, Reader, predict
from .wait_for import check_conditions

ENDING = ("stopped", "absent")


class Surveyed:
    """A server that is asked once for what a fleet does not change: its pools, networks, profiles, images. To tell who
    uses one of them takes the server as long as half of a start. Nor about instances that are known to be ``absent``.
    A ``Reader``."""

    def __init__(self, on: Reader, answers: dict[Any, Any], absent: Container[str] = ()) -> None:
        self._on, self.answers, self._absent = on, answers, absent
        self.name, self.product, self.environment, self.config = on.name, on.product, on.environment, on.config

    def has(self, extension: str) -> bool:
        return self._on.has(extension)

    def get(self, path: str, /, **query: Any) -> Any:
        return self._once(self._on.get, path, query)

    def find(self, path: str, /, **query: Any) -> Any | None:
        return self._once(self._on.find, path, query)

    def find_tagged(self, path: str) -> tuple[Any, str] | None:
        return None if path.removeprefix("instances/") in self._absent else self._on.find_tagged(path)

    def _once(self, ask: Callable[..., Any], path: str, query: Mapping[str, Any]) -> Any:
        if path.startswith("instances"):
            return ask(path, **query)
        key = (ask.__name__, path, *sorted(query.items()))
        if key not in self.answers:
            self.answers[key] = ask(path, **query)
        return self.answers[key]


class Listing(Surveyed):
    """A server as one GET of all its instances showed it."""

    def __init__(self, on: Reader, instances: Sequence[Any]) -> None:
        super().__init__(on, {})
        self.instances = {data["name"]: data for data in instances}

    def find(self, path: str, /, **query: Any) -> Any | None:
        data = self.instances.get(path.removeprefix("instances/"))
        return super().find(path, **query) if data is None else data

    def find_tagged(self, path: str) -> tuple[Any, str] | None:
        """An instance of the listing, without an ETag: nothing is written on the strength of it."""
        data = self.instances.get(path.removeprefix("instances/"))
        return None if data is None else (data, "")


@dataclass(frozen=True)
class Fleet:
    """What a task says of a fleet."""

    instances: Mapping[str, Callable[[], Desired]]
    """What each shall be, when asked: one that cannot be read fails alone."""
    name: str
    absent_unlisted: bool
    unlisted: Desired
    """How an instance is removed that is of this fleet and not among its instances."""
    concurrency: Mapping[str, int]
    """How many are worked on at once, for ``start`` and ``stop``."""
    fail_fast: bool


def listed(on: Reader) -> list[Any]:
    """All instances of the server."""
    instances: list[Any] = on.get("instances", recursion=1)
    return instances


def check_names(names: Sequence[str]) -> None:
    """Refuses a name that is there twice."""
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise Refused(
            f"instances: found more than once: {', '.join(twice)}; a name is allowed once", option="instances"
        )


def converge_fleet(
    on: Api, fleet: Fleet, check: bool, tell: Callable[[str], None], instances: Callable[[], Sequence[Any]]
) -> Result:
    """Bring all instances to their desired states, or in check mode tell what that would do.

    Returns a module's result, with an entry for each instance in ``instances``, or in ``failed_items`` where it failed;
    ``failed`` is set then. ``tell`` gets a line for each instance that was worked on; ``instances`` has what the server
    lists (``listed``), which may be on its way while the task is read.
    """
    wanted = {name: _read(name, make) for name, make in fleet.instances.items()}
    listing = Listing(on, instances())
    wanted.update({desired.name: desired for desired in _unlisted(fleet, listing)})
    planned = [_plan(listing, name, found) for name, found in wanted.items()]
    results = {found["name"]: found for _desired, found in planned}
    todo = [desired for desired, found in planned if desired and (found["changed"] or desired.wait_for)]
    if not check and not (fleet.fail_fast and any("error" in found for found in results.values())):
        results.update(_run(on, todo, fleet, listing, tell))
    return summary(list(results.values()), "instances")


def _unlisted(fleet: Fleet, listing: Listing) -> list[Desired]:
    """The instances of this fleet that the task no longer names, as they shall be: gone."""
    if not fleet.absent_unlisted:
        return []
    # What an interrupted rebuild has left is an instance's old or new root, and the next rebuild's to delete.
    ours = {
        name
        for name, data in listing.instances.items()
        if data["config"].get(FLEET) == fleet.name and REBUILD not in data["config"]
    }
    return [replace(fleet.unlisted, name=name) for name in sorted(ours - fleet.instances.keys())]


def _read(name: str, make: Callable[[], Desired]) -> Desired | Result:
    """What one instance shall be, or why that cannot be told."""
    try:
        desired = make()
        check_conditions(desired.name, desired.wait_for)
    except LxdError as error:
        return failure(name, error)
    return desired


def _plan(listing: Listing, name: str, desired: Desired | Result) -> tuple[Desired | None, Result]:
    """What one instance shall be, and what would be done for it; None where that fails."""
    if not isinstance(desired, Desired):
        return None, desired
    try:
        current = read_instance(listing, desired)
        steps = INSTANCE.plan(desired, current)
    except LxdError as error:
        return None, failure(name, error)
    if not steps:
        return desired, _entry(name, {"changed": False, "steps": [], **INSTANCE.report(desired, current)})
    texts = [step.text for step in steps]
    return desired, _entry(name, result(INSTANCE, desired, current, predict(current, steps), texts))


def _entry(name: str, found: Result) -> Result:
    """An instance's part of the result. One that is unchanged is as declared, and not told again: to hand that on takes
    Ansible longer than all our work on it."""
    told_again = () if found["changed"] else (INSTANCE.kind, "impact", "steps")
    return {"name": name, **{key: value for key, value in found.items() if key not in told_again}}


def _free(on: Api, names: Sequence[str]) -> set[str]:
    """Those of the names that no instance has, nor is about to have from a run that was killed."""
    if not names or on.tasks():
        return set()
    taken = {url.split("?")[0].rsplit("/", 1)[1] for url in on.get("instances")}
    return set(names) - taken


def _run(
    on: Api, todo: Sequence[Desired], fleet: Fleet, listing: Listing, tell: Callable[[str], None]
) -> Iterator[tuple[str, Result]]:
    """Converge them. Starting takes processors, stopping mostly time: each has its own bound."""
    absent = _free(on, [desired.name for desired in todo if desired.name not in listing.instances])

    def read(server: Api, desired: Desired) -> Current:
        return read_instance(Surveyed(server, listing.answers, absent), desired)

    def settle(server: Api, desired: Desired) -> bool:
        if desired.name in absent:
            absent.discard(desired.name)  # Not from here on: we make it, or somebody was faster.
            return False
        return INSTANCE.settle(server, desired)

    domain = replace(INSTANCE, read=read, settle=settle)
    idle: list[Api] = []
    lost = Event()

    def one(desired: Desired) -> Result:
        if lost.is_set():
            raise Unreachable(f"{desired.name}: not begun, as {on.name} does not answer any more")
        server = idle.pop() if idle else on.twin()
        try:
            return _entry(desired.name, converge(domain, server, desired, False))
        except (TimedOut, Unreachable):
            # At a host that is gone each request would last its whole time.
            if not server.reachable():
                lost.set()
            raise
        finally:
            idle.append(server)

    jobs = [
        Job(desired.name, partial(one, desired), "stop" if desired.state in ENDING else "start") for desired in todo
    ]
    try:
        for job, found in several(jobs, fleet.concurrency, tell, fleet.fail_fast):
            yield job.name, found
    finally:
        for server in idle:
            server.close()
