# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever dies, the next run converges: nothing is doubled, nothing is lost."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from integration import lab_host
from integration.case import Lane, same
from integration.killed_run import killed, started
from integration.lab_host import LabHost, wait_until

NAME = "fault"
MOST_WRITES = 10
TINY = {"alias": "tiny"}
NESTING = {"config": {"security.nesting": True, "linux.sysctl.net.ipv4.ip_forward": 1}}


@pytest.fixture
def unix(host: LabHost) -> Iterator[Lane]:
    """A host of each product, with nothing of ours on it."""
    host.remove(NAME)
    yield Lane(host, host.unix)
    host.remove(NAME)


@pytest.fixture(
    params=["lxd-after", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("lxd-before", "incus-after"))]
)
def deadly(request: pytest.FixtureRequest) -> Iterator[tuple[Lane, str]]:
    """A host, and whether a run on it dies before or after a write."""
    product, when = request.param.split("-")
    host: LabHost = request.getfixturevalue(f"{product}_hosts")[0]
    host.remove(NAME)
    yield Lane(host, host.unix), when
    host.remove(NAME)


def die(lane: Lane, number: int, when: str, params: Mapping[str, Any]) -> bool:
    """Run a task that is killed at a write; False when it has no such write."""
    return killed(number, when, {**lane.connection, "name": NAME, **params})


def converges(lane: Lane, params: Mapping[str, Any], shows: Mapping[str, Any] | None) -> None:
    """The next run ends as declared, and the one after it has nothing to do."""
    result = lane.done(name=NAME, **params)
    found = lane.host.instance(NAME)
    if shows is None:
        assert found is None
    else:
        assert found is not None
        same(found, {**shows, "config": {"volatile.last_state.power": "RUNNING", **shows.get("config", {})}})
    assert [name for name in lane.host.instances() if NAME in name] == ([] if shows is None else [NAME]), result
    again = lane.done(name=NAME, **params)
    assert not again["changed"], again


def test_a_creation_killed_at_each_write_is_ended_by_the_next_run(deadly: tuple[Lane, str]) -> None:
    unix, when = deadly
    params = {"source": TINY, "config": {"user.a": 1}, "stop_timeout": 10}
    for number in range(1, MOST_WRITES):
        if not die(unix, number, when, params):
            break
        converges(unix, params, {"status": "Running", "config": {"user.a": "1"}})
        unix.host.remove(NAME)
    assert number == 3, "create, start"


def test_an_instance_that_cannot_be_started_is_kept_and_no_longer_under_way(unix: Lane) -> None:
    params: dict[str, Any] = {"name": NAME, "source": TINY, "description": "kept"}
    result = unix.task(**params, config={"raw.lxc": "lxc.hook.pre-start = /bin/false"})
    assert result["failed"], result
    last_power = "volatile.last_state.power"
    wait_until(lambda: unix.host.query(f"instances/{NAME}")["config"].get(last_power) in (None, "STOPPED"), "its end")
    stuck = unix.host.query(f"instances/{NAME}")
    assert (stuck["status"], stuck["description"]) == ("Stopped", "kept")
    unix.done(**params, config={"raw.lxc": None})
    same(
        unix.host.instance(NAME),
        {"status": "Running", "description": "kept", "config": {"volatile.uuid": stuck["config"]["volatile.uuid"]}},
    )


@pytest.mark.thorough
def test_a_change_with_a_restart_killed_at_each_write_is_ended_by_the_next_run(deadly: tuple[Lane, str]) -> None:
    unix, when = deadly
    params = {"state": "present", "apply": "restart", **NESTING, "config": {**NESTING["config"], "user.b": 2}}
    unix.host.make(NAME, power="running", config={"user.kept": "yes"})
    config = {"user.kept": "yes", "user.b": "2", "linux.sysctl.net.ipv4.ip_forward": "1"}
    for number in range(1, MOST_WRITES):
        if not die(unix, number, when, params):
            break
        converges(unix, params, {"status": "Running", "config": config})
        assert unix.host.read(NAME, "/proc/sys/net/ipv4/ip_forward") == "1\n"
        unix.host.remove(NAME)
        unix.host.make(NAME, power="running", config={"user.kept": "yes"})
    assert number == 4, "update, stop, start"


@pytest.mark.thorough
def test_a_deletion_killed_at_each_write_is_ended_by_the_next_run(deadly: tuple[Lane, str]) -> None:
    unix, when = deadly
    params = {"state": "absent"}
    for number in range(1, MOST_WRITES):
        unix.host.make(NAME, power="running")
        if not die(unix, number, when, params):
            break
        converges(unix, params, None)
    assert number == 3, "stop, delete"


def test_a_daemon_killed_in_the_middle_of_a_creation(unix: Lane) -> None:
    host = unix.host
    params = {"source": TINY, "root": {"pool": "fast"}}
    assert die(unix, 1, "after", params)
    try:
        lab_host.lab("kill", str(host.number), "--name", host.lab)
    finally:
        lab_host.lab("start", str(host.number), "--name", host.lab)
    converges(unix, params, {"status": "Running"})
    assert host.read(NAME, "/etc/tiny-release") == "1\n"


def test_two_tasks_that_change_different_keys_at_once_both_survive(unix: Lane) -> None:
    unix.host.make(NAME)
    for number in range(10):
        both = [
            started({**unix.connection, "name": NAME, "state": "present", "config": {f"user.{key}": number}})
            for key in ("a", "b")
        ]
        for process in both:
            process.join(timeout=120)
        assert [process.exitcode for process in both] == [0, 0]
        same(unix.host.instance(NAME), {"config": {"user.a": str(number), "user.b": str(number)}})
