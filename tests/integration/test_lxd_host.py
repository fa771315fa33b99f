# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_host and lxd_host_info: what a host is, and that a cordoned one gets no new instance."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.case import Lane, same
from integration.lab_host import LabHost
from integration.task import task

CORDON = "user.lxdops.cordon"
NAME = "cord"


@pytest.fixture(autouse=True)
def _cleaned(lane: Lane) -> Iterator[None]:
    yield
    lane.host.call("PATCH", "", {"config": {CORDON: ""}})
    lane.host.remove(NAME)


def host_task(lane: Lane, options: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
    return task({**lane.connection, **options}, module="lxdops.compute.lxd_host", check=check)


def facts(lane: Lane) -> dict[str, Any]:
    found: dict[str, Any] = task(lane.connection, module="lxdops.compute.lxd_host_info")["host"]
    return found


def cordon(host: LabHost) -> str | None:
    found: str | None = host.query("")["config"].get(CORDON)
    return found


def test_a_cordoned_host_gets_no_new_instance(lane: Lane) -> None:
    for state, reason, found in (("cordoned", "disk swap", "disk swap"), ("uncordoned", "", None)):
        options = {"state": state, **({"reason": reason} if reason else {})}
        before = cordon(lane.host)
        checked = host_task(lane, options, check=True)
        assert cordon(lane.host) == before
        applied = host_task(lane, options)
        assert not applied.get("failed"), applied["msg"]
        parts = ("changed", "steps", "diff", "host")
        same([applied[part] for part in parts], [checked[part] for part in parts])
        assert cordon(lane.host) == found
        assert facts(lane)["cordoned"] == found
        again = host_task(lane, options)
        assert (again["changed"], again["host"]["cordoned"]) == (False, bool(found))
        refused = lane.task(name=NAME, state="present", source={"alias": "tiny"})
        if not found:
            assert not refused.get("failed")
            continue
        assert "the host is cordoned and takes no new instances: disk swap" in refused["msg"]
        item = {"name": NAME, "state": "present", "source": {"alias": "tiny"}}
        fleet = task({**lane.connection, "instances": [item]}, module="lxdops.compute.lxd_instances")
        assert "cordoned" in fleet["msg"]
        assert lane.host.instances() == []


def test_what_only_a_cluster_does_is_refused(lane: Lane) -> None:
    for options in ({"state": "evacuated"}, {"state": "cordoned", "member": "one"}):
        result = host_task(lane, options)
        assert "it is no cluster; between servers by themselves lxd_migration moves instances" in result["msg"]


def test_the_facts_are_those_of_the_kernel_and_the_server(lane: Lane) -> None:
    found, told = facts(lane), lane.host.query("")["environment"]
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    assert found["name"] == told["server_name"]
    assert found["version"] == told["server_version"]
    assert found["address"] == f"https://{told['addresses'][0]}"
    assert found["memory"]["total"] >= int(memory.split()[1]) * 1024
    assert found["cpu"]["count"] == os.cpu_count()
    assert {pool["name"] for pool in found["pools"]} >= {"default", "fast"}
    assert all(pool["total"] > pool["used"] > 0 for pool in found["pools"] if pool["driver"] == "btrfs")
    assert found["networks"] == ["lab0"]
    assert found["cluster"] is None
    if lane.connection["endpoint"].startswith("/"):
        assert 0 <= uptime - found["uptime"] < 600
        assert len(found["load"]) == 3
        flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
        assert found["cpu"]["flags"] == sorted(flags.split(":")[1].split())
        assert ("HW_CPU_X86_AESNI" in found["cpu"]["traits"]) == (" aes " in flags)
    else:
        assert found["uptime"] is None
