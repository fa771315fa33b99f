# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every move between power states that a container can make, and what happens to a guest that does not want to stop."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from integration.case import Lane, prove
from integration.lab_host import LabHost

NAME = "pow"
STATUS = {"stopped": "Stopped", "started": "Running", "frozen": "Frozen", "restarted": "Running"}

# From each power state to each declared one, and the steps on the way.
MOVES = [
    ("stopped", "started", ["start pow"]),
    ("running", "started", []),
    ("frozen", "started", ["unfreeze pow"]),
    ("stopped", "present", []),
    ("running", "present", []),
    ("frozen", "present", []),
    ("stopped", "stopped", []),
    ("running", "stopped", ["stop pow"]),
    ("frozen", "stopped", ["unfreeze pow", "stop pow"]),
    ("stopped", "frozen", ["start pow", "freeze pow"]),
    ("running", "frozen", ["freeze pow"]),
    ("frozen", "frozen", []),
    ("stopped", "absent", ["delete pow"]),
    ("running", "absent", ["stop pow", "delete pow"]),
    ("frozen", "absent", ["unfreeze pow", "stop pow", "delete pow"]),
]
SEEN_ELSEWHERE = [
    *(("running", "stopped"), ("frozen", "stopped"), ("stopped", "absent"), ("frozen", "absent")),
    *(("running", "frozen"), ("stopped", "frozen")),
]
"""Moves that are parts of others here, and of every other test file: not made once more in every run."""
RESTARTS = [
    pytest.param("stopped", ["start pow"], marks=pytest.mark.thorough),
    ("running", ["stop pow", "start pow"]),
    pytest.param("frozen", ["unfreeze pow", "stop pow", "start pow"], marks=pytest.mark.thorough),
]


@pytest.fixture(autouse=True, scope="module")
def _cleaned(lane: Lane) -> Iterator[None]:
    yield
    lane.host.remove(NAME)


@pytest.fixture
def _new(lane: Lane) -> None:
    """No instance is left from before."""
    lane.host.remove(NAME)


def boot(host: LabHost) -> Any:
    """When the instance was last started."""
    return host.query(f"instances/{NAME}")["last_used_at"]


@pytest.mark.parametrize(
    ("found", "declared", "steps"),
    [
        pytest.param(*move, marks=[] if move[2] and move[:2] not in SEEN_ELSEWHERE else pytest.mark.thorough)
        for move in MOVES
    ],
)
def test_move(lane: Lane, found: str, declared: str, steps: list[str]) -> None:
    lane.host.given(NAME, power=found)
    if not steps:
        before = lane.host.everything()
        assert lane.done(name=NAME, state=declared)["steps"] == []
        assert lane.host.everything() == before
        return
    shows = None if declared == "absent" else {"status": STATUS[declared]}
    assert prove(lane, NAME, {"state": declared}, shows)["steps"] == steps


@pytest.mark.thorough
@pytest.mark.usefixtures("_new")
@pytest.mark.parametrize("declared", ["stopped", "frozen"])
def test_create_in_a_state(lane: Lane, declared: str) -> None:
    prove(lane, NAME, {"source": {"alias": "tiny"}, "state": declared}, {"status": STATUS[declared]})


@pytest.mark.usefixtures("_new")
def test_absent_is_no_change_where_there_is_none(lane: Lane) -> None:
    assert lane.done(name=NAME, state="absent")["steps"] == []


@pytest.mark.parametrize(("found", "steps"), RESTARTS)
def test_restarted_restarts_every_time(lane: Lane, found: str, steps: list[str]) -> None:
    lane.host.given(NAME, power=found)
    before = boot(lane.host)
    assert lane.task(check=True, name=NAME, state="restarted")["steps"] == steps
    assert boot(lane.host) == before
    assert lane.done(name=NAME, state="restarted")["steps"] == steps
    after = boot(lane.host)
    assert after != before
    assert lane.host.query(f"instances/{NAME}")["status"] == "Running"
    assert lane.done(name=NAME, state="restarted")["changed"]
    assert boot(lane.host) != after


def test_an_ephemeral_instance_is_restarted_and_not_lost(lane: Lane) -> None:
    lane.host.given(NAME, power="running", ephemeral=True)
    before = boot(lane.host)
    lane.done(name=NAME, state="restarted", stop_timeout=20)
    found = lane.host.query(f"instances/{NAME}")
    assert (found["status"], found["ephemeral"]) == ("Running", True)
    assert found["last_used_at"] != before


def test_an_ephemeral_instance_is_removed(lane: Lane) -> None:
    lane.host.given(NAME, power="running", ephemeral=True)
    assert prove(lane, NAME, {"state": "absent"}, None)["steps"] == ["stop pow"]


@pytest.mark.thorough
def test_snapshots_go_with_the_instance(lane: Lane) -> None:
    lane.host.given(NAME)
    lane.host.call("POST", f"instances/{NAME}/snapshots", {"name": "s0"})
    prove(lane, NAME, {"state": "absent"}, None)


@pytest.fixture
def stubborn(lane: Lane) -> Iterator[LabHost]:
    """The host, with a running instance that does not stop when it is asked to."""
    lane.host.given(NAME)
    lane.host.write(NAME, "/etc/ignore-stop", "")
    lane.host.power(NAME, "start")
    yield lane.host
    lane.host.remove(NAME)


def test_stop_timeout_is_kept_and_fails_in_words(lane: Lane, stubborn: LabHost) -> None:
    begun = time.monotonic()
    result = lane.task(name=NAME, state="stopped", stop_timeout=2)
    assert result["failed"]
    assert "the guest did not stop within stop_timeout (2 seconds); force: true kills it" in result["msg"]
    assert time.monotonic() - begun < 2 + 30
    assert stubborn.query(f"instances/{NAME}")["status"] == "Running"


@pytest.mark.thorough
def test_restarted_fails_where_the_guest_does_not_stop(lane: Lane, stubborn: LabHost) -> None:
    before = boot(stubborn)
    result = lane.task(name=NAME, state="restarted", stop_timeout=2)
    assert result["failed"]
    assert "did not stop within stop_timeout (2 seconds)" in result["msg"]
    assert boot(stubborn) == before


@pytest.mark.thorough
@pytest.mark.parametrize("declared", ["stopped", "restarted"])
def test_force_kills(lane: Lane, stubborn: LabHost, declared: str) -> None:
    result = lane.done(name=NAME, state=declared, force=True, stop_timeout=600)
    assert result["steps"][0] == "kill pow"
    assert stubborn.query(f"instances/{NAME}")["status"] == STATUS[declared]


@pytest.mark.usefixtures("stubborn")
def test_absent_kills_after_stop_timeout(lane: Lane) -> None:
    prove(lane, NAME, {"state": "absent", "stop_timeout": 1}, None)


@pytest.mark.thorough
@pytest.mark.usefixtures("stubborn")
def test_absent_by_force_does_not_ask(lane: Lane) -> None:
    params = {"state": "absent", "force": True, "stop_timeout": 600}
    assert prove(lane, NAME, params, None)["steps"] == ["kill pow", "delete pow"]
