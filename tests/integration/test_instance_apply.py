# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that a running instance takes only by a restart: left pending, refused, or applied."""

from collections.abc import Iterator

import pytest
from integration.case import Lane, prove

NAME = "app"
FORWARD = {"config": {"linux.sysctl.net.ipv4.ip_forward": 1}}
OPTION = "config.linux.sysctl.net.ipv4.ip_forward"
SHOWN = {"config": {"linux.sysctl.net.ipv4.ip_forward": "1"}, "status": "Running"}


@pytest.fixture(autouse=True)
def _running(lane: Lane) -> Iterator[None]:
    lane.host.make(NAME, power="running")
    yield
    lane.host.remove(NAME)


def forwards(lane: Lane) -> bool:
    """Whether the change is in effect in the guest."""
    return lane.host.read(NAME, "/proc/sys/net/ipv4/ip_forward") == "1\n"


def boot(lane: Lane) -> str:
    """When the instance was last started."""
    return str(lane.host.query(f"instances/{NAME}")["last_used_at"])


def test_next_start_leaves_it_pending(lane: Lane) -> None:
    before = boot(lane)
    result = prove(lane, NAME, FORWARD, SHOWN)
    assert result["impact"] == {OPTION: "restart"}
    assert result["pending"] == [OPTION]
    assert (boot(lane), forwards(lane)) == (before, False)


@pytest.mark.parametrize(
    "state", ["started", *(pytest.param(state, marks=pytest.mark.thorough) for state in ("present", "frozen"))]
)
def test_pending_is_told_until_a_restart(lane: Lane, state: str) -> None:
    lane.done(name=NAME, **FORWARD)
    assert lane.done(name=NAME, state=state)["pending"] == [OPTION]
    assert lane.done(name=NAME, state=state, config={"user.other": 1})["pending"] == [OPTION]
    lane.host.client("restart", "--force", NAME)
    assert forwards(lane)
    result = lane.done(name=NAME, **FORWARD)
    assert (result["pending"], result["changed"]) == ([], False)


@pytest.mark.thorough
def test_pending_adds_up(lane: Lane) -> None:
    lane.done(name=NAME, **FORWARD)
    result = lane.done(name=NAME, config={"security.privileged": True})
    assert result["pending"] == [OPTION, "config.security.privileged"]


@pytest.mark.thorough
def test_apply_restart_restarts(lane: Lane) -> None:
    before = boot(lane)
    result = prove(lane, NAME, FORWARD | {"apply": "restart"}, SHOWN)
    assert result["steps"][1:] == ["stop app", "start app"]
    assert (result["impact"], result["pending"]) == ({OPTION: "restart"}, [])
    assert boot(lane) != before
    assert forwards(lane)


@pytest.mark.thorough
def test_apply_restart_also_applies_what_was_pending(lane: Lane) -> None:
    lane.done(name=NAME, **FORWARD)
    prove(lane, NAME, {"apply": "restart"}, SHOWN)
    assert forwards(lane)
    assert lane.done(name=NAME)["pending"] == []


@pytest.mark.thorough
def test_apply_restart_does_not_restart_for_a_live_change(lane: Lane) -> None:
    before = boot(lane)
    prove(lane, NAME, {"apply": "restart", "config": {"limits.cpu": 1}}, {"config": {"limits.cpu": "1"}})
    assert boot(lane) == before


@pytest.mark.thorough
def test_apply_restart_keeps_a_frozen_one_frozen(lane: Lane) -> None:
    lane.host.power(NAME, "freeze")
    prove(lane, NAME, FORWARD | {"apply": "restart", "state": "present"}, SHOWN | {"status": "Frozen"})
    lane.host.power(NAME, "unfreeze")
    assert forwards(lane)


@pytest.mark.thorough
def test_apply_restart_leaves_a_stopped_one_stopped(lane: Lane) -> None:
    lane.host.power(NAME, "stop", force=True)
    shows = SHOWN | {"status": "Stopped"}
    result = prove(lane, NAME, FORWARD | {"apply": "restart", "state": "present"}, shows)
    assert result["impact"] == {OPTION: "stopped"}


def test_apply_live_refuses(lane: Lane) -> None:
    before = lane.host.everything()
    result = lane.task(name=NAME, apply="live", config=FORWARD["config"] | {"limits.cpu": 1})
    assert (result["failed"], result["error"]) == (True, "Refused")
    assert f"apply: live, but these changes need a restart: {OPTION}" in result["msg"]
    assert lane.host.everything() == before


@pytest.mark.thorough
def test_apply_live_changes_what_is_live(lane: Lane) -> None:
    result = prove(lane, NAME, {"apply": "live", "config": {"limits.cpu": 1}}, {"config": {"limits.cpu": "1"}})
    assert result["impact"] == {"config.limits.cpu": "live"}
