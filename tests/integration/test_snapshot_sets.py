# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_snapshot with volumes: an instance and its custom volumes are taken, restored and deleted together, or not."""

from collections.abc import Iterator
from typing import Any

import pytest
from integration import snapshot_proof
from integration.case import Lane, same
from integration.guest_network import looked
from integration.killed_run import killed
from integration.lab_host import wait_until
from integration.snapshot_proof import PARTS, Params

NAME, OTHER = "snapset", "snapsetother"
VOLUMES = ("default/setdir", "fast/setbtrfs")
"""On a pool of directories, and one of btrfs."""
MOUNTS = {"default/setdir": "/srv/dir", "fast/setbtrfs": "/srv/btrfs"}
PLACES = ("/root/data", *(f"{mount}/data" for mount in MOUNTS.values()))
DEVICES = {
    volume.split("/")[1]: {"type": "disk", "pool": volume.split("/")[0], "source": volume.split("/")[1], "path": mount}
    for volume, mount in MOUNTS.items()
}


def path(volume: str) -> str:
    pool, name = volume.split("/")
    return f"storage-pools/{pool}/volumes/custom/{name}"


@pytest.fixture(autouse=True, scope="module")
def _volumes(lane: Lane) -> Iterator[None]:
    """Two volumes."""
    for volume in VOLUMES:
        pool, name = volume.split("/")
        lane.host.call("POST", f"storage-pools/{pool}/volumes/custom", {"name": name})
    yield
    lane.host.remove(NAME, OTHER)
    for volume in VOLUMES:
        lane.host.call("DELETE", path(volume))


@pytest.fixture(autouse=True)
def _given(lane: Lane) -> None:
    """A running instance that has them, without snapshots."""
    given(lane, "running")


def given(lane: Lane, power: str) -> None:
    lane.host.given(NAME, power=power, devices=DEVICES)
    for snapshot in taken(lane):
        lane.host.call("DELETE", f"instances/{NAME}/snapshots/{snapshot}")
    for volume, names in sets(lane).items():
        for name in names:
            lane.host.call("DELETE", f"{path(volume)}/snapshots/{name}")


def sets(lane: Lane) -> dict[str, list[str]]:
    """The names of the volumes' snapshots."""
    return {
        volume: sorted(url.rsplit("/", 1)[1] for url in lane.host.call("GET", f"{path(volume)}/snapshots"))
        for volume in VOLUMES
    }


def taken(lane: Lane) -> list[str]:
    return sorted(snapshot_proof.taken(lane, NAME))


def everything(lane: Lane) -> dict[str, Any]:
    details = {volume: lane.host.call("GET", f"{path(volume)}/snapshots?recursion=1") for volume in VOLUMES}
    return {**snapshot_proof.everything(lane, NAME), "sets": details}


def set_task(lane: Lane, params: Params, *, check: bool = False) -> dict[str, Any]:
    return snapshot_proof.snap_task(lane, {"name": NAME, **params}, check=check)


def done(lane: Lane, **params: Any) -> dict[str, Any]:
    return snapshot_proof.done(lane, name=NAME, **params)


def proved(lane: Lane, **params: Any) -> dict[str, Any]:
    return snapshot_proof.proved(lane, everything, name=NAME, **params)


def fill(lane: Lane, word: str) -> None:
    """The root and the volumes hold a word."""
    lane.host.shell(NAME, "; ".join(f"echo {word} > {place}" for place in PLACES) + "; sync")


def words(lane: Lane) -> list[str]:
    return looked(lane.host, NAME, f"cat {' '.join(PLACES)}").split()


def noted(lane: Lane) -> bool:
    """Whether a note is left anywhere."""
    config = lane.host.query(f"instances/{NAME}")["config"]
    details = [one for volume in VOLUMES for one in lane.host.call("GET", f"{path(volume)}/snapshots?recursion=1")]
    return "user.lxdops.set" in config or any(one["description"] for one in details)


@pytest.mark.parametrize("power", ["running", pytest.param("frozen", marks=pytest.mark.thorough), "stopped"])
def test_taken_restored_and_deleted_together(lane: Lane, power: str) -> None:
    fill(lane, "old")
    if power != "running":
        lane.host.power(NAME, {"stopped": "stop", "frozen": "freeze"}[power], force=True)
    result = proved(lane, volumes=True, expires="7d")
    quiet = ", frozen" if power == "running" else ""
    what = f"take snapshot monday of {NAME}, which expires 7d after it was taken"
    assert result["steps"] == [f"{what}, with those of the volumes {', '.join(VOLUMES)}{quiet}"]
    assert (result["snapshot"]["volumes"], result["left_out"]) == (list(VOLUMES), [])
    name = f"monday.{result['set_id']}"
    assert sets(lane) == {key: [name] for key in VOLUMES}
    assert lane.host.query(f"{path(VOLUMES[0])}/snapshots/{name}")["expires_at"]
    assert lane.host.query(f"instances/{NAME}")["status"] == power.capitalize()
    assert not noted(lane)
    proved(lane, volumes=True, expires="never")

    if power != "running":
        lane.host.power(NAME, {"stopped": "start", "frozen": "unfreeze"}[power])
    fill(lane, "new")
    if power != "running":
        lane.host.power(NAME, {"stopped": "stop", "frozen": "freeze"}[power], force=True)
    restored = proved(lane, state="restored", restore_id="a")
    assert f"what was written to the root and the volumes {', '.join(VOLUMES)} since " in restored["loses"][0]
    assert lane.host.query(f"instances/{NAME}")["status"] == power.capitalize()
    assert not noted(lane)
    if power != "running":
        lane.host.power(NAME, {"stopped": "start", "frozen": "unfreeze"}[power])
    assert words(lane) == ["old"] * 3

    proved(lane, state="absent")
    assert (taken(lane), sets(lane)) == ([], {key: [] for key in VOLUMES})


def test_kept_are_whole_sets_and_the_instance_alone_can_be_restored(lane: Lane) -> None:
    for number in (1, 2):
        done(lane, snapshot=f"n-{number}", volumes=True)
    fill(lane, "old")
    kept = proved(lane, snapshot="n-3", volumes=True, keep={"count": 2, "pattern": "n-*"})
    assert kept["steps"][1].startswith(f"delete snapshot n-1 of {NAME}, with those of the volumes {VOLUMES[0]}")
    assert [len(names) for names in sets(lane).values()] == [2, 2]
    assert taken(lane) == ["n-2", "n-3"]
    fill(lane, "new")
    done(lane, snapshot="n-3", state="restored", volumes=False)
    assert words(lane) == ["old", "new", "new"]


@pytest.mark.thorough
def test_what_cannot_be_is_refused(lane: Lane) -> None:
    done(lane)
    refused = set_task(lane, {"volumes": True})
    assert "volumes: found a snapshot of the instance without its volumes" in refused["msg"]
    assert set_task(lane, {})["left_out"] == list(VOLUMES)
    stateful = set_task(lane, {"snapshot": "b", "volumes": True, "stateful": True})
    assert "volumes: found stateful: true" in stateful["msg"] or "migration.stateful: true" in stateful["msg"]
    loud = {"snapshot": "b", "volumes": True, "quiesce": {"freeze": False, "before": "true"}}
    assert "a running container is frozen meanwhile" in set_task(lane, loud)["msg"]

    name = f"tuesday.{done(lane, snapshot='tuesday', volumes=True)['set_id']}"
    lane.host.given(OTHER, power="running", devices={"setdir": DEVICES["setdir"]})
    before = everything(lane)
    shared = set_task(lane, {"snapshot": "tuesday", "state": "restored"})
    assert f"the volume {VOLUMES[0]} is used by {OTHER}, which runs: stop that first" in shared["msg"]
    same(everything(lane), before)
    lane.host.remove(OTHER)
    lane.host.call("DELETE", f"{path(VOLUMES[1])}/snapshots/{name}")
    broken = set_task(lane, {"snapshot": "tuesday", "state": "restored"})
    assert f"the set is no longer whole, gone are {VOLUMES[1]}/{name}" in broken["msg"]
    done(lane, snapshot="tuesday", state="restored", volumes=False)
    done(lane, snapshot="tuesday", state="absent")
    assert sets(lane) == {key: [] for key in VOLUMES}


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("power", ["running", "stopped"])
def test_a_set_killed_at_each_write_is_whole_after_the_next_run(lane: Lane, power: str, when: str) -> None:
    params = {"volumes": True}
    number = 1
    while True:
        given(lane, power)
        if not killed(number, when, {**lane.connection, "name": NAME, "snapshot": "monday", **params}, "lxd_snapshot"):
            break
        # Nothing stays frozen until somebody comes.
        wait_until(lambda: lane.host.query(f"instances/{NAME}")["status"] == power.capitalize(), "it goes on", 15)
        result = done(lane, **params)
        assert not done(lane, **params)["changed"]
        assert sets(lane) == {key: [f"monday.{result['set_id']}"] for key in VOLUMES}, f"{when} write {number}"
        assert not noted(lane)
        found = lane.host.query(f"instances/{NAME}")
        assert (found["status"], "user.lxdops.quiesced" in found["config"]) == (power.capitalize(), False)
        number += 1
    assert number > 5


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("power", ["running", "stopped"])
def test_a_restore_killed_at_each_write_is_ended_by_the_next_run(lane: Lane, power: str, when: str) -> None:
    params = {"state": "restored", "restore_id": "a"}
    number = 1
    while True:
        given(lane, "running")
        fill(lane, "old")
        done(lane, volumes=True)
        fill(lane, "new")
        if power == "stopped":
            lane.host.power(NAME, "stop", force=True)
        if not killed(number, when, {**lane.connection, "name": NAME, "snapshot": "monday", **params}, "lxd_snapshot"):
            break
        done(lane, **params)
        assert not done(lane, **params)["changed"]
        assert not noted(lane)
        assert lane.host.query(f"instances/{NAME}")["status"] == power.capitalize(), f"{when} write {number}"
        if power == "stopped":
            lane.host.power(NAME, "start")
        assert words(lane) == ["old"] * 3
        number += 1
    assert number > 5


@pytest.mark.thorough
def test_both_front_ends_give_the_same(lane: Lane) -> None:
    results = [set_task(lane, {"volumes": True, "execution": where}, check=True) for where in ("host", "controller")]
    same([results[0].get(part) for part in PARTS], [results[1].get(part) for part in PARTS])
