# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option of lxd_instance, one by one: told by check mode, applied, and then as declared."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.case import Case, Lane, prove
from integration.lab_host import LabHost

NAME = "opt"
TINY = {"alias": "tiny"}
FAST = {"root": {"type": "disk", "path": "/", "pool": "fast"}}
MOUNT = {"type": "disk", "source": "/var/lib", "path": "/mnt/lib"}
NETWORK = {"type": "nic", "network": "lab0", "name": "eth0"}
RUNNING = {"power": "running"}

CREATED = [
    Case(
        "a new one runs",
        None,
        {"source": TINY},
        {
            "status": "Running",
            "type": "container",
            "profiles": ["default"],
            "ephemeral": False,
            "description": "",
            "devices": {"eth0": None, "root": None},
            "config": {"image.os": "tiny", "image.release": "1", "volatile.last_state.power": "RUNNING"},
        },
        inside={"/etc/tiny-release": "1\n"},
    ),
    Case("type", None, {"source": TINY, "type": "container", "state": "present"}, {"type": "container"}),
    Case(
        "state present leaves it stopped",
        None,
        {"source": TINY, "state": "present"},
        {"status": "Stopped", "config": {"volatile.last_state.power": None}},
    ),
    Case(
        "description",
        None,
        {"source": TINY, "state": "present", "description": "a web server"},
        {"description": "a web server"},
    ),
    Case(
        "source none",
        None,
        {"source": {"type": "none"}, "state": "present"},
        {"config": {"image.os": None, "volatile.base_image": None}},
    ),
    Case(
        "config",
        None,
        {
            "source": TINY,
            "config": {"limits.cpu": 1, "limits.memory": "128MiB", "boot.autostart": False, "user.role": "web"},
        },
        {"config": {"limits.cpu": "1", "limits.memory": "128MiB", "boot.autostart": "false", "user.role": "web"}},
    ),
    Case(
        "devices",
        None,
        {"source": TINY, "devices": {"lib": MOUNT | {"readonly": True}}},
        {"devices": {"lib": MOUNT | {"readonly": "true"}, "eth0": None}},
    ),
    Case(
        "devices mask one of a profile",
        None,
        {"source": TINY, "devices": {"eth0": None}},
        {"devices": {"eth0": {"type": "none"}}, "expanded_devices": {"eth0": {"type": "none"}}},
    ),
    Case(
        "root",
        None,
        {"source": TINY, "root": {"pool": "fast", "size": "500MiB", "read": "30MiB", "write": "20MiB"}},
        {"devices": {"root": FAST["root"] | {"size": "500MiB", "limits.read": "30MiB", "limits.write": "20MiB"}}},
    ),
    Case(
        "root.max",
        None,
        {"source": TINY, "root": {"pool": "fast", "max": "10MiB"}},
        {"devices": {"root": {"limits.max": "10MiB"}}},
    ),
    Case(
        "cloud_init as dictionaries",
        None,
        {
            "source": TINY,
            "state": "present",
            "cloud_init": {
                "user_data": {"packages": ["nginx"]},
                "vendor_data": {"locale": "C"},
                "network_config": {"version": 2},
            },
        },
        {
            "config": {
                "cloud-init.user-data": '#cloud-config\n{\n "packages": [\n  "nginx"\n ]\n}\n',
                "cloud-init.vendor-data": '#cloud-config\n{\n "locale": "C"\n}\n',
                "cloud-init.network-config": '{\n "version": 2\n}\n',
            }
        },
    ),
    Case(
        "profiles",
        None,
        {"source": TINY, "profiles": ["default", "extra"]},
        {"profiles": ["default", "extra"], "config": {"user.extra": None}, "expanded_config": {"user.extra": "yes"}},
    ),
    Case(
        "no profiles",
        None,
        {"source": TINY, "profiles": [], "root": {"pool": "default"}},
        {"profiles": [], "expanded_devices": {"eth0": None}},
    ),
    Case("ephemeral", None, {"source": TINY, "ephemeral": True}, {"ephemeral": True, "status": "Running"}),
]

CHANGED = [
    Case(
        "description",
        {"description": "old"},
        {"state": "present", "description": "new"},
        {"description": "new", "status": "Stopped"},
    ),
    Case("description emptied", {"description": "old"}, {"state": "present", "description": ""}, {"description": ""}),
    Case(
        "config while it runs",
        RUNNING | {"config": {"limits.memory": "128MiB", "user.kept": "1"}},
        {"config": {"limits.memory": "64MiB", "limits.cpu": 1}},
        {"config": {"limits.memory": "64MiB", "limits.cpu": "1", "user.kept": "1"}, "status": "Running"},
        impact={"config.limits.memory": "live", "config.limits.cpu": "live"},
    ),
    Case(
        "config null and empty remove",
        {"config": {"user.a": "1", "user.b": "2", "user.c": "3"}},
        {"state": "present", "config": {"user.a": None, "user.b": ""}},
        {"config": {"user.a": None, "user.b": None, "user.c": "3"}},
        impact={"config.user.a": "stopped", "config.user.b": "stopped"},
    ),
    Case(
        "purge_config",
        {"config": {"user.a": "1", "limits.cpu": "2", "cloud-init.user-data": "x"}},
        {"state": "present", "purge_config": True, "config": {"user.a": 1}, "cloud_init": {"vendor_data": "y"}},
        {
            "config": {
                "user.a": "1",
                "limits.cpu": None,
                "cloud-init.user-data": None,
                "cloud-init.vendor-data": "y",
                "image.os": "tiny",
            }
        },
    ),
    Case(
        "devices: another one, while it runs",
        RUNNING,
        {"devices": {"lib": MOUNT}},
        {"devices": {"lib": MOUNT, "eth0": None}},
        impact={"devices.lib.path": "live", "devices.lib.source": "live", "devices.lib.type": "live"},
    ),
    Case(
        "devices: options are merged, null removes",
        {"devices": {"lib": MOUNT | {"readonly": "true", "required": "false"}}},
        {"state": "present", "devices": {"lib": {"path": "/mnt/other", "readonly": None}}},
        {
            "devices": {
                "lib": {
                    "type": "disk",
                    "source": "/var/lib",
                    "path": "/mnt/other",
                    "required": "false",
                    "readonly": None,
                }
            }
        },
    ),
    Case(
        "devices null removes",
        RUNNING | {"devices": {"lib": MOUNT, "kept": MOUNT | {"path": "/mnt/kept"}}},
        {"devices": {"lib": None}},
        {"devices": {"lib": None, "kept": MOUNT | {"path": "/mnt/kept"}}},
    ),
    Case(
        "devices override one of a profile",
        {},
        {"state": "present", "devices": {"eth0": {"limits.ingress": "10Mbit"}}},
        {"devices": {"eth0": NETWORK | {"limits.ingress": "10Mbit"}}},
    ),
    Case(
        "devices mask one of a profile, while it runs",
        RUNNING,
        {"devices": {"eth0": None}},
        {"devices": {"eth0": {"type": "none"}}, "status": "Running"},
    ),
    Case(
        "purge_devices keeps the root disk",
        {"devices": FAST | {"lib": MOUNT, "eth0": NETWORK | {"limits.ingress": "10Mbit"}}},
        {"state": "present", "purge_devices": True, "devices": {"new": MOUNT}},
        {
            "devices": {"root": FAST["root"], "lib": None, "new": MOUNT, "eth0": None},
            "expanded_devices": {"eth0": NETWORK},
        },
    ),
    Case(
        "root.size grows while it runs",
        RUNNING | {"devices": {"root": FAST["root"] | {"size": "500MiB"}}},
        {"root": {"size": "600MiB"}},
        {"devices": {"root": FAST["root"] | {"size": "600MiB"}}, "status": "Running"},
        impact={"devices.root.size": "live"},
    ),
    Case(
        "root limits while it runs",
        RUNNING | {"devices": FAST},
        {"root": {"read": "10MiB", "write": "500iops"}},
        {"devices": {"root": FAST["root"] | {"limits.read": "10MiB", "limits.write": "500iops"}}},
    ),
    Case(
        "root of a profile is overridden",
        {},
        {"state": "present", "root": {"boot_priority": 1, "read": "10MiB"}},
        {
            "devices": {
                "root": {"type": "disk", "path": "/", "pool": "default", "boot.priority": "1", "limits.read": "10MiB"}
            }
        },
    ),
    Case(
        "root.size_state",
        {"devices": FAST},
        {"state": "present", "root": {"size_state": "64MiB"}},
        {"devices": {"root": {"size.state": "64MiB"}}},
    ),
    Case(
        "cloud_init as text",
        {"config": {"cloud-init.user-data": "#cloud-config\n{}\n"}},
        {"state": "present", "cloud_init": {"user_data": "#!/bin/sh\ntrue\n", "network_config": "version: 2\n"}},
        {"config": {"cloud-init.user-data": "#!/bin/sh\ntrue\n", "cloud-init.network-config": "version: 2\n"}},
    ),
    Case(
        "profiles while it runs",
        RUNNING | {"profiles": ["default", "extra"], "config": {"user.own": "1"}},
        {"profiles": ["default"]},
        {"profiles": ["default"], "expanded_config": {"user.extra": None, "user.own": "1"}},
    ),
    Case(
        "ephemeral no more",
        RUNNING | {"ephemeral": True},
        {"ephemeral": False},
        {"ephemeral": False, "status": "Running"},
    ),
    Case(
        "everything at once",
        RUNNING | {"config": {"user.a": "1"}},
        {
            "description": "d",
            "config": {"user.a": None, "user.b": 2},
            "devices": {"lib": MOUNT},
            "profiles": ["default", "extra"],
            "state": "frozen",
        },
        {
            "description": "d",
            "config": {"user.a": None, "user.b": "2"},
            "profiles": ["default", "extra"],
            "status": "Frozen",
            "devices": {"lib": MOUNT},
        },
    ),
]


def ids(case: Case) -> str:
    return case.id


@pytest.fixture(scope="module")
def lane(lxd: LabHost) -> Lane:
    """LXD by its socket: test_instance_lanes.py has the other ways."""
    return Lane(lxd, lxd.unix)


@pytest.fixture(autouse=True, scope="module")
def _profile(lane: Lane) -> Iterator[None]:
    """A second profile."""
    lane.host.call("POST", "profiles", {"name": "extra", "config": {"user.extra": "yes"}, "devices": {}})
    yield
    lane.host.call("DELETE", "profiles/extra")


@pytest.fixture(autouse=True, scope="module")
def _cleaned(lane: Lane) -> Iterator[None]:
    yield
    lane.host.remove(NAME)


@pytest.fixture
def _new(lane: Lane) -> None:
    """No instance is left from before."""
    lane.host.remove(NAME)


@pytest.mark.thorough
@pytest.mark.usefixtures("_new")
@pytest.mark.parametrize("case", CREATED, ids=ids)
def test_create(lane: Lane, case: Case) -> None:
    prove(lane, NAME, case.task, case.shows)
    for path, text in case.inside.items():
        assert lane.host.read(NAME, path) == text


@pytest.mark.thorough
@pytest.mark.parametrize("case", CHANGED, ids=ids)
def test_change(lane: Lane, case: Case) -> None:
    lane.host.given(NAME, **(case.before or {}))
    result = prove(lane, NAME, case.task, case.shows)
    if case.impact is not None:
        assert result["impact"] == case.impact


@pytest.mark.usefixtures("_new")
@pytest.mark.parametrize("length", [64, 12], ids=["whole", "beginning"])
def test_create_from_a_fingerprint(lane: Lane, length: int) -> None:
    fingerprint = lane.host.query("images/aliases/tiny2")["target"]
    source = {"fingerprint": fingerprint[:length]}
    shows = {"config": {"volatile.base_image": fingerprint, "image.release": "2"}}
    prove(lane, NAME, {"source": source, "state": "present"}, shows)


@pytest.fixture
def origin(lane: Lane) -> Iterator[LabHost]:
    """The host, with an instance to copy and a snapshot of how it was before."""
    host = lane.host
    host.make("origin", config={"user.a": "1", "user.b": "2"}, description="the origin")
    host.write("origin", "/note", "then\n")
    host.call("POST", "instances/origin/snapshots", {"name": "s0"})
    host.write("origin", "/note", "now\n")
    yield host
    host.remove("origin")


@pytest.mark.usefixtures("_new")
@pytest.mark.parametrize(
    ("source", "note", "snapshots"),
    [
        pytest.param({"instance": "origin"}, "now\n", ["s0"], id="instance"),
        pytest.param(
            {"instance": "origin", "instance_only": True},
            "now\n",
            [],
            id="instance without snapshots",
            marks=pytest.mark.thorough,
        ),
        pytest.param({"instance": "origin", "snapshot": "s0"}, "then\n", [], id="snapshot"),
    ],
)
def test_create_a_copy(lane: Lane, origin: LabHost, source: dict[str, Any], note: str, snapshots: list[str]) -> None:
    params = {"source": {"type": "copy"} | source, "state": "stopped", "config": {"user.b": None, "user.c": 3}}
    # A copy takes what its origin has, and what the task names is laid over it.
    shows = {"status": "Stopped", "config": {"user.a": "1", "user.b": None, "user.c": "3", "image.os": "tiny"}}
    prove(lane, NAME, params, shows)
    assert origin.client("file", "pull", f"{NAME}/note", "-") == note
    found = origin.query(f"instances/{NAME}/snapshots")
    assert [url.rsplit("/", 1)[1] for url in found] == snapshots


@pytest.mark.usefixtures("_new")
def test_config_drive_is_read_in_the_guest(lane: Lane, tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    drive.mkdir(mode=0o755)
    drive.joinpath("meta_data.json").write_text('{"uuid": "1"}')
    device = {"type": "disk", "source": str(drive), "path": "/config-drive", "readonly": "true"}
    prove(lane, NAME, {"source": TINY, "config_drive": {"source": str(drive)}}, {"devices": {"config-drive": device}})
    assert lane.host.read(NAME, "/config-drive/meta_data.json") == '{"uuid": "1"}'
    assert "Read-only file system" in lane.host.shell(NAME, "touch /config-drive/x")
    moved = {"config_drive": {"source": str(drive), "path": "/drive"}}
    prove(lane, NAME, moved, {"devices": {"config-drive": device | {"path": "/drive"}}})
    assert lane.host.read(NAME, "/drive/meta_data.json") == '{"uuid": "1"}'


def test_config_drive_shifts_owners(lane: Lane, tmp_path: Path) -> None:
    """Only declared, not started: a kernel may be unable to shift this file system."""
    lane.host.given(NAME)
    params = {"state": "present", "config_drive": {"source": str(tmp_path), "shift": True}}
    prove(lane, NAME, params, {"devices": {"config-drive": {"shift": "true"}}})


@pytest.mark.parametrize(
    ("before", "declared"),
    [
        pytest.param({"config": {"limits.memory": "1GiB"}}, {"config": {"limits.memory": "1024MiB"}}, id="size"),
        pytest.param({"config": {"limits.cpu": "2"}}, {"config": {"limits.cpu": 2}}, id="number"),
        pytest.param({"config": {"boot.autostart": "1"}}, {"config": {"boot.autostart": True}}, id="boolean"),
        pytest.param(
            {"devices": {"root": FAST["root"] | {"size": "1GiB"}}}, {"root": {"size": "1024MiB"}}, id="root size"
        ),
        pytest.param(
            {}, {"devices": {"eth0": {"network": "lab0"}}, "root": {"pool": "default"}}, id="as the profile has it"
        ),
        pytest.param({}, {"config": {"user.none": None}, "devices": {"none": None}}, id="nothing to remove"),
        pytest.param({"profiles": ["default"]}, {"profiles": ["default"], "ephemeral": False}, id="profiles"),
    ],
)
def test_the_same_in_other_words_is_no_change(lane: Lane, before: dict[str, Any], declared: dict[str, Any]) -> None:
    lane.host.given(NAME, **before)
    found = lane.host.instance(NAME)
    result = lane.done(name=NAME, state="present", **declared)
    assert (result["changed"], result["steps"]) == (False, [])
    assert lane.host.instance(NAME) == found


def test_what_a_task_does_not_name_stays(lane: Lane) -> None:
    lane.host.given(
        NAME,
        description="mine",
        config={"limits.cpu": "1", "user.a": "b", "cloud-init.user-data": "#!/bin/sh\n"},
        devices={"root": FAST["root"] | {"size": "500MiB"}, "lib": MOUNT},
        profiles=["default", "extra"],
    )
    before = lane.host.instance(NAME)
    assert before is not None
    lane.done(name=NAME, state="present", config={"user.new": "1"})
    after = lane.host.instance(NAME)
    assert after is not None
    assert after["config"].pop("user.new") == "1"
    assert after["expanded_config"].pop("user.new") == "1"
    assert after == before


def cgroup_file(host: LabHost, *names: str) -> str:
    """What one of the instance's control group files holds: of the old separate hierarchies, or of the unified one."""
    group = f"lxdops-lab-{host.lab}/host{host.number}/lxc.payload.{NAME}"
    found = [path for name in names for path in Path("/sys/fs/cgroup").glob(f"**/{group}/{name}")]
    assert found, f"none of {names} in control group {group}"
    return found[0].read_text()


@pytest.mark.usefixtures("_new")
def test_the_kernel_enforces_the_limits(lane: Lane) -> None:
    limits = {"config": {"limits.memory": "96MiB"}, "root": {"pool": "fast", "read": "30MiB", "size": "500MiB"}}
    lane.done(name=NAME, source=TINY, **limits)
    assert int(cgroup_file(lane.host, "memory.limit_in_bytes", "memory.max")) == 96 * 2**20
    assert str(30 * 2**20) in cgroup_file(lane.host, "blkio.throttle.read_bps_device", "io.max")
    assert "quota" in lane.host.shell(NAME, "dd if=/dev/zero of=/big bs=1M count=600; rm /big").lower()


def test_projects_are_apart(lane: Lane) -> None:
    host = lane.host
    host.call("POST", "projects", {"name": "own", "config": {"features.images": "false", "features.profiles": "false"}})
    try:
        host.given(NAME, description="of the default project")
        before = host.everything()
        lane.done(name=NAME, project="own", source=TINY, state="present", description="of its own")
        assert host.query(f"instances/{NAME}?project=own")["description"] == "of its own"
        assert host.everything() == before
        lane.done(name=NAME, project="own", state="absent")
        assert host.instances("own") == []
        assert host.everything() == before
    finally:
        if NAME in host.instances("own"):
            host.call("DELETE", f"instances/{NAME}?project=own")
        host.call("DELETE", "projects/own")
