# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The one mechanism: desired and current in, steps out, and the only place that knows about check mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .errors import Conflict, LxdError
from .steps import ATTEMPTS, Step, predict

On = TypeVar("On")
Desired = TypeVar("Desired")
Current = TypeVar("Current")


@dataclass(frozen=True)
class Domain(Generic[On, Desired, Current]):
    """What the mechanism must know about one kind of object. It is ``On`` a server, or on two that it moves between."""

    kind: str
    settle: Callable[[On, Desired], bool]
    """Waits for running operations on it before anything is written; whether there were any."""
    read: Callable[[On, Desired], Current]
    plan: Callable[[Desired, Current], list[Step[Current, On]]]
    view: Callable[[Current], dict[str, Any]]
    """What a user sees of it in results and diffs."""
    report: Callable[[Desired, Current], Mapping[str, Any]]
    """What else a result says about going from the first state read to the desired one."""
    confirm: Callable[[On, Desired, Current], Current]
    """Waits for what the desired state promises beyond the API's own word; not called in check mode."""


def converge(domain: Domain[On, Desired, Current], on: On, desired: Desired, check: bool) -> dict[str, Any]:
    """Bring an object to its desired state, or in check mode tell what that would do.

    Returns a module's result: ``changed``, ``steps`` (texts), ``diff``, the object under its kind, and the domain's
    report. An error carries the texts of the steps that were already done as ``steps_done``.
    """
    done: list[str] = []
    first = domain.read(on, desired)
    steps = domain.plan(desired, first)
    if check:
        done = [step.text for step in steps]
        after = predict(first, steps)
    else:
        if steps and domain.settle(on, desired):
            first = domain.read(on, desired)
            steps = domain.plan(desired, first)
        try:
            _run(domain, on, desired, steps, done)
            after = domain.confirm(on, desired, domain.read(on, desired) if done else first)
        except LxdError as error:
            error.details["steps_done"] = done
            raise
    return result(domain, desired, first, after, done)


def result(
    domain: Domain[On, Desired, Current], desired: Desired, first: Current, after: Current, done: list[str]
) -> dict[str, Any]:
    """A module's result."""
    found = domain.view(first)
    seen = found if after is first else domain.view(after)
    return {
        "changed": bool(done),
        "steps": done,
        "diff": {"before": found, "after": seen},
        domain.kind: seen,
        **domain.report(desired, first),
    }


def _run(
    domain: Domain[On, Desired, Current], on: On, desired: Desired, steps: list[Step[Current, On]], done: list[str]
) -> None:
    """Run the steps, and others where somebody else changed the object in between; ``done`` grows by what was done."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            for step in steps:
                step.run(on)
                done.append(step.text)
            return
        except Conflict:
            if attempt == ATTEMPTS:
                raise
            # Whoever was faster is still at work: the server writes on until the operation ends.
            domain.settle(on, desired)
            steps = domain.plan(desired, domain.read(on, desired))
