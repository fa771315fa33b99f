# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that every case goes through: check mode tells what will happen and does nothing, the task does it, the
next run has nothing left to do, and the server shows what was asked for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from integration.lab_host import LabHost
from integration.task import task

Result = dict[str, Any]
PREDICTED = ("changed", "steps", "diff", "instance", "impact", "pending")
"""The parts of a result that check mode must tell as the run does."""


@dataclass(frozen=True)
class Lane:
    """A host, and one way to it."""

    host: LabHost
    connection: Mapping[str, str]
    """Connection options; `execution` among them says by which front end."""

    def task(self, *, check: bool = False, **params: Any) -> dict[str, Any]:
        """The result of one task on the host."""
        return task({**self.connection, **params}, check=check)

    def done(self, **params: Any) -> dict[str, Any]:
        """The result of one task that must not fail."""
        result = self.task(**params)
        assert not result.get("failed"), result["msg"]
        return result


@dataclass(frozen=True)
class Case:
    """A row of a table: an instance as it is `before` (None: there is none), a task, and what the API `shows` then."""

    id: str
    before: Mapping[str, Any] | None
    task: Mapping[str, Any]
    shows: Mapping[str, Any]
    impact: Mapping[str, str] | None = None
    inside: Mapping[str, str] = field(default_factory=dict)
    """Files of the guest, and what they hold."""


def differences(found: Any, expected: Any, at: str = "") -> list[str]:
    """What the API shows otherwise than expected. Of dictionaries only the named keys count; None: no such key."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        return [line for key, value in expected.items() for line in differences(found.get(key), value, f"{at}.{key}")]
    return [] if found == expected else [f"{at.removeprefix('.')}: found {found!r}, expected {expected!r}"]


def same(found: Any, expected: Any) -> None:
    """Fail with the differences; pytest explains the assertions of test modules only."""
    found_otherwise = differences(found, expected)
    assert not found_otherwise, "\n".join(found_otherwise)


def proof(
    run: Callable[[bool], Result],
    parts: Sequence[str],
    untouched: Callable[[], Any],
    seen: Callable[[], Any] | None = None,
) -> tuple[Result, Result]:
    """Check, apply, again; the results of the apply and of the run after it.

    ``run``: the task, whether it only checks; ``parts``: those of a result that check mode must tell as the run does;
    ``untouched``: all that check mode could touch, seen without the module; ``seen``: so much of it as another run must
    not touch either, else all.
    """
    before = untouched()
    checked = run(True)
    assert not checked.get("failed"), checked["msg"]
    same(untouched(), before)
    assert checked["changed"]
    applied = run(False)
    assert not applied.get("failed"), applied["msg"]
    same(*({part: result.get(part) for part in parts} for result in (applied, checked)))
    found = (seen or untouched)()
    again = run(False)
    assert not again.get("failed"), again["msg"]
    assert (again["changed"], again["steps"]) == (False, [])
    same((seen or untouched)(), found)
    return applied, again


def prove(lane: Lane, name: str, params: Mapping[str, Any], shows: Mapping[str, Any] | None) -> Result:
    """The proof of a task about an instance; the result of the apply. `shows` None: the instance must be gone."""

    def run(check: bool) -> Result:
        return lane.task(check=check, name=name, **params)

    applied, again = proof(run, PREDICTED, lane.host.everything, lambda: lane.host.instance(name))
    found = lane.host.instance(name)
    assert (found is None) is (shows is None)
    same(found, shows)
    same([again["diff"]["before"], again["diff"]["after"]], [applied["diff"]["after"]] * 2)
    return applied
