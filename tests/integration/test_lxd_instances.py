# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_instances: many at once, each as lxd_instance would have it, and one that fails does not stop the others."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from integration.case import Lane, same
from integration.killed_run import killed, started
from integration.task import task

FLEET = "lxdops.compute.lxd_instances"
NAMES = [f"fl{number}" for number in range(4)]
SECRET = "hunter-two"  # noqa: S105 - to be looked for
TINY = {"source": {"alias": "tiny"}}


@pytest.fixture(autouse=True)
def _cleaned(lane: Lane) -> Iterator[None]:
    yield
    lane.host.remove(*NAMES, "stranger")


def fleet(lane: Lane, *, check: bool = False, **params: Any) -> dict[str, Any]:
    """The result of one task."""
    return task({**lane.connection, **params}, module=FLEET, check=check)


def test_check_apply_again(lane: Lane) -> None:
    lane.host.make(NAMES[0], config={"user.kept": "1"})
    params: dict[str, Any] = {
        "defaults": TINY | {"config": {"limits.memory": "64MiB", "user.role": "web"}, "state": "present"},
        "instances": [
            {"name": NAMES[0], "config": {"user.role": "db"}},
            {"name": NAMES[1], "state": "started"},
            {"name": NAMES[2], "config": {"limits.memory": None}},
        ],
    }
    before = lane.host.everything()
    checked = fleet(lane, check=True, **params)
    assert lane.host.everything() == before
    applied = fleet(lane, **params)
    assert not applied.get("failed"), applied["msg"]
    for part in ("changed", "steps", "diff", "instances"):
        assert checked[part] == applied[part]
    memory = {"limits.memory": "64MiB"}
    expected = {
        NAMES[0]: {"status": "Stopped", "config": memory | {"user.role": "db", "user.kept": "1"}},
        NAMES[1]: {"status": "Running", "config": memory | {"user.role": "web"}},
        NAMES[2]: {"status": "Stopped", "config": {"limits.memory": None, "user.role": "web"}},
    }
    for name, shows in expected.items():
        same(lane.host.instance(name), shows)
    found = lane.host.everything()
    again = fleet(lane, **params)
    assert (again["changed"], again["steps"], again["diff"]) == (False, [], [])
    assert again["instances"] == [{"name": name, "changed": False, "pending": []} for name in NAMES[:3]]
    assert lane.host.everything() == found


def test_one_that_fails_does_not_stop_the_others(lane: Lane) -> None:
    lane.host.make(NAMES[3])
    items = [
        {"name": NAMES[0]},
        {"name": NAMES[1], "source": {"alias": "nope"}},
        {"name": "a_b"},
        {"name": "drive", "config_drive": {"shift": True}},
        {"name": NAMES[3], "state": "absent"},
    ]
    params: dict[str, Any] = {"defaults": TINY | {"state": "present"}, "instances": items}
    result = fleet(lane, **params)
    assert result["failed"]
    assert [one["name"] for one in result["failed_items"]] == [NAMES[1], "a_b", "drive"]
    assert {one["error"] for one in result["failed_items"]} == {"Refused"}
    assert "3 of 5 instances failed" in result["msg"]
    assert "drive: config_drive: source is required" in result["msg"]
    assert "there is no image nope" in result["msg"]
    assert sorted(lane.host.instances()) == [NAMES[0]]
    lane.host.remove(NAMES[0])
    before = lane.host.everything()
    assert fleet(lane, fail_fast=True, **params)["failed"]
    assert lane.host.everything() == before


def test_passwords_in_cloud_init_data_are_not_in_the_result(lane: Lane) -> None:
    params: dict[str, Any] = {
        "defaults": TINY | {"state": "present", "cloud_init": {"vendor_data": {"password": f"{SECRET}-1"}}},
        "instances": [{"name": NAMES[0], "cloud_init": {"user_data": f"password: {SECRET}-2"}}],
    }
    for check in (True, False, False):
        result = fleet(lane, check=check, **params)
        assert not result.get("failed"), result["msg"]
        assert SECRET not in json.dumps(result)
    config = lane.host.query(f"instances/{NAMES[0]}")["config"]
    assert f"{SECRET}-1" in config["cloud-init.vendor-data"]
    assert f"{SECRET}-2" in config["cloud-init.user-data"]


def test_absent_unlisted_removes_only_what_is_of_the_fleet(lane: Lane) -> None:
    lane.host.make("stranger")
    params: dict[str, Any] = {"fleet": "shop", "defaults": TINY | {"state": "present"}}
    fleet(lane, instances=[{"name": name} for name in NAMES[:3]], **params)
    lane.host.make(NAMES[3])
    rest = [{"name": NAMES[0]}, {"name": NAMES[3]}]
    result = fleet(lane, absent_unlisted=True, instances=rest, **params)
    assert result["steps"] == [
        "update fl3: set config.user.lxdops.fleet to shop",
        "delete fl1",
        "delete fl2",
    ]
    assert sorted(lane.host.instances()) == [NAMES[0], NAMES[3], "stranger"]
    assert not fleet(lane, absent_unlisted=True, instances=rest, **params)["changed"]
    lane.done(name=NAMES[0], purge_config=True, state="present")
    assert lane.host.query(f"instances/{NAMES[0]}")["config"]["user.lxdops.fleet"] == "shop"
    fleet(lane, absent_unlisted=True, fleet="shop", instances=[])
    assert lane.host.instances() == ["stranger"]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"instances": [{"name": "a"}, {"name": "a"}]}, "found more than once: a"),
        ({"instances": [], "absent_unlisted": True}, "missing required arguments: fleet|fleet"),
        ({"instances": [{"name": "a", "stat": "started"}]}, "Unsupported parameters"),
        ({"instances": [{"name": "a"}, None]}, "'None' in the sub parameter field 'instances'"),
        ({"instances": ["name=a state=gone"]}, "value of state must be one of"),
        ({"instances": [{}]}, "missing required arguments: name"),
        ({"instances": [{"name": "a", "state": "absent"}], "project": "ghost"}, "project ghost is not on"),
    ],
)
def test_what_cannot_be_is_refused_as_a_whole(lane: Lane, params: dict[str, Any], words: str) -> None:
    before = lane.host.everything()
    result = fleet(lane, **params)
    assert result["failed"]
    assert any(word in result["msg"] for word in words.split("|"))
    assert lane.host.everything() == before


@pytest.mark.parametrize("number", [pytest.param(2, marks=pytest.mark.thorough), 7])
def test_a_run_killed_in_the_middle_is_ended_by_the_next(lane: Lane, number: int) -> None:
    params: dict[str, Any] = {"defaults": TINY, "instances": [{"name": name} for name in NAMES]}
    assert killed(number, "after", {**lane.connection, **params}, "lxd_instances")
    result = fleet(lane, **params)
    assert not result.get("failed"), result["msg"]
    assert sorted(lane.host.instances()) == NAMES
    for name in NAMES:
        same(lane.host.instance(name), {"status": "Running", "config": {"volatile.last_state.power": "RUNNING"}})
    again = fleet(lane, **params)
    assert (again["changed"], again["steps"]) == (False, [])


def test_two_runs_at_once_make_each_instance_once(lane: Lane) -> None:
    params: dict[str, Any] = {"defaults": TINY, "instances": [{"name": name} for name in NAMES]}
    both = [started({**lane.connection, **params}, module="lxd_instances") for _number in range(2)]
    for process in both:
        process.join(timeout=180)
    assert [process.exitcode for process in both] == [0, 0]
    assert sorted(lane.host.instances()) == NAMES
    for name in NAMES:
        same(lane.host.instance(name), {"status": "Running", "config": {"volatile.last_state.power": "RUNNING"}})
    assert not fleet(lane, **params)["changed"]
