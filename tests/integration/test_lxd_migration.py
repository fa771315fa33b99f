# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_migration between two standalone hosts: all of an instance arrives, none is lost, and none ever runs twice."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from integration import lab_host
from integration.case import same
from integration.killed_run import killed, started
from integration.lab_host import CommandFailed, LabHost, wait_until
from integration.task import task
from integration.watch import never_twice
from lab import network
from lab.host import kill_daemon

MODULE = "lxdops.compute.lxd_migration"
NAME = "mig"
DATA = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(3000))
MOST_WRITES = 14
SAMPLE = (("refresh", 4, "after"),)
"""Writes of the move of a running instance at which a run is killed in every run of the tests: after the first copy.
test_host_maintenance.py has one that is killed when the copy has been started."""


@pytest.fixture(autouse=True)
def _cleaned(lxd_hosts: list[LabHost]) -> Iterator[None]:
    yield
    for host in lxd_hosts:
        for name in (NAME, "mig-b"):
            if host.instance(name):
                host.call("PATCH", f"instances/{name}", {"config": {"security.protection.delete": "false"}})
        host.remove(NAME, "mig-b")


def params(source: LabHost, target: LabHost, **options: Any) -> dict[str, Any]:
    """The options of a task that moves NAME, over https as from a controller that is neither host."""
    return {**source.https, "target": dict(target.https), "name": NAME, **options}


def move(source: LabHost, target: LabHost, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """The result of one task."""
    return task(params(source, target, **options), module=MODULE, check=check)


def prepared(host: LabHost, power: str = "running", **body: Any) -> dict[str, Any]:
    """An instance with data and a snapshot; as the server shows it."""
    host.make(NAME, **body)
    host.write(NAME, "/srv/data", DATA)
    host.call("POST", f"instances/{NAME}/snapshots", {"name": "before"})
    if power != "stopped":
        host.power(NAME, "start")
    if power == "frozen":
        host.power(NAME, "freeze")
    return shown(host)


def shown(host: LabHost, name: str = NAME) -> dict[str, Any]:
    """All of an instance that must be the same on another host."""
    found: dict[str, Any] = host.query(f"instances/{name}?recursion=1")
    for key in ("created_at", "last_used_at", "state", "backups", "snapshots", "expanded_config"):
        found.pop(key, None)
    names = [one["name"] for one in host.query(f"instances/{name}/snapshots?recursion=1")]
    own = ("idmap", "host_name", "last_state", "apply_template", "apply_nvram")
    config = {key: value for key, value in found["config"].items() if not any(word in key for word in own)}
    return {**found, "config": config, "snapshots": names}


def data_of(host: LabHost, name: str = NAME) -> str:
    """What the data on the instance's root is."""
    return host.client("file", "pull", f"{name}/srv/data", "-")


def intact(host: LabHost) -> bool:
    """Whether the host has a copy with all data. One that is about to be deleted cannot be read."""
    try:
        return data_of(host) == DATA
    except CommandFailed:
        return False


CASES: list[Any] = [
    pytest.param(
        "running",
        {"config": {"boot.autostart": "true", "security.protection.delete": "true", "user.a": "1"}},
        {},
        "refresh",
        {},
        id="refresh",
    ),
    pytest.param(
        "frozen",
        {"devices": {"eth0": {"type": "nic", "network": "lab0", "ipv4.address": "10.177.0.77", "name": "eth0"}}},
        {"method": "cold", "transfer": "push", "pool": "fast", "new_name": "mig-b"},
        "cold",
        {"devices": {"root": {"type": "disk", "path": "/", "pool": "fast"}}, "name": "mig-b"},
        id="cold-push-pool-name",
    ),
    pytest.param("running", {"ephemeral": True}, {}, "refresh", {}, id="ephemeral", marks=pytest.mark.thorough),
    pytest.param(
        "stopped",
        {"description": "d", "devices": {"root": {"type": "disk", "path": "/", "pool": "fast"}}},
        {"snapshots": False},
        "cold",
        {"snapshots": []},
        id="stopped-btrfs",
        marks=pytest.mark.thorough,
    ),
]


@pytest.mark.parametrize(("power", "body", "options", "method", "differs"), CASES)
def test_check_apply_again(
    lxd_hosts: list[LabHost],
    power: str,
    body: dict[str, Any],
    options: dict[str, Any],
    method: str,
    differs: dict[str, Any],
) -> None:
    source, target = lxd_hosts
    before = prepared(source, power, **body)
    untouched = [host.everything() for host in lxd_hosts]
    checked = move(source, target, check=True, **options)
    assert not checked.get("failed"), checked["msg"]
    same([host.everything() for host in lxd_hosts], untouched)

    with never_twice(lxd_hosts):
        applied = move(source, target, **options)
    assert not applied.get("failed"), applied["msg"]
    for part in ("changed", "steps", "diff", "method"):
        same(applied[part], checked[part])
    assert applied["method"] == method

    name = differs.get("name", NAME)
    after = shown(target, name)
    devices = {**before["devices"], **differs.get("devices", {})}
    expanded = {**before["expanded_devices"], **devices}
    same(after, before | differs | {"devices": devices, "expanded_devices": expanded})
    assert NAME not in source.instances()
    assert data_of(target, name) == DATA

    again = move(source, target, **options)
    assert (again["changed"], again["steps"], again["method"]) == (False, [], None)
    assert shown(target, name) == after


@pytest.mark.thorough
def test_home_again_over_the_socket(lxd_hosts: list[LabHost]) -> None:
    home, away = lxd_hosts
    before = prepared(home, "stopped")
    for source, target in ((home, away), (away, home)):
        result = task({**source.unix, "target": dict(target.unix), "name": NAME, "method": "cold"}, module=MODULE)
        assert not result.get("failed"), result["msg"]
    assert away.instances() == []
    same(shown(home), before)
    assert data_of(home) == DATA


@pytest.mark.parametrize("way", ["unix", "https"])
def test_where_neither_reaches_the_other_all_goes_through_us(lxd_hosts: list[LabHost], way: str) -> None:
    source, target = lxd_hosts
    before = prepared(source)
    options = {"name": NAME, "target": getattr(target, way)}
    listening = [host.query("")["config"]["core.https_address"] for host in lxd_hosts]
    if way == "https":
        options |= {"transfer": "relay", "bandwidth": "50MiB"}
    else:
        for host in lxd_hosts:
            host.call("PATCH", "", {"config": {"core.https_address": ""}})
    try:
        with never_twice(lxd_hosts):
            result = task({**getattr(source, way), **options}, module=MODULE)
    finally:
        for host, address in zip(lxd_hosts, listening, strict=True):
            host.call("PATCH", "", {"config": {"core.https_address": address}})
    assert not result.get("failed"), result["msg"]
    assert source.instances() == []
    same(shown(target), before)
    assert data_of(target) == DATA


def test_a_relay_that_ends_leaves_the_source(lxd_hosts: list[LabHost]) -> None:
    source, target = lxd_hosts
    before = prepared(source)
    failed = move(source, target, transfer="relay", bandwidth="10KiB", copy_timeout=2)
    assert "relay: it did not end within copy_timeout (2 seconds)" in failed["msg"]
    assert target.instances() == []
    assert source.query(f"instances/{NAME}")["status"] == "Running"
    run = started(params(source, target, bandwidth="10KiB"), module="lxd_migration")
    wait_until(lambda: NAME in target.instances(), "the copy begins")
    run.kill()
    run.join()
    same({**shown(source), "config": {}}, {**before, "config": {}})
    result = move(source, target, transfer="relay")
    assert not result.get("failed"), result["msg"]
    assert source.instances() == []
    same(shown(target), before)
    assert data_of(target) == DATA


@pytest.mark.parametrize(
    ("method", "number", "when"),
    [
        pytest.param(method, number, when, marks=[] if (method, number, when) in SAMPLE else pytest.mark.thorough)
        for method in ("refresh", "cold")
        for number in range(1, MOST_WRITES)
        for when in ("before", "after")
    ],
)
def test_a_run_killed_at_any_write_is_ended_by_the_next(
    lxd_hosts: list[LabHost], method: str, number: int, when: str
) -> None:
    source, target = lxd_hosts
    before = prepared(source)
    with never_twice(lxd_hosts):
        if not killed(number, when, params(source, target, method=method), "lxd_migration"):
            pytest.skip(f"a move has no {number}th write")
        assert any(intact(host) for host in lxd_hosts), "no intact copy was left"
        result = move(source, target, method=method)
    assert not result.get("failed"), result["msg"]
    assert source.instances() == []
    same(shown(target), before)
    assert data_of(target) == DATA
    assert not move(source, target)["changed"]


@pytest.mark.parametrize(
    "number", [4, pytest.param(8, marks=pytest.mark.thorough), pytest.param(9, marks=pytest.mark.thorough)]
)
def test_a_move_that_was_cut_short_is_given_up(lxd_hosts: list[LabHost], number: int) -> None:
    source, target = lxd_hosts
    before = prepared(source)
    assert killed(number, "after", params(source, target), "lxd_migration")
    result = move(source, target, state="aborted")
    assert not result.get("failed"), result["msg"]
    assert target.instances() == []
    same(shown(source), before)
    assert data_of(source) == DATA
    assert not move(source, target, state="aborted")["changed"]


def test_a_guest_that_does_not_stop_stays_where_it_is(lxd_hosts: list[LabHost]) -> None:
    source, target = lxd_hosts
    source.make(NAME)
    source.write(NAME, "/etc/ignore-stop", "")
    source.power(NAME, "start")
    before = shown(source)
    result = move(source, target, method="cold", stop_timeout=1)
    assert result["failed"]
    assert "did not stop within stop_timeout (1 seconds)" in result["msg"]
    assert f"{NAME} on lxdops-" not in result["msg"]
    assert "is as it was" in result["msg"]
    assert target.instances() == []
    same(shown(source), before)
    assert not move(source, target, method="cold", force=True).get("failed")
    assert shown(target)["status"] == "Running"


@pytest.mark.thorough
def test_a_copy_that_does_not_start_brings_the_source_back(lxd_hosts: list[LabHost]) -> None:
    source, target = lxd_hosts
    device = {"type": "proxy", "listen": "tcp:127.0.0.1:7070", "connect": "tcp:127.0.0.1:70"}
    before = prepared(source, devices={"port": device})
    with target.listener(7070), never_twice(lxd_hosts):
        result = move(source, target)
    assert result["failed"]
    assert "is as it was" in result["msg"]
    assert target.instances() == []
    same(shown(source), before)


@pytest.mark.thorough
def test_a_port_that_another_instance_has_there_is_told_before_anything_is_changed(lxd_hosts: list[LabHost]) -> None:
    source, target = lxd_hosts
    device = {"type": "proxy", "connect": "tcp:127.0.0.1:70"}
    target.make("mig-b", power="running", devices={"port": device | {"listen": "tcp:0.0.0.0:7070"}})
    before = prepared(source, devices={"port": device | {"listen": "tcp:127.0.0.1:7070"}})
    result = move(source, target)
    assert "port listens at tcp:127.0.0.1:7070, as mig-b on the target does at tcp:0.0.0.0:7070" in result["msg"]
    assert target.instances() == ["mig-b"]
    same(shown(source), before)


def test_what_stands_in_the_way_is_told_before_anything_is_changed(lxd_hosts: list[LabHost]) -> None:
    source, target = lxd_hosts
    source.call("POST", "profiles", {"name": "only-here"})
    source.make(NAME, profiles=["default", "only-here"], config={"limits.memory": "900GiB"})
    untouched = [host.everything() for host in lxd_hosts]
    result = move(source, target, pool="nope", networks={"lab0": "nope"})
    assert {one.split(":")[0] for one in result["blockers"]} == {
        "profile only-here is not on the target",
        "limits.memory 900GiB",
        "pool nope of device root is not on the target",
        "network nope of device eth0 is not on the target",
    }
    same([host.everything() for host in lxd_hosts], untouched)
    source.remove(NAME)
    source.call("DELETE", "profiles/only-here")
    for host in lxd_hosts:
        host.make(NAME)
    assert "neither is a copy that a move of ours made" in move(source, target)["msg"]
    assert "the same server" in move(source, source, new_name="mig-b")["msg"]
    assert "no such instance on either server" in move(source, target, name="nobody")["msg"]


@pytest.mark.parametrize("fault", ["kill", pytest.param("cut", marks=pytest.mark.thorough)])
def test_a_target_that_goes_away_in_the_middle(lxd_hosts: list[LabHost], fault: str) -> None:
    source, target = lxd_hosts
    machine = target.machine
    before = prepared(source)
    with never_twice(lxd_hosts):
        run = started(params(source, target, wait_timeout=60), module="lxd_migration")
        wait_until(lambda: NAME in target.instances(), "the copy begins")
        # By the lab's own functions: its command takes so long to start that the copy may be complete.
        kill_daemon(machine) if fault == "kill" else network.cut(machine.lab, machine.number)
        try:
            run.join(300)  # a link that is cut says nothing: each request to the target waits for its time
            assert run.exitcode == 1
        finally:
            lab_host.lab("start" if fault == "kill" else "heal", "--name", target.lab, str(target.number))
        assert source.query(f"instances/{NAME}")["status"] == "Running"
        # A server that was killed may need some attempts to have its networks again.
        wait_until(lambda: target.query("networks/lab0")["status"] == "Created", "the network is available", 120)
        result = move(source, target)
    assert not result.get("failed"), result["msg"]
    same(shown(target), before)
    assert data_of(target) == DATA
    assert source.instances() == []
