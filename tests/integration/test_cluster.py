# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances of a cluster: placed where the task says, never moved by the way, and moved where that is asked for."""

from typing import Any

import pytest
from integration.case import Lane, prove, same
from integration.killed_run import killed
from integration.lab_host import LabHost
from integration.task import task

MOST_WRITES = 12
NAME = "member"
TINY = {"alias": "tiny"}


def test_target_places_a_new_instance_and_moves_none(cluster: list[LabHost]) -> None:
    lane = Lane(cluster[0], cluster[0].unix)
    here, there = sorted(url.rsplit("/", 1)[1] for url in lane.host.query("cluster/members"))
    try:
        assert f"its members are {here}, {there}" in lane.task(name=NAME, source=TINY, target="ghost")["msg"]
        prove(lane, NAME, {"source": TINY, "target": there}, {"location": there, "status": "Running"})
        refused = lane.task(name=NAME, target=here)
        assert f"it is on member {there}, the task says {here}; moving an instance is a migration" in refused["msg"]
        prove(Lane(cluster[1], cluster[1].https), NAME, {"state": "absent"}, None)
    finally:
        lane.host.remove(NAME)


def cluster_task(host: LabHost, module: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """The result of one task, which must not fail."""
    result = task({**host.https, **options}, module=f"lxdops.compute.{module}", check=check)
    assert not result.get("failed"), result["msg"]
    return result


def test_an_instance_moves_to_another_member_and_none_to_a_cordoned_one(cluster: list[LabHost]) -> None:
    host = cluster[0]
    here, there = sorted(url.rsplit("/", 1)[1] for url in host.query("cluster/members"))
    config = {"boot.autostart": "true", "user.a": "1"}
    try:
        host.call(
            "POST",
            f"instances?target={here}",
            {"name": NAME, "source": {"type": "image", "alias": "tiny"}, "config": config},
        )
        host.write(NAME, "/srv/data", "kept")
        host.power(NAME, "start")
        before = host.query(f"instances/{NAME}")
        goal: dict[str, Any] = {"name": NAME, "target": {"member": there}}

        cordoned = cluster_task(host, "lxd_host", state="cordoned", reason="swap", member=there)
        assert cordoned["host"] == {**cordoned["host"], "cordoned": True, "member": there, "status": "online"}
        shown = host.query(f"cluster/members/{there}")["config"]
        assert shown == {"scheduler.instance": "manual", "user.lxdops.cordon": "swap"}
        refused = task({**host.https, **goal}, module="lxdops.compute.lxd_migration")
        assert refused["blockers"] == [f"member {there} is cordoned (swap)"]
        lane = Lane(host, host.unix)
        assert "takes no new instances: swap" in lane.task(name="other", source=TINY, target=there)["msg"]
        cluster_task(host, "lxd_host", state="uncordoned", member=there)
        assert "scheduler.instance" not in host.query(f"cluster/members/{there}")["config"]

        checked = cluster_task(host, "lxd_migration", check=True, **goal)
        same(host.query(f"instances/{NAME}"), before)
        applied = cluster_task(host, "lxd_migration", **goal)
        same(
            [applied[part] for part in ("steps", "diff", "method")],
            [checked[part] for part in ("steps", "diff", "method")],
        )
        after = host.query(f"instances/{NAME}")
        assert (after["location"], after["status"]) == (there, "Running")
        mac = "volatile.eth0.hwaddr"
        same(after["config"], config | {mac: before["config"][mac], "user.lxdops.migration": None})
        assert host.read(NAME, "/srv/data") == "kept"
        assert not cluster_task(host, "lxd_migration", **goal)["changed"]
        wrong = task({**host.https, **goal, "target": {"member": "ghost"}}, module="lxdops.compute.lxd_migration")
        assert "ghost is no member" in wrong["msg"]
    finally:
        host.remove(NAME)


def test_a_member_is_drained_and_filled_again(cluster: list[LabHost]) -> None:
    host = cluster[0]
    here, there = sorted(url.rsplit("/", 1)[1] for url in host.query("cluster/members"))
    names = {"runs": "running", "stands": "stopped"}
    source = {"type": "image", "alias": "tiny"}
    fixed = {"d": {"type": "disk", "source": "/srv", "path": "/srv"}}
    goal: dict[str, Any] = {"member": here}
    try:
        for name in (*names, "fixed"):
            host.call("POST", f"instances?target={here}", {"name": name, "source": source})
        host.call("PATCH", "instances/fixed", {"devices": fixed})
        host.write("runs", "/srv/data", "kept")
        host.power("runs", "start")
        before = {name: host.query(f"instances/{name}") for name in names}

        checked = task({**host.https, **goal}, module="lxdops.compute.lxd_drain", check=True)
        same({name: host.query(f"instances/{name}") for name in names}, before)
        applied = task({**host.https, **goal}, module="lxdops.compute.lxd_drain")
        for result in (checked, applied):
            assert [one["name"] for one in result["failed_items"]] == ["fixed"]
            assert "device d (disk /srv) is of the host" in result["msg"]
            assert [(one["name"], one["source"], one["target"]) for one in result["moves"]] == [
                ("runs", here, there),
                ("stands", here, there),
            ]
        same((applied["steps"], applied["diff"]), (checked["steps"], checked["diff"]))
        for name, power in names.items():
            found = host.query(f"instances/{name}")
            assert (found["location"], found["status"].lower()) == (there, power)
            assert found["config"]["user.lxdops.home"] == here
        assert not task({**host.https, **goal, "names": [*names]}, module="lxdops.compute.lxd_drain")["changed"]

        home = cluster_task(host, "lxd_drain", state="restored", **goal)
        assert [one["name"] for one in home["moves"]] == ["runs", "stands"]
        own = {"user.lxdops.home": None, "user.lxdops.migration": None, "user.lxdops.fleet": None}
        for name, power in names.items():
            found = host.query(f"instances/{name}")
            assert (found["location"], found["status"].lower()) == (here, power)
            mac = {key: value for key, value in before[name]["config"].items() if key.endswith("hwaddr")}
            same(found["config"], own | mac)
        assert host.read("runs", "/srv/data") == "kept"
        assert not cluster_task(host, "lxd_drain", state="restored", **goal)["changed"]
    finally:
        host.remove(*names, "fixed")


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, MOST_WRITES))
def test_a_drain_of_a_member_killed_at_any_write_is_ended_by_the_next(
    cluster: list[LabHost], number: int, when: str
) -> None:
    host = cluster[0]
    here, there = sorted(url.rsplit("/", 1)[1] for url in host.query("cluster/members"))
    names = {"runs": "Running", "stands": "Stopped"}
    try:
        for name in names:
            body = {"name": name, "source": {"type": "image", "alias": "tiny"}, "config": {"boot.autostart": "true"}}
            host.call("POST", f"instances?target={here}", body)
        host.write("runs", "/srv/data", "kept")
        host.power("runs", "start")
        before = {name: host.query(f"instances/{name}") for name in names}
        if not killed(number, when, {**host.https, "member": here}, "lxd_drain"):
            pytest.skip(f"this drain has no {number}th write")
        cluster_task(host, "lxd_drain", member=here)
        for name, status in names.items():
            found = host.query(f"instances/{name}")
            assert (found["location"], found["status"], found["ephemeral"]) == (there, status, False)
            wanted = {"boot.autostart": "true", "user.lxdops.home": here, "user.lxdops.migration": None}
            macs = {key: value for key, value in before[name]["config"].items() if key.endswith("hwaddr")}
            same(found["config"], wanted | macs)
        assert host.read("runs", "/srv/data") == "kept"
        assert not cluster_task(host, "lxd_drain", member=here)["changed"]
    finally:
        host.remove(*names)
