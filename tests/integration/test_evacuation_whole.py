# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host full of instances dies, and a run of its evacuation is killed at each write: three standalone hosts."""

from collections.abc import Iterator
from typing import Any

import pytest
from integration.case import same
from integration.killed_run import killed
from integration.lab_host import LabHost, connections, where_each_is
from integration.task import task
from integration.test_host_evacuation import EVACUATED, EVACUATION, RECORD, power_cut
from integration.test_lxd_migration import shown
from integration.watch import never_twice

pytestmark = pytest.mark.thorough
COUNT, FEW = 10, 3
MOST_WRITES = 13


@pytest.fixture
def _cleaned(three_hosts: list[LabHost]) -> Iterator[None]:
    yield
    for host in three_hosts:
        host.remove(*host.instances())


def fill(host: LabHost, count: int) -> dict[str, Any]:
    """Running instances, each with an address of its own, as the server shows them."""
    for number in range(count):
        nic = {"type": "nic", "network": "lab0", "ipv4.address": f"10.177.0.{100 + number}", "name": "eth0"}
        config = {"user.number": str(number), "limits.memory": "64MiB"}
        host.make(f"ev{number:02}", power="running", config=config, devices={"eth0": nic})
    return {name: shown(host, name) for name in sorted(host.instances())}


def options(host: LabHost, others: list[LabHost], record: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A task's."""
    return {**host.https, "record": record, "targets": connections(others), "tombstones": [], **more}


def are_elsewhere(others: list[LabHost], record: dict[str, Any], before: dict[str, Any]) -> None:
    """Every instance runs on exactly one of the hosts, with its addresses and all that was declared."""
    where = where_each_is(others, before)
    for name, was in before.items():
        config = was["config"] | {EVACUATED: record["identity"]}
        same(shown(where[name], name), was | {"config": config, "snapshots": []})


@pytest.mark.usefixtures("_cleaned")
def test_ten_run_elsewhere_and_the_host_comes_back(three_hosts: list[LabHost]) -> None:
    host, *others = three_hosts
    before = fill(host, COUNT)
    record = task(host.https, module=RECORD)["record"]
    wanted = options(host, others, record)
    assert "answers at https://" in task({**wanted, "fenced": True}, module=EVACUATION)["msg"]
    with never_twice(three_hosts) as watch:
        with power_cut(host):
            assert "fenced: found false" in task(wanted, module=EVACUATION)["msg"]
            assert [other.instances() for other in others] == [[], []]
            done = task({**wanted, "fenced": True}, module=EVACUATION)
            assert not done.get("failed"), done["msg"]
            assert all(other.instances() for other in others), "they were not spread"
            are_elsewhere(others, record, before)
        assert {one["status"] for one in host.query("instances?recursion=1")} == {"Stopped"}
        back = task({**wanted, "state": "returned", "tombstones": done["tombstones"]}, module=EVACUATION)
        assert not back.get("failed"), back["msg"]
        assert host.instances() == []
        are_elsewhere(others, record, before)
    assert watch.most == COUNT


@pytest.fixture(scope="module")
def dead(three_hosts: list[LabHost]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The options that evacuate some instances of a host that is off, and those as they were."""
    host, *others = three_hosts
    before = fill(host, FEW)
    record = task(host.https, module=RECORD)["record"]
    with power_cut(host):
        yield options(host, others, record, fenced=True), before


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, MOST_WRITES))
def test_an_evacuation_of_three_killed_at_any_write_is_ended_by_the_next(
    three_hosts: list[LabHost], dead: tuple[dict[str, Any], dict[str, Any]], number: int, when: str
) -> None:
    wanted, before = dead
    others = three_hosts[1:]
    try:
        with never_twice(others):
            if not killed(number, when, wanted, "lxd_evacuation"):
                pytest.skip(f"this evacuation has no {number}th write")
            done = task(wanted, module=EVACUATION)
        assert not done.get("failed"), done["msg"]
        are_elsewhere(others, wanted["record"], before)
        assert not task(wanted, module=EVACUATION)["changed"]
    finally:
        for other in others:
            other.remove(*other.instances())
