# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Suspend and resume, on a host with CRIU: what ran goes on running where it was."""

from collections.abc import Iterator

import pytest
from integration.case import Lane, prove
from integration.lab_host import LabHost, wait_until

NAME = "asleep"
COUNTER = (
    "setsid sh -c 'i=0; while true; do i=$((i+1)); echo $i > /count; sleep 0.2; done' </dev/null >/dev/null 2>&1 &"
)


@pytest.fixture
def counting(criu_host: LabHost) -> Iterator[Lane]:
    """A running container in which a process counts."""
    lane = Lane(criu_host, criu_host.unix)
    devices = {"root": {"type": "disk", "path": "/", "pool": "fast"}}
    lane.host.make(NAME, power="running", devices=devices, config={"raw.lxc": "lxc.console.path = none"})
    lane.host.client("exec", NAME, "--", "sh", "-c", COUNTER)
    wait_until(lambda: count(lane) > 2, "the counter counts")
    yield lane
    lane.host.remove(NAME)


def count(lane: Lane) -> int:
    return int(lane.host.client("exec", NAME, "--", "sh", "-c", "cat /count 2>/dev/null || echo 0").strip() or 0)


def test_suspended_and_started_again_it_goes_on_where_it_was(counting: Lane) -> None:
    prove(counting, NAME, {"state": "suspended"}, {"status": "Stopped", "stateful": True})
    assert not counting.done(name=NAME, state="stopped")["changed"], "a suspended one counts as stopped"
    prove(counting, NAME, {"state": "started"}, {"status": "Running", "stateful": False})
    seen = count(counting)
    assert seen > 2
    wait_until(lambda: count(counting) > seen, "the counter goes on")


@pytest.mark.thorough
def test_a_frozen_one_is_suspended_and_resumed_to_frozen(counting: Lane) -> None:
    counting.host.power(NAME, "freeze")
    prove(counting, NAME, {"state": "suspended"}, {"status": "Stopped", "stateful": True})
    prove(counting, NAME, {"state": "frozen"}, {"status": "Frozen"})


@pytest.mark.thorough
def test_restarted_drops_the_saved_memory(counting: Lane) -> None:
    counting.done(name=NAME, state="suspended")
    counting.done(name=NAME, state="restarted")
    found = counting.host.query(f"instances/{NAME}")
    assert (found["status"], found["stateful"]) == ("Running", False)
    assert "/count" not in counting.host.client("exec", NAME, "--", "ps")
