# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evacuation of a dead host: what is recorded, where each instance goes, what stands in the way, what returns."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.evacuation import Target, Wishes, fates, lost_from
from ansible_collections.lxdops.compute.plugins.module_utils.evacuation_return import fate_of
from ansible_collections.lxdops.compute.plugins.module_utils.evacuation_steps import Rescue, plan
from ansible_collections.lxdops.compute.plugins.module_utils.guard import freed, would_start
from ansible_collections.lxdops.compute.plugins.module_utils.host_record import record_of, recorded, roughly
from ansible_collections.lxdops.compute.plugins.module_utils.instance import Current, Desired
from ansible_collections.lxdops.compute.plugins.module_utils.migration import Journal
from ansible_collections.lxdops.compute.plugins.module_utils.placement import Room
from ansible_collections.lxdops.compute.plugins.module_utils.steps import predict
from unit.instances import DEFAULT

GIB = 1 << 30
DEAD = "d" * 16
IMAGE = "f" * 64
BUILDS = {
    "image.os": "Debian",
    "image.release": "bookworm",
    "image.serial": "1",
}
EVACUATED = "user.lxdops.evacuated"


def data(name: str = "web1", status: str = "Running", **more: Any) -> dict[str, Any]:
    """An instance as the API shows it."""
    own = {
        "volatile.uuid": f"uuid-{name}",
        "volatile.eth0.hwaddr": "00:16:3e:00:00:01",
        "volatile.base_image": IMAGE,
        "volatile.last_state.power": "RUNNING",
        "limits.memory": "1GiB",
        **more.pop("config", {}),
    }
    config = {key: value for key, value in own.items() if value is not None}
    devices = more.pop("devices", {})
    return {
        "name": name,
        "type": "container",
        "status": status,
        "architecture": "x86_64",
        "description": "",
        "profiles": ["default"],
        "ephemeral": False,
        "config": config,
        "devices": devices,
        "expanded_config": config,
        "expanded_devices": {**DEFAULT.devices, **devices},
        "last_used_at": "2026-01-01T00:00:00Z",
        **more,
    }


def record(*instances: dict[str, Any]) -> dict[str, Any]:
    return record_of(DEAD, {"server_name": "lxd1"}, "now", instances)


def target(name: str, *instances: dict[str, Any], memory: int = 64 * GIB, images: Any = None, **more: Any) -> Target:
    room = Room(
        name,
        memory,
        99,
        {"fast": 99 * GIB},
        architectures=frozenset({"x86_64"}),
        networks=frozenset({"lab0"}),
        profiles=frozenset({"default"}),
    )
    found = {IMAGE: {"fingerprint": IMAGE, "type": "container", "properties": {}, "created_at": "1"}}
    images = found if images is None else images
    return Target(name, name, "", instances, {"default": room}, {"default": images}, **more)


def test_a_record_has_who_an_instance_is_and_no_secrets() -> None:
    found = recorded(
        data(
            config={
                "cloud-init.user-data": "hush",
                "environment.DB_PASSWORD": "hush",
                "user.a": "1",
                "user.lxdops.pending": "x",
                "user.lxdops.held": "true RUNNING",
                "boot.autostart": "false",
            },
            devices={"d": {"type": "disk", "path": "/d", "secret.key": "hush"}},
        )
    )
    assert "hush" not in json.dumps(found)
    assert found["left_out"] == ["cloud-init.user-data", "environment.DB_PASSWORD", "devices.d.secret.key"]
    assert found["config"] == {
        "volatile.uuid": "uuid-web1",
        "volatile.eth0.hwaddr": "00:16:3e:00:00:01",
        "volatile.base_image": IMAGE,
        "limits.memory": "1GiB",
        "user.a": "1",
        "boot.autostart": "true",
    }
    assert found["expanded_config"] == {"limits.memory": "1GiB"}


@pytest.mark.parametrize(("size", "kept"), [(0, 0), (1, 1), (1000, 1024), (1024, 1024), (1025, 2048)])
def test_memory_in_use_is_recorded_roughly(size: int, kept: int) -> None:
    assert roughly(size) == kept


OTHER = data("web1", config={"volatile.uuid": "another"})
HERE = data("web1", config={EVACUATED: DEAD})
MOVED = data("web1")
JOURNAL = Journal("uuid-web1", DEAD, "b", "incoming", "running").text
COPY = data("web1", config={"user.lxdops.migration": JOURNAL})
SILENT = Target("c", problem="no answer")
VOLUME = {"v": {"type": "disk", "pool": "fast", "source": "v1", "path": "/v"}}
NEWER = {
    "e" * 64: {
        "fingerprint": "e" * 64,
        "type": "container",
        "properties": {"os": "Debian", "release": "bookworm", "serial": "2"},
        "created_at": "2",
    }
}

FATES: list[Any] = [
    pytest.param(data(), [target("b")], {}, ("b", IMAGE, ""), id="made from its image"),
    pytest.param(data(), [target("a", memory=2 * GIB), target("b")], {}, ("b", IMAGE, ""), id="spread"),
    pytest.param(data(), [target("a", memory=2 * GIB), target("b")], {"weight": "pack"}, ("a", IMAGE, ""), id="pack"),
    pytest.param(data(), [target("a", images={}), target("b")], {"weight": "pack"}, ("b", IMAGE, ""), id="has image"),
    pytest.param(data(), [target("b", images={})], {}, ("", "", f"goes nowhere: no image {IMAGE}"), id="no image"),
    pytest.param(
        data(config={"volatile.base_image": None}),
        [target("b")],
        {},
        ("", "", "no image (it was made from none)"),
        id="none",
    ),
    pytest.param(data(config=BUILDS), [target("b", images=NEWER)], {}, ("b", "e" * 64, ""), id="another build"),
    pytest.param(
        data(), [target("b", OTHER)], {}, ("b", IMAGE, "b has another instance of this name"), id="name taken"
    ),
    pytest.param(data(), [target("b", HERE)], {}, ("b", IMAGE, ""), id="there already"),
    pytest.param(data(), [target("b", MOVED)], {}, ("", "", ""), id="moved since"),
    pytest.param(data(), [target("b", COPY)], {}, ("", "", "a copy of it from a move that was cut short"), id="copy"),
    pytest.param(data(), [target("a", HERE), target("b", HERE)], {}, ("", "", "it is on a and b"), id="doubled"),
    pytest.param(
        data(), [target("b"), SILENT], {}, ("", "", "without tombstones that is not known"), id="may be there"
    ),
    pytest.param(data(), [target("b"), SILENT], {"begun": {}}, ("b", IMAGE, ""), id="first run"),
    pytest.param(
        data(), [target("b"), SILENT], {"begun": {"uuid-web1": "c"}}, ("", "", "begun with it on c"), id="begun, silent"
    ),
    pytest.param(
        data(), [target("b")], {"begun": {"uuid-web1": "c"}}, ("", "", "not among the targets"), id="forgotten"
    ),
    pytest.param(
        data(),
        [target("a", memory=2 * GIB), target("b")],
        {"begun": {"uuid-web1": "a"}},
        ("a", IMAGE, ""),
        id="where it was to go",
    ),
    pytest.param(
        data(config={"cloud-init.user-data": "x"}), [target("b")], {}, ("", "", "no cloud-init.user-data"), id="secret"
    ),
    pytest.param(
        data(config={"cloud-init.user-data": "x"}),
        [target("b")],
        {"declared": {("default", "web1"): Desired("web1", config={"cloud-init.user-data": None})}},
        ("b", IMAGE, ""),
        id="said to have none",
    ),
    pytest.param(data(devices=VOLUME), [target("b")], {}, ("", "", "drop_volumes: true"), id="volume"),
    pytest.param(data(devices=VOLUME), [target("b")], {"drop_volumes": True}, ("b", IMAGE, ""), id="volume dropped"),
    pytest.param(
        data(devices={"g": {"type": "gpu"}}), [target("b")], {}, ("", "", "host_devices: true"), id="device of the host"
    ),
    pytest.param(data(config={"volatile.uuid": None}), [target("b")], {}, ("", "", "no volatile.uuid"), id="no uuid"),
    pytest.param(
        data(config={"user.lxdops.migration": JOURNAL}),
        [target("b")],
        {},
        ("", "", "a move of it was under way"),
        id="move",
    ),
]


@pytest.mark.parametrize(("instance", "targets", "wishes", "expected"), FATES)
def test_where_an_instance_goes(
    instance: dict[str, Any], targets: list[Target], wishes: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    (fate,) = fates(record(instance), targets, Wishes(**wishes))
    host, image, problem = expected
    assert (fate.target, fate.image) == (host, image)
    assert problem in fate.problem
    assert bool(problem) == bool(fate.problem)
    assert (fate.elsewhere == "b") == (targets[0].instances == (MOVED,))


def test_instances_share_what_a_target_has() -> None:
    many = [data(f"i{number}") for number in range(4)]
    found = fates(record(*many), [target("a", memory=2 * GIB), target("b", memory=GIB)], Wishes())
    assert sorted(fate.target for fate in found) == ["", "a", "a", "b"]


def test_a_volume_goes_along_where_it_is_said_to_be_connected() -> None:
    device = {"type": "disk", "path": "/srv", "source": "/dev/there", "user.lxdops.volume": "vol1"}
    lost = record(data(devices={"v1": device}))
    (refused,) = fates(lost, [target("t1")], Wishes(host_devices=True))
    assert "volume vol1 (device v1) was connected to the dead host" in refused.problem
    for path, source in (("/dev/here", "/dev/here"), (None, "/dev/there")):
        (fate,) = fates(lost, [target("t1")], Wishes(volumes={"vol1": path}))
        assert (fate.problem, fate.target) == ("", "t1")
        assert fate.lost.data["devices"]["v1"]["source"] == source
    (bare,) = fates(lost, [target("t1")], Wishes(volumes={"vol1": "/dev/mapper/lxdops-v1"}))
    assert "encrypted on one of the hosts and not on the other" in bare.problem


def test_dropped_volumes_are_named_and_left_out() -> None:
    lost = lost_from(recorded(data(devices=VOLUME)), Wishes(drop_volumes=True))
    assert lost.data["devices"] == {}
    assert lost.dropped[1:] == ("volume v1 of pool fast (device v)",)


LOST = lost_from(recorded(data()), Wishes())
RESCUE = Rescue(LOST, DEAD, "b", IMAGE, "web1")
MADE = replace(RESCUE.result, boot="1970-01-01T00:00:00Z")
WHOLE = replace(MADE, config={**MADE.config, "volatile.apply_template": "create"})
RAN = replace(WHOLE, power="running", boot="2026")
CREATE = f"create container web1 on b from image {IMAGE[:12]}"
DONE = "web1 is evacuated to b"


@pytest.mark.parametrize(
    ("power", "current", "steps"),
    [
        ("running", Current("web1"), [CREATE, "start web1", DONE]),
        ("frozen", Current("web1"), [CREATE, "start web1", "freeze web1", DONE]),
        ("stopped", Current("web1"), [CREATE, DONE]),
        ("running", MADE, ["delete web1", CREATE, "start web1", DONE]),
        ("running", WHOLE, ["start web1", DONE]),
        ("running", RAN, [DONE]),
        ("running", replace(RAN, power="stopped", config={**WHOLE.config, EVACUATED: DEAD}), []),
    ],
)
def test_the_steps_that_are_left(power: str, current: Current, steps: list[str]) -> None:
    rescue = replace(RESCUE, lost=replace(LOST, power=power))
    found = plan(rescue, current)
    assert [step.text for step in found] == steps
    assert plan(rescue, predict(current, found)) == []


def test_the_image_says_what_is_its() -> None:
    assert RESCUE.result.config == {
        "volatile.uuid": "uuid-web1",
        "volatile.eth0.hwaddr": "00:16:3e:00:00:01",
        "limits.memory": "1GiB",
        EVACUATED: f"{DEAD} running",
    }


NEVER = data(status="Stopped", config={EVACUATED: f"{DEAD} running"}, last_used_at="1970-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("there", "silent", "begun", "expected"),
    [
        ({"b": [HERE]}, {}, {}, "stale"),
        ({"a": [], "b": [HERE]}, {}, {"uuid-web1": "a"}, "stale"),
        ({"b": [data(config={EVACUATED: f"{DEAD} running"})]}, {}, {}, "stale"),
        ({"b": [NEVER]}, {}, {}, "unfinished"),
        ({"b": []}, {}, {"uuid-web1": "b"}, "stays"),
        ({"b": [OTHER]}, {}, {}, "stays"),
        ({}, {"b": "no answer"}, {}, "stays"),
        ({}, {"b": "no answer"}, {"uuid-web1": "b"}, "it may have been evacuated to b: no answer"),
        ({}, {}, {"uuid-web1": "b"}, "not among the targets"),
        ({"b": [MOVED]}, {}, {}, "neither is touched"),
        ({"b": [data(config={EVACUATED: "another"})]}, {}, {}, "neither is touched"),
    ],
)
def test_what_becomes_of_an_instance_of_a_host_that_is_back(
    there: dict[str, Any], silent: dict[str, str], begun: dict[str, str], expected: str
) -> None:
    found = fate_of(data(), DEAD, there, silent, begun)
    told = found.problem or ("stale" if found.stale else "unfinished" if found.unfinished else "stays")
    assert expected in told


@pytest.mark.parametrize(
    ("held", "profiles", "starts", "autostart"),
    [
        ("true RUNNING", {}, True, "true"),
        (" RUNNING", {}, True, None),
        (" STOPPED", {}, False, None),
        (" ", {"boot.autostart": "true"}, True, None),
        (" RUNNING", {"boot.autostart": "false"}, False, None),
        ("false RUNNING", {"boot.autostart": "true"}, False, "false"),
    ],
)
def test_what_the_guard_held_is_as_before(
    held: str, profiles: dict[str, str], starts: bool, autostart: str | None
) -> None:
    config = {"user.lxdops.held": held, "boot.autostart": "false", "user.a": "1"}
    assert would_start(config, profiles) is starts
    assert freed(config) == {"user.a": "1", **({"boot.autostart": autostart} if autostart else {})}
