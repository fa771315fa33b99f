# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_snapshot: what a snapshot holds comes back, and nothing else is touched, whatever is killed."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from integration.case import Lane, same
from integration.killed_run import killed
from integration.task import task

MODULE = "lxdops.compute.lxd_snapshot"
NAME = "snap"
PARTS = ("changed", "steps", "diff", "snapshot", "loses")
PATH = "/root/data"
Params = Mapping[str, Any]


@pytest.fixture(autouse=True, scope="module")
def _left(lane: Lane) -> Iterator[None]:
    yield
    lane.host.remove(NAME)


@pytest.fixture(autouse=True)
def _given(lane: Lane) -> None:
    """A running instance without snapshots."""
    given(lane, "running")


def given(lane: Lane, power: str, **body: Any) -> None:
    lane.host.given(NAME, power=power, **body)
    for name in taken(lane):
        lane.host.call("DELETE", f"instances/{NAME}/snapshots/{name}")


def taken(lane: Lane) -> list[str]:
    """The names of the snapshots."""
    return [url.rsplit("/", 1)[1] for url in lane.host.call("GET", f"instances/{NAME}/snapshots")]


def snap_task(lane: Lane, params: Params, *, check: bool = False) -> dict[str, Any]:
    return task({**lane.connection, "name": NAME, "snapshot": "monday", **params}, module=MODULE, check=check)


def done(lane: Lane, **params: Any) -> dict[str, Any]:
    result = snap_task(lane, params)
    assert not result.get("failed"), result["msg"]
    return result


def everything(lane: Lane) -> dict[str, Any]:
    found = lane.host.everything()
    return {**found, "snapshots": lane.host.call("GET", f"instances/{NAME}/snapshots?recursion=1")}


def proved(lane: Lane, **params: Any) -> dict[str, Any]:
    """Check, apply, again; the result of the apply."""
    before = everything(lane)
    checked = snap_task(lane, params, check=True)
    assert not checked.get("failed"), checked["msg"]
    same(everything(lane), before)
    assert checked["changed"]
    applied = done(lane, **params)
    same({part: applied.get(part) for part in PARTS}, {part: checked.get(part) for part in PARTS})
    after = everything(lane)
    again = done(lane, **params)
    assert (again["changed"], again["steps"]) == (False, [])
    same(everything(lane), after)
    same(again["snapshot"], applied["snapshot"])
    return applied


def digest(lane: Lane) -> str:
    return lane.host.shell(NAME, f"sha256sum {PATH}").split()[0]


def fill(lane: Lane) -> str:
    """Data of some size; its checksum."""
    lane.host.shell(NAME, f"head -c 3000000 /dev/urandom > {PATH}")
    return digest(lane)


def test_taken_edited_and_deleted(lane: Lane) -> None:
    first = proved(lane, expires="7d")
    found = lane.host.query(f"instances/{NAME}/snapshots/monday")
    assert found["expires_at"] == first["expires_at"]
    left = datetime.fromisoformat(found["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
    same(first["snapshot"], {"state": "present", "expires": "7d", "stateful": False, "snapshots": ["monday"]})

    edited = proved(lane, expires="never")
    assert edited["steps"] == [f"set that {NAME}/monday expires never"]
    assert edited["expires_at"] is None
    assert lane.host.query(f"instances/{NAME}/snapshots/monday")["created_at"] == first["created_at"]

    proved(lane, state="absent")
    assert taken(lane) == []
    assert lane.host.query(f"instances/{NAME}")["status"] == "Running"


def test_restored_with_its_data_and_config(lane: Lane) -> None:
    lane.host.call("PATCH", f"instances/{NAME}", {"config": {"user.then": "yes", "user.lxdops.fleet": "old"}})
    before = fill(lane)
    done(lane)
    after = {"config": {"user.then": "", "user.now": "yes", "user.lxdops.fleet": "new"}}
    lane.host.call("PATCH", f"instances/{NAME}", after)
    assert fill(lane) != before

    params = {"state": "restored", "restore_id": "first"}
    result = proved(lane, **params)
    assert "config as it is now: user.now, user.then" in result["loses"]
    assert "what runs: the guest is killed, and started again" in result["loses"]
    assert digest(lane) == before
    found = lane.host.query(f"instances/{NAME}")
    assert found["status"] == "Running"
    own = {key: value for key, value in found["config"].items() if key.startswith("user.")}
    marks = {"user.lxdops.fleet": "new", "user.lxdops.restored": "monday first"}
    assert own == {"user.then": "yes", **marks}
    fill(lane)
    assert not done(lane, **params)["changed"], "restored twice with one word"
    assert done(lane, state="restored", restore_id="second")["changed"]
    assert digest(lane) == before
    assert done(lane, state="restored")["changed"]
    assert "user.lxdops.restored" not in lane.host.query(f"instances/{NAME}")["config"]


@pytest.mark.thorough
@pytest.mark.parametrize("pool", ["default", "fast"])
@pytest.mark.parametrize("power", ["running", "stopped", "frozen"])
def test_the_power_is_what_it_was(lane: Lane, power: str, pool: str) -> None:
    """On a pool of directories, and one of btrfs."""
    given(lane, "running", devices={"root": {"type": "disk", "path": "/", "pool": pool}})
    before = fill(lane)
    lane.host.shell(NAME, "sync")
    if power != "running":
        lane.host.power(NAME, {"stopped": "stop", "frozen": "freeze"}[power], force=True)
    proved(lane, expires="1h")
    assert lane.host.query(f"instances/{NAME}")["status"] == power.capitalize()
    done(lane, snapshot="tuesday")
    lane.host.write(NAME, PATH, "spoiled") if power != "frozen" else None
    proved(lane, state="restored", restore_id="a")
    assert lane.host.query(f"instances/{NAME}")["status"] == power.capitalize()
    assert sorted(taken(lane)) == ["monday", "tuesday"]
    if power != "running":
        lane.host.power(NAME, {"stopped": "start", "frozen": "unfreeze"}[power])
    assert digest(lane) == before
    lane.host.remove(NAME)


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_killed_at_a_write_is_ended_by_the_next(lane: Lane, when: str) -> None:
    fill(lane)
    tasks: list[Params] = [
        {},
        {"expires": "7d"},
        {"state": "restored", "restore_id": "a"},
        {"state": "absent"},
    ]
    for params in tasks:
        both = {**lane.connection, "name": NAME, "snapshot": "monday", **params}
        number = 1
        while killed(number, when, both, "lxd_snapshot"):
            number += 1
            if params.get("state") != "restored":
                break
        done(lane, **params)
        assert not done(lane, **params)["changed"]
        assert lane.host.query(f"instances/{NAME}")["status"] == "Running"
        assert taken(lane) == ([] if params.get("state") == "absent" else ["monday"])


REFUSALS: tuple[tuple[Params, str], ...] = (
    ({"name": "nobody"}, "there is no such instance"),
    ({"snapshot": "a/b"}, "found 'a/b', allowed are 1 to 63 letters"),
    ({"expires": "soon"}, "expires: found 'soon', allowed are never"),
    ({"state": "restored"}, "there is no such snapshot; it has none"),
    ({"state": "restored", "expires": "7d"}, "expires is for state: present, found state: restored"),
)


def test_what_is_refused_changes_nothing(lane: Lane) -> None:
    before = everything(lane)
    for params, words in REFUSALS:
        result = snap_task(lane, params)
        assert words in result["msg"], result["msg"]
        assert (result["failed"], result["error"]) == (True, "Refused")
    stateful = snap_task(lane, {"stateful": True})
    assert (stateful["failed"], stateful["error"]) == (True, "Refused"), stateful["msg"]
    same(everything(lane), before)


@pytest.mark.thorough
def test_both_front_ends_give_the_same(lane: Lane) -> None:
    results = [snap_task(lane, {"execution": where}, check=True) for where in ("host", "controller")]
    same([results[0].get(part) for part in PARTS], [results[1].get(part) for part in PARTS])
