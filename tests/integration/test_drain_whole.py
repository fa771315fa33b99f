# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_drain with a host full of all kinds of instances, and killed at each of its writes: three standalone hosts."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from integration.case import same
from integration.killed_run import killed
from integration.lab_host import LabHost, connections, where_each_is
from integration.task import task
from integration.test_lxd_migration import shown
from integration.watch import never_twice

pytestmark = pytest.mark.thorough
MODULE = "lxdops.compute.lxd_drain"
COUNT = 20
POWERS = ("running", "stopped", "frozen", "running")
BIG = 200
"""MiB of data in one of them; the others have little."""
MOST_WRITES = 45
HOME = "user.lxdops.home"


@pytest.fixture(autouse=True)
def _cleaned(three_hosts: list[LabHost]) -> Iterator[None]:
    yield
    for host in three_hosts:
        host.remove(*host.instances())


@pytest.fixture(autouse=True, scope="module")
def _profiles(three_hosts: list[LabHost]) -> None:
    """A second profile on each host."""
    for host in three_hosts:
        host.call("POST", "profiles", {"name": "more", "config": {"user.p": "1"}, "devices": {}})


def options(host: LabHost, others: list[LabHost], **more: Any) -> dict[str, Any]:
    """A task's."""
    return {**host.https, "targets": connections(others), **more}


def drain(host: LabHost, others: list[LabHost], **more: Any) -> dict[str, Any]:
    """The result of one task that must not fail."""
    result = task(options(host, others, **more), module=MODULE)
    assert not result.get("failed"), result["msg"]
    return result


def fill(host: LabHost, count: int) -> dict[str, Any]:
    """Instances of all kinds, as the server shows them."""
    for number in range(count):
        name, power = f"mix{number:02}", POWERS[number % len(POWERS)]
        body: dict[str, Any] = {"config": {"user.number": str(number), "boot.autostart": str(number % 2 == 0).lower()}}
        if number % 3 == 0:
            body["profiles"] = ["default", "more"]
        if number % 5 == 0:
            address = f"10.177.0.{100 + number}"
            body["devices"] = {"eth0": {"type": "nic", "network": "lab0", "ipv4.address": address, "name": "eth0"}}
        host.make(name, **body)
        host.write(name, "/srv/data", data(number))
        if number % 4 == 1:
            host.call("POST", f"instances/{name}/snapshots", {"name": "monday"})
        if power != "stopped":
            host.power(name, "start")
        if number == 0:
            host.shell(name, f"dd if=/dev/urandom of=/srv/big bs=1M count={BIG}; sha256sum /srv/big > /srv/sum")
        if power == "frozen":
            host.power(name, "freeze")
    return {name: shown(host, name) for name in sorted(host.instances())}


def data(number: int) -> str:
    """What the file of an instance is."""
    return hashlib.sha256(str(number).encode()).hexdigest() * 100


def are_whole(hosts: list[LabHost], before: dict[str, Any], **config: str | None) -> None:
    """Every instance is on exactly one of the hosts, as it was."""
    where = where_each_is(hosts, before)
    for number, (name, was) in enumerate(sorted(before.items())):
        found = was | {"config": was["config"] | {"user.lxdops.migration": None, **config}}
        same(shown(where[name], name), found)
        assert where[name].client("file", "pull", f"{name}/srv/data", "-") == data(number)
    first = min(before)
    assert "OK" in where[first].shell(first, "[ ! -e /srv/big ] && echo OK; sha256sum -c /srv/sum")


def test_twenty_of_all_kinds_go_and_come_home(three_hosts: list[LabHost]) -> None:
    host, *others = three_hosts
    before = fill(host, COUNT)
    name = host.query("")["environment"]["server_name"]
    with never_twice(three_hosts):
        drain(host, others)
        assert host.instances() == []
        assert all(other.instances() for other in others), "they were not spread"
        are_whole(others, before, **{HOME: name})
        assert not drain(host, others)["changed"]
        drain(host, others, state="restored")
    assert [other.instances() for other in others] == [[], []]
    are_whole([host], before, **{HOME: None})
    assert not drain(host, others, state="restored")["changed"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, MOST_WRITES))
def test_a_drain_killed_at_any_write_is_ended_by_the_next(three_hosts: list[LabHost], number: int, when: str) -> None:
    host, *others = three_hosts
    before = fill(host, 3)
    with never_twice(three_hosts):
        if not killed(number, when, options(host, others), "lxd_drain"):
            pytest.skip(f"this drain has no {number}th write")
        drain(host, others)
    assert host.instances() == []
    are_whole(others, before)
