# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_migration, method live: what ran goes on running on another host, with its memory."""

from collections.abc import Iterator
from typing import Any

import pytest
from integration.case import same
from integration.killed_run import killed
from integration.lab_host import LabHost, wait_until
from integration.task import task
from integration.test_lxd_migration import MOST_WRITES, shown
from integration.watch import never_twice

MODULE = "lxdops.compute.lxd_migration"
NAME = "lively"
COUNTER = (
    "setsid sh -c 'i=0; while true; do i=$((i+1)); echo $i > /count; cat /proc/uptime >> /ticks; sleep 0.1; done' "
    "</dev/null >/dev/null 2>&1 &"
)
"""Counts in the memory of a process, which a restart would begin anew."""


def params(source: LabHost, target: LabHost, **options: Any) -> dict[str, Any]:
    """The options of a task that moves NAME live, over https."""
    return {**source.https, "target": dict(target.https), "name": NAME, "method": "live", **options}


def move(source: LabHost, target: LabHost, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """The result of one task."""
    return task(params(source, target, **options), module=MODULE, check=check)


@pytest.fixture
def counting(criu_hosts: list[LabHost]) -> Iterator[LabHost]:
    """A host with a running container in which a process counts."""
    host = criu_hosts[0]
    devices = {"root": {"type": "disk", "path": "/", "pool": "fast"}}
    config = {"raw.lxc": "lxc.console.path = none", "boot.autostart": "true"}
    host.make(NAME, power="running", devices=devices, config=config)
    host.client("exec", NAME, "--", "sh", "-c", COUNTER)
    wait_until(lambda: count(host) > 2, "the counter counts")
    yield host
    for one in criu_hosts:
        one.remove(NAME, "other")


def count(host: LabHost) -> int:
    return int(host.client("exec", NAME, "--", "sh", "-c", "cat /count 2>/dev/null || echo 0").strip() or 0)


def ticks(host: LabHost) -> list[float]:
    """When the process was running, in seconds of the machine that all hosts are on."""
    return [float(line.split()[0]) for line in host.read(NAME, "/ticks").splitlines()]


def goes_on(host: LabHost, after: int) -> None:
    """The same process counts on."""
    wait_until(lambda: count(host) > after, "the counter goes on")
    counted = count(host)
    assert len(ticks(host)) >= counted - 1, "the counter began anew"


def test_it_goes_on_running_on_the_target(counting: LabHost, criu_hosts: list[LabHost]) -> None:
    target = criu_hosts[1]
    before = shown(counting, NAME)
    untouched = [host.everything() for host in criu_hosts]
    checked = move(counting, target, check=True)
    same([host.everything() for host in criu_hosts], untouched)
    seen = count(counting)
    with never_twice(criu_hosts):
        applied = move(counting, target)
    assert not applied.get("failed"), applied["msg"]
    for part in ("changed", "steps", "diff", "method"):
        same(applied[part], checked[part])
    assert applied["method"] == "live"
    assert counting.instances() == []
    same(shown(target, NAME), before)
    goes_on(target, seen)
    assert not move(counting, target)["changed"]


@pytest.mark.thorough
@pytest.mark.xfail(
    reason="LXD 5.0 may keep the port of a proxy device for a while after a suspension: then the resume here fails too"
)
def test_what_cannot_be_resumed_there_goes_on_here(counting: LabHost, criu_hosts: list[LabHost]) -> None:
    target = criu_hosts[1]
    device = {"type": "proxy", "listen": "tcp:127.0.0.1:7071", "connect": "tcp:127.0.0.1:71"}
    counting.call("PATCH", f"instances/{NAME}", {"devices": {"port": device}})
    before, seen = shown(counting, NAME), count(counting)
    with target.listener(7071), never_twice(criu_hosts):
        result = move(counting, target)
    assert result["failed"]
    assert "is as it was" in result["msg"]
    assert target.instances() == []
    same(shown(counting, NAME), before)
    goes_on(counting, seen)


@pytest.mark.thorough
def test_given_up_or_ended_after_it_was_killed(counting: LabHost, criu_hosts: list[LabHost]) -> None:
    target = criu_hosts[1]
    seen = count(counting)
    with never_twice(criu_hosts):
        assert killed(5, "after", params(counting, target), "lxd_migration")
        wait_until(lambda: counting.query(f"instances/{NAME}")["stateful"], "the server has saved its memory")
        assert counting.query(f"instances/{NAME}")["status"] == "Stopped"
        given_up = move(counting, target, state="aborted")
        assert not given_up.get("failed"), given_up["msg"]
        goes_on(counting, seen)
        assert target.instances() == []
        assert killed(9, "after", params(counting, target), "lxd_migration")
        ended = move(counting, target)
    assert not ended.get("failed"), ended["msg"]
    assert counting.instances() == []
    goes_on(target, seen)


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, MOST_WRITES))
def test_killed_at_any_write_it_goes_on(counting: LabHost, criu_hosts: list[LabHost], number: int, when: str) -> None:
    target = criu_hosts[1]
    before, seen = shown(counting, NAME), count(counting)
    with never_twice(criu_hosts):
        if not killed(number, when, params(counting, target), "lxd_migration"):
            pytest.skip(f"a live move has no {number}th write")
        result = move(counting, target)
    assert not result.get("failed"), result["msg"]
    assert counting.instances() == []
    same(shown(target, NAME), before)
    goes_on(target, seen)


@pytest.mark.thorough
def test_a_suspended_one_moves_with_its_memory(counting: LabHost, criu_hosts: list[LabHost]) -> None:
    target = criu_hosts[1]
    seen = count(counting)
    counting.power(NAME, "stop", stateful=True)
    result = move(counting, target, method="auto")
    assert not result.get("failed"), result["msg"]
    assert target.query(f"instances/{NAME}")["stateful"]
    target.power(NAME, "start", stateful=True)
    goes_on(target, seen)


@pytest.mark.thorough
def test_a_frozen_one_stays_frozen(counting: LabHost, criu_hosts: list[LabHost]) -> None:
    target = criu_hosts[1]
    seen = count(counting)
    counting.power(NAME, "freeze")
    assert not move(counting, target).get("failed")
    assert target.query(f"instances/{NAME}")["status"] == "Frozen"
    target.power(NAME, "unfreeze")
    goes_on(target, seen)
