# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_rebuild: the root is new, all else is as it was; what fails or is killed leaves an instance that is whole."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from integration.case import same
from integration.killed_run import killed
from integration.lab_host import CommandFailed, LabHost, wait_until
from integration.task import task
from integration.watch import never_two

MODULE = "lxdops.compute.lxd_rebuild"
NAME = "reb"
VOLUME = "reb-data"
DATA = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(2000))
NEW = {"alias": "tiny2"}
MOST_WRITES = 16
SAMPLE = ((6, "after"),)
"""Writes of a rebuild of a running instance at which a run is killed in every run of the tests: when the old one has
given up the name."""
NIC = {"type": "nic", "network": "lab0", "ipv4.address": "10.177.0.99", "name": "eth0"}
DISK = {"type": "disk", "pool": "default", "source": VOLUME, "path": "/data"}
KINDS: list[Any] = [
    pytest.param(
        "running",
        {
            "config": {"user.a": "1", "boot.autostart": "true", "security.protection.delete": "true"},
            "devices": {"eth0": NIC, "data": DISK},
            "profiles": ["default", "more"],
            "description": "d",
        },
        id="running",
    ),
    pytest.param(
        "frozen",
        {"config": {"user.lxdops.fleet": "f", "user.lxdops.home": "h"}},
        id="frozen",
        marks=pytest.mark.thorough,
    ),
    pytest.param(
        "stopped",
        {"devices": {"root": {"type": "disk", "path": "/", "pool": "fast"}}},
        id="stopped",
        marks=pytest.mark.thorough,
    ),
    pytest.param("running", {"ephemeral": True}, id="ephemeral", marks=pytest.mark.thorough),
]


@pytest.fixture(scope="module")
def more(host: LabHost) -> Iterator[LabHost]:
    """A host with a profile and a volume for the instances of these tests."""
    host.call("POST", "profiles", {"name": "more", "config": {"user.p": "1"}, "devices": {}})
    host.call("POST", "storage-pools/default/volumes/custom", {"name": VOLUME})
    yield host
    host.call("DELETE", f"storage-pools/default/volumes/custom/{VOLUME}")
    host.call("DELETE", "profiles/more")


@pytest.fixture(autouse=True)
def _cleaned(more: LabHost) -> Iterator[None]:
    yield
    for name in more.instances():
        more.call("PATCH", f"instances/{name}", {"config": {"security.protection.delete": "false"}})
    more.remove(*more.instances())


def rebuild(host: LabHost, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """The result of one task."""
    return task({**host.https, "name": NAME, "source": NEW, **options}, module=MODULE, check=check)


def done(host: LabHost, **options: Any) -> dict[str, Any]:
    """The result of one task that must not fail."""
    result = rebuild(host, **options)
    assert not result.get("failed"), result["msg"]
    return result


def prepared(host: LabHost, power: str = "running", **body: Any) -> dict[str, Any]:
    """An instance with a file in its root, and with data on its volume if it has it; as the server shows it."""
    host.make(NAME, power="running", **body)
    host.write(NAME, "/srv/old", "old")
    if "data" in body.get("devices", {}):
        host.write(NAME, "/data/checksum", DATA)
    if power == "stopped":
        host.power(NAME, "stop", force=True)
    if power == "frozen":
        host.power(NAME, "freeze")
    return shown(host)


def shown(host: LabHost, name: str = NAME) -> dict[str, Any]:
    """All of an instance that a rebuild must not change."""
    found: dict[str, Any] = host.query(f"instances/{name}")
    for key in ("created_at", "last_used_at", "expanded_config"):
        del found[key]
    own = ("idmap", "host_name", "last_state", "apply_template", "apply_nvram", "base_image", "image.", "lxdops.source")
    kept = {key: value for key, value in found["config"].items() if not any(word in key for word in own)}
    return {**found, "config": {"volatile.uuid.generation": None, **kept}}


def not_under_way(host: LabHost) -> bool:
    """Whether the server has noted that the instance stopped."""
    return bool(host.query(f"instances/{NAME}")["config"]["volatile.last_state.power"] == "STOPPED")


def release(host: LabHost) -> str:
    """Which image the root is from, and whether it is new."""
    try:
        host.client("file", "pull", f"{NAME}/srv/old", "-")
    except CommandFailed:
        return host.client("file", "pull", f"{NAME}/etc/tiny-release", "-").strip() + " new"
    return host.client("file", "pull", f"{NAME}/etc/tiny-release", "-").strip() + " old"


def same_as(host: LabHost, before: dict[str, Any]) -> None:
    """Fail unless all of the instance is as before, but for the root."""
    found = shown(host)
    if "volatile.uuid.generation" in before["config"]:
        before["config"]["volatile.uuid.generation"] = found["config"].get("volatile.uuid.generation")
    assert sorted(found["config"]) == sorted({**before["config"], **found["config"]}), "a config key came or went"
    same(found, before)


@pytest.mark.parametrize(("power", "body"), KINDS)
def test_check_apply_again(more: LabHost, power: str, body: dict[str, Any]) -> None:
    host = more
    before = prepared(host, power, **body)
    untouched = host.everything()
    checked = rebuild(host, check=True)
    assert not checked.get("failed"), checked["msg"]
    same(host.everything(), untouched)

    applied = done(host)
    for part in ("changed", "steps", "diff", "method", "image", "downtime"):
        same(applied[part], checked[part])
    assert applied["method"] == ("server" if host.product == "incus" else "swap")
    same_as(host, before)
    assert host.instances() == [NAME]
    assert release(host) == "2 new"
    if "data" in body.get("devices", {}):
        assert host.read(NAME, "/data/checksum") == DATA
        assert "10.177.0.99" in host.client("exec", NAME, "--", "ip", "addr", "show", "eth0")

    again = done(host)
    assert (again["changed"], again["steps"], again["method"]) == (False, [], None)
    state = {"running": "started", "frozen": "frozen", "stopped": "stopped"}[power]
    unchanged = task({**host.https, "name": NAME, "source": NEW, "state": state})
    assert not unchanged["changed"], unchanged["steps"]
    same_as(host, before)


def whole(host: LabHost) -> bool:
    """Whether there is a root with all that belongs into it, under any name."""
    for name in host.instances():
        try:
            if host.client("file", "pull", f"{name}/etc/tiny-release", "-").strip() in ("1", "2"):
                return True
        except CommandFailed:
            continue
    return False


@pytest.mark.parametrize(
    ("number", "when"),
    [
        pytest.param(number, when, marks=[] if (number, when) in SAMPLE else pytest.mark.thorough)
        for number in range(1, MOST_WRITES)
        for when in ("before", "after")
    ],
)
def test_a_run_killed_at_any_write_is_ended_by_the_next(more: LabHost, number: int, when: str) -> None:
    host = more
    config = {"boot.autostart": "true", "security.protection.delete": "true"}
    before = prepared(host, config=config, devices={"eth0": NIC, "data": DISK})
    with never_two(host):
        if not killed(number, when, {**host.https, "name": NAME, "source": NEW}, "lxd_rebuild"):
            pytest.skip(f"a rebuild has no {number}th write")
        # The server's own rebuild has no root for a moment; it ends that by itself.
        assert host.product == "incus" or whole(host), "no whole root was left"
        done(host)
    same_as(host, before)
    assert release(host) == "2 new"
    assert host.instances() == [NAME]
    assert host.read(NAME, "/data/checksum") == DATA
    assert not done(host)["changed"]


def test_a_new_root_that_does_not_start_gives_way_to_the_old_one(more: LabHost) -> None:
    host = more
    before = prepared(host, devices={"eth0": NIC, "data": DISK}, config={"boot.autostart": "true"})
    broken = {"raw.lxc": "lxc.mount.entry = /no/such/directory srv none bind 0 0"}
    with never_two(host):
        result = rebuild(host, config=broken)
    assert result["failed"]
    assert host.instances() == [NAME]
    if host.product == "lxd":
        assert f"{NAME} is as it was" in result["msg"]
        same_as(host, before)
        assert (release(host), host.read(NAME, "/data/checksum")) == ("1 old", DATA)
        return
    # The server's own rebuild leaves no old root; the instance is there, and is rebuilt again. Incus has it Running for
    # a second more, until its hook has noted that it stopped.
    wait_until(lambda: not_under_way(host), "the end of the start")
    assert host.query(f"instances/{NAME}")["status"] == "Stopped"
    done(host, config={"raw.lxc": None})
    same_as(host, before)
    assert (release(host), host.read(NAME, "/data/checksum")) == ("2 new", DATA)


@pytest.mark.thorough
def test_snapshots_are_deleted_on_demand(more: LabHost) -> None:
    host = more
    before = prepared(host)
    host.call("POST", f"instances/{NAME}/snapshots", {"name": "monday"})
    assert "its snapshots would be lost: monday" in rebuild(host)["msg"]
    assert release(host) == "1 old"
    assert done(host, snapshots="delete")["snapshots"] == ["monday"]
    same_as(host, before)
    assert (release(host), host.query(f"instances/{NAME}/snapshots")) == ("2 new", [])


@pytest.mark.thorough
def test_the_old_instance_is_kept(more: LabHost) -> None:
    host = more
    before = prepared(host, config={"user.lxdops.fleet": "f"}, devices={"eth0": NIC, "data": DISK})
    host.call("POST", f"instances/{NAME}/snapshots", {"name": "monday"})
    host.call("PATCH", "", {"config": {"user.lxdops.cordon": "a rebuild brings nothing new"}})
    untouched = host.everything()
    assert "its snapshots would be lost: monday" in rebuild(host)["msg"]
    same(host.everything(), untouched)

    options: dict[str, Any] = {"snapshots": "keep", "keep_as": "kept", "config": {"user.b": 2}}
    checked = rebuild(host, check=True, **options)
    with never_two(host):
        applied = done(host, **options)
    same(applied["diff"], checked["diff"])
    assert sorted(host.instances()) == ["kept", NAME]
    before["config"]["user.b"] = "2"
    same_as(host, before)
    kept = host.query("instances/kept")
    same(kept, {"status": "Stopped", "config": {"boot.autostart": "false", "user.lxdops.fleet": None}})
    assert {device["type"] for name, device in kept["expanded_devices"].items() if name != "root"} <= {"none"}
    assert kept["config"]["volatile.uuid"] != before["config"]["volatile.uuid"]
    assert not [key for key in kept["config"] if key.startswith("user.lxdops.rebuild") or key.endswith("hwaddr")]
    host.power("kept", "start")  # Nothing of it clashes with the new one.
    assert host.client("file", "pull", "kept/srv/old", "-") == "old"
    assert [one["name"] for one in host.query("instances/kept/snapshots?recursion=1")] == ["monday"]
    assert not done(host, **options)["changed"]
    assert "the name kept, which the rebuild needs, is taken" in rebuild(host, rebuild_id="b", **options)["msg"]
    host.remove("kept")

    host.write(NAME, "/srv/old", "old")
    assert done(host, rebuild_id="b")["changed"]
    assert not done(host, rebuild_id="b")["changed"]
    assert (release(host), host.read(NAME, "/data/checksum")) == ("2 new", DATA)
    host.call("PATCH", "", {"config": {"user.lxdops.cordon": ""}})


@pytest.mark.thorough
def test_a_guest_that_does_not_stop_keeps_its_root(more: LabHost) -> None:
    host = more
    if host.product == "incus":
        pytest.skip("Incus 6.0 locks an instance whose guest did not stop in time: nobody changes it until it stops")
    host.make(NAME)
    host.write(NAME, "/etc/ignore-stop", "")
    host.write(NAME, "/srv/old", "old")
    host.power(NAME, "start")
    before = shown(host)
    result = rebuild(host, stop_timeout=1)
    assert "did not stop within stop_timeout (1 seconds)" in result["msg"]
    assert "is as it was" in result["msg"]
    same_as(host, before)
    assert (release(host), host.instances()) == ("1 old", [NAME])


def test_what_stands_in_the_way_is_told_before_anything_is_changed(more: LabHost) -> None:
    host = more
    host.make(NAME)
    taken = f"{NAME}-rebuild-{hashlib.sha256(NAME.encode()).hexdigest()[:8]}"
    host.make(taken)
    untouched = host.everything()
    for options, words in (
        ({"name": "nobody"}, "there is no such instance"),
        ({"source": {"alias": "nope"}}, "there is no image nope; its aliases are tiny, tiny2"),
        ({"method": "swap"}, f"the name {taken}, which the rebuild needs, is taken by another instance"),
        ({"config": {"limits.cup": 1}}, "config.limits.cup is not a known instance option"),
        ({"source": {"type": "copy", "instance": taken}}, "source.type: found copy, allowed is image"),
        ({"keep_as": "x"}, "keep_as goes with snapshots: keep only"),
        ({"rebuild_id": "two words"}, "rebuild_id: found 'two words'"),
        ({"method": "server", "snapshots": "keep"}, "snapshots: keep needs method: auto or swap"),
        ({"method": "server"}, "this server has no rebuild of its own"),
    ):
        if host.product == "incus" and options == {"method": "server"}:
            continue  # It has one.
        result = rebuild(host, **options)
        assert words in result.get("msg", ""), (options, result)
    same(host.everything(), untouched)
