# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Many instances of one server: one listing to plan on, then as many at once as the server can take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .converge import converge, result
from .errors import LxdError, Refused
from .instance import FLEET, Desired
from .instance_domain import INSTANCE
from .steps import Api, predict
from .wait_for import check_conditions

Result = dict[str, Any]
ENDING = ("stopped", "absent")


class Listing:
    """A server as one GET of all its instances showed it; what else is read of it is asked for once. A ``Reader``."""

    def __init__(self, on: Api) -> None:
        self._on = on
        self._answers: dict[Any, Any] = {}
        self.name, self.product, self.environment = on.name, on.product, on.environment
        self.instances = {data["name"]: data for data in on.get("instances", recursion=1)}

    def has(self, extension: str) -> bool:
        return self._on.has(extension)

    def get(self, path: str, /, **query: Any) -> Any:
        return self._once(self._on.get, path, query)

    def find(self, path: str, /, **query: Any) -> Any | None:
        return self._once(self._on.find, path, query)

    def find_tagged(self, path: str) -> tuple[Any, str] | None:
        """An instance of the listing, without an ETag: nothing is written on the strength of it."""
        data = self.instances.get(path.removeprefix("instances/"))
        return None if data is None else (data, "")

    def _once(self, ask: Callable[..., Any], path: str, query: Mapping[str, Any]) -> Any:
        key = (ask.__name__, path, *sorted(query.items()))
        if key not in self._answers:
            self._answers[key] = ask(path, **query)
        return self._answers[key]


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


def check_names(names: Sequence[str]) -> None:
    """Refuses a name that is there twice."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Refused(
            f"instances: found more than once: {', '.join(twice)}; a name is allowed once", option="instances"
        )


def converge_fleet(on: Api, fleet: Fleet, check: bool, tell: Callable[[str], None]) -> Result:
    """Bring all instances to their desired states, or in check mode tell what that would do.

    Returns a module's result, with an entry for each instance in ``instances``, or in ``failed_items`` where it failed;
    ``failed`` is set then. ``tell`` gets a line for each instance that was worked on.
    """
    listing = Listing(on)
    planned = [_plan(listing, name, make) for name, make in {**fleet.instances, **_unlisted(fleet, listing)}.items()]
    results = {found["name"]: found for _desired, found in planned}
    todo = [desired for desired, found in planned if desired and (found["changed"] or desired.wait_for)]
    if not check and not (fleet.fail_fast and any("error" in found for found in results.values())):
        results.update(_run(on, todo, fleet, tell))
    return summary(list(results.values()))


def _unlisted(fleet: Fleet, listing: Listing) -> dict[str, Callable[[], Desired]]:
    """The instances of this fleet that the task no longer names."""
    if not fleet.absent_unlisted:
        return {}
    ours = {name for name, data in listing.instances.items() if data["config"].get(FLEET) == fleet.name}
    return {name: partial(replace, fleet.unlisted, name=name) for name in sorted(ours - fleet.instances.keys())}


def _plan(listing: Listing, name: str, make: Callable[[], Desired]) -> tuple[Desired | None, Result]:
    """What one instance shall be, and what would be done for it; None where that fails."""
    try:
        desired = make()
        check_conditions(desired.name, desired.wait_for)
        current = INSTANCE.read(listing, desired)
        steps = INSTANCE.plan(desired, current)
    except LxdError as error:
        return None, _failure(name, error)
    texts = [step.text for step in steps]
    return desired, {"name": name, **result(INSTANCE, desired, current, predict(current, steps), texts)}


def _failure(name: str, error: LxdError) -> Result:
    return {"name": name, "msg": error.message, "error": type(error).__name__, **error.details}


def _run(on: Api, todo: Sequence[Desired], fleet: Fleet, tell: Callable[[str], None]) -> Iterator[tuple[str, Result]]:
    """Converge them, each in a thread that waits for its own operations: an operation vanishes from the server some
    seconds after it ended. Starting takes processors, stopping mostly time: each has its own bound."""
    began, failed = time.monotonic(), False

    def one(desired: Desired) -> Result:
        if failed and fleet.fail_fast:
            return _failure(desired.name, Refused(f"{desired.name}: not begun, since another failed (fail_fast)"))
        try:
            server = on.twin()
            try:
                return {"name": desired.name, **converge(INSTANCE, server, desired, False)}
            finally:
                server.close()
        except LxdError as error:
            return _failure(desired.name, error)

    with (
        ThreadPoolExecutor(fleet.concurrency["start"]) as starting,
        ThreadPoolExecutor(fleet.concurrency["stop"]) as stopping,
    ):
        futures: list[Future[Result]] = [
            (stopping if desired.state in ENDING else starting).submit(one, desired) for desired in todo
        ]
        for count, future in enumerate(as_completed(futures), 1):
            found = future.result()
            failed = failed or "error" in found
            what = found["msg"] if "error" in found else ", ".join(found["steps"]) or "unchanged"
            tell(f"{count}/{len(futures)} {time.monotonic() - began:.0f} s {found['name']}: {what}")
            yield found["name"], found


def summary(results: Sequence[Result]) -> Result:
    """One result of many."""
    good = [found for found in results if "error" not in found]
    bad = [found for found in results if "error" in found]
    done = [step for found in results for step in found.get("steps") or found.get("steps_done") or ()]
    total: Result = {
        "changed": bool(done),
        "steps": done,
        "diff": [
            {**found["diff"], "before_header": found["name"], "after_header": found["name"]}
            for found in good
            if found["changed"]
        ],
        "instances": [{key: value for key, value in found.items() if key != "diff"} for found in good],
        "failed_items": bad,
    }
    if bad:
        total["failed"] = True
        total["msg"] = f"{len(bad)} of {len(results)} instances failed: " + "; ".join(found["msg"] for found in bad)
    return total
