# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mechanism itself, on the smallest domain there is: a number that wants to be another number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.converge import Domain, converge
from ansible_collections.lxdops.compute.plugins.module_utils.errors import Conflict, OperationFailed
from ansible_collections.lxdops.compute.plugins.module_utils.steps import ATTEMPTS


@dataclass
class Counter:
    """A server that keeps a number. Somebody else adds to it before the first ``meddled`` writes."""

    number: int = 0
    meddled: int = 0
    broken_at: int = -1
    settles: int = 0

    def settle(self, path: str) -> bool:
        assert path == "counter"
        self.settles += 1
        return False


@dataclass(frozen=True)
class Add:
    """Adds one, if nobody changed the number since."""

    to: int

    @property
    def text(self) -> str:
        return f"add to {self.to}"

    def effect(self, current: int) -> int:
        return current + 1

    def run(self, on: Counter) -> None:
        if on.meddled:
            on.meddled -= 1
            on.number += 1
        if on.number == on.broken_at:
            raise OperationFailed("broken")
        if on.number != self.to:
            raise Conflict("changed")
        on.number += 1


NUMBER: Domain[Counter, int, int] = Domain(
    kind="number",
    settle=lambda on, _desired: on.settle("counter"),
    read=lambda on, _desired: on.number,
    plan=lambda desired, current: [Add(number) for number in range(current, desired)],
    view=lambda current: {"value": current},
    report=lambda desired, current: {"missing": max(0, desired - current)},
    confirm=lambda _on, _desired, current: current,
)


def run(counter: Counter, desired: int, check: bool = False) -> dict[str, Any]:
    return converge(NUMBER, counter, desired, check)


def test_check_mode_tells_what_apply_does_and_changes_nothing() -> None:
    counter = Counter()
    checked = run(counter, 2, check=True)
    assert counter == Counter()
    assert run(counter, 2) == checked
    assert checked["steps"] == ["add to 0", "add to 1"]
    assert checked["diff"] == {"before": {"value": 0}, "after": {"value": 2}}


def test_again_is_unchanged_and_does_not_even_look_for_operations() -> None:
    counter = Counter(2)
    assert run(counter, 2) == {
        "changed": False,
        "steps": [],
        "diff": {"before": {"value": 2}, "after": {"value": 2}},
        "number": {"value": 2},
        "missing": 0,
    }
    assert counter.settles == 0


def test_a_conflict_is_read_and_planned_again() -> None:
    counter = Counter(meddled=1)
    assert run(counter, 3)["steps"] == ["add to 1", "add to 2"]
    assert counter.number == 3
    assert counter.settles == 2, "it did not wait for what the other had begun"


def test_conflicts_are_not_fought_for_ever() -> None:
    with pytest.raises(Conflict):
        run(Counter(meddled=ATTEMPTS), 99)


def test_a_failure_says_which_steps_were_done() -> None:
    with pytest.raises(OperationFailed) as failure:
        run(Counter(broken_at=1), 3)
    assert failure.value.details["steps_done"] == ["add to 0"]
