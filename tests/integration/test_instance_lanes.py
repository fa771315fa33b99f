# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option of lxd_instance, many in one task, on every product by every way: test_instance_options.py has them one
by one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.case import Lane, prove
from integration.conftest import lane_of

NAME = "all"
TINY = {"alias": "tiny"}
MOUNT = {"type": "disk", "source": "/var/lib", "path": "/mnt/lib"}
ROOT = {"type": "disk", "path": "/", "pool": "fast"}
NETWORK = {"type": "nic", "network": "lab0", "name": "eth0"}


@pytest.fixture(
    scope="module",
    params=[
        "lxd-unix",
        "incus-https",
        *(pytest.param(lane, marks=pytest.mark.thorough) for lane in ("lxd-https", "incus-unix")),
    ],
)
def lane(request: pytest.FixtureRequest) -> Lane:
    """Every product by every way."""
    return lane_of(request)


@pytest.fixture(autouse=True, scope="module")
def _profile(lane: Lane) -> Iterator[None]:
    """A second profile."""
    lane.host.call("POST", "profiles", {"name": "extra", "config": {"user.extra": "yes"}, "devices": {}})
    yield
    lane.host.call("DELETE", "profiles/extra")


@pytest.fixture(autouse=True)
def _cleaned(lane: Lane) -> Iterator[None]:
    yield
    lane.host.remove(NAME)


def test_created_with_every_option(lane: Lane, tmp_path: Path) -> None:
    tmp_path.joinpath("meta_data.json").write_text('{"uuid": "1"}')
    tmp_path.chmod(0o755)
    params = {
        "source": TINY,
        "type": "container",
        "description": "a web server",
        "ephemeral": True,
        "profiles": ["default", "extra"],
        "config": {"limits.cpu": 1, "limits.memory": "128MiB", "boot.autostart": False, "user.role": "web"},
        "devices": {"lib": MOUNT | {"readonly": True}, "eth0": {"limits.ingress": "10Mbit"}},
        "root": {"pool": "fast", "size": "500MiB", "boot_priority": 1, "read": "30MiB", "write": "500iops"},
        "cloud_init": {"user_data": {"packages": []}, "vendor_data": "#!/bin/sh\n", "network_config": {"version": 2}},
        "config_drive": {"source": str(tmp_path), "path": "/drive"},
        "wait_for": ["running", "ipv4@eth0"],
    }
    shows = {
        "status": "Running",
        "type": "container",
        "description": "a web server",
        "ephemeral": True,
        "profiles": ["default", "extra"],
        "config": {
            "limits.cpu": "1",
            "limits.memory": "128MiB",
            "boot.autostart": "false",
            "user.role": "web",
            "cloud-init.user-data": '#cloud-config\n{\n "packages": []\n}\n',
            "cloud-init.vendor-data": "#!/bin/sh\n",
            "cloud-init.network-config": '{\n "version": 2\n}\n',
            "volatile.last_state.power": "RUNNING",
        },
        "expanded_config": {"user.extra": "yes"},
        "devices": {
            "lib": MOUNT | {"readonly": "true"},
            "eth0": NETWORK | {"limits.ingress": "10Mbit"},
            "root": ROOT | {"size": "500MiB", "boot.priority": "1", "limits.read": "30MiB", "limits.write": "500iops"},
            "config-drive": {"type": "disk", "source": str(tmp_path), "path": "/drive", "readonly": "true"},
        },
    }
    prove(lane, NAME, params, shows)
    assert lane.host.read(NAME, "/drive/meta_data.json") == '{"uuid": "1"}'


def test_a_stopped_one_changed_in_every_option(lane: Lane) -> None:
    lane.host.make(
        NAME,
        description="old",
        ephemeral=True,
        config={"user.a": "1", "user.kept": "1", "cloud-init.user-data": "#cloud-config\n{}\n"},
        devices={
            "root": ROOT | {"size": "500MiB"},
            "lib": MOUNT | {"readonly": "true"},
            "gone": MOUNT | {"path": "/x"},
        },
    )
    params = {
        "state": "present",
        "description": "new",
        "ephemeral": False,
        "profiles": ["extra", "default"],
        "config": {"user.a": None, "user.b": 2, "security.nesting": True},
        "devices": {"lib": {"path": "/mnt/other", "readonly": None}, "gone": None, "eth0": None},
        "root": {"size": "600MiB", "size_state": "64MiB", "max": "10MiB"},
        "cloud_init": {"user_data": "#!/bin/sh\ntrue\n"},
        "purge_config": True,
        "purge_devices": True,
    }
    shows = {
        "status": "Stopped",
        "description": "new",
        "ephemeral": False,
        "profiles": ["extra", "default"],
        "config": {
            "user.a": None,
            "user.b": "2",
            "user.kept": None,
            "security.nesting": "true",
            "cloud-init.user-data": "#!/bin/sh\ntrue\n",
            "image.os": "tiny",
        },
        "devices": {
            "root": ROOT | {"size": "600MiB", "size.state": "64MiB", "limits.max": "10MiB"},
            "lib": MOUNT | {"path": "/mnt/other", "readonly": None},
            "gone": None,
            "eth0": {"type": "none"},
        },
    }
    result = prove(lane, NAME, params, shows)
    assert set(result["impact"].values()) == {"stopped"}


def test_a_running_one_changed_live_and_by_a_restart(lane: Lane) -> None:
    lane.host.make(
        NAME, power="running", config={"user.a": "1"}, devices={"root": ROOT | {"size": "500MiB"}, "gone": MOUNT}
    )
    params = {
        "description": "new",
        "profiles": ["default", "extra"],
        "config": {"user.a": None, "limits.memory": "96MiB", "linux.sysctl.net.ipv4.ip_forward": 1},
        "devices": {"gone": None, "lib": MOUNT},
        "root": {"size": "600MiB", "read": "10MiB"},
        "apply": "restart",
        "force": True,
        "stop_timeout": 5,
        "wait_timeout": 100,
    }
    shows = {
        "status": "Running",
        "description": "new",
        "profiles": ["default", "extra"],
        "config": {"user.a": None, "limits.memory": "96MiB", "linux.sysctl.net.ipv4.ip_forward": "1"},
        "devices": {"gone": None, "lib": MOUNT, "root": ROOT | {"size": "600MiB", "limits.read": "10MiB"}},
    }
    result = prove(lane, NAME, params, shows)
    assert result["steps"][1:] == [f"kill {NAME}", f"start {NAME}"]
    assert result["impact"].pop("config.linux.sysctl.net.ipv4.ip_forward") == "restart"
    assert set(result["impact"].values()) == {"live"}
    assert lane.host.read(NAME, "/proc/sys/net/ipv4/ip_forward") == "1\n"


@pytest.mark.thorough
def test_created_from_a_fingerprint_and_copied_from_a_snapshot(lane: Lane) -> None:
    fingerprint = lane.host.query("images/aliases/tiny2")["target"]
    made = {"config": {"volatile.base_image": fingerprint, "image.release": "2"}, "status": "Stopped"}
    prove(lane, NAME, {"source": {"fingerprint": fingerprint[:12]}, "state": "present"}, made)
    lane.host.call("POST", f"instances/{NAME}/snapshots", {"name": "s0"})
    try:
        copied = {"source": {"type": "copy", "instance": NAME, "snapshot": "s0"}, "state": "stopped"}
        prove(lane, "copy", copied, made)
    finally:
        lane.host.remove("copy")


@pytest.mark.thorough
def test_created_of_nothing_with_a_root(lane: Lane) -> None:
    params = {"source": {"type": "none"}, "profiles": [], "root": {"pool": "default"}, "state": "present"}
    root = {"type": "disk", "path": "/", "pool": "default"}
    shows = {"status": "Stopped", "profiles": [], "devices": {"root": root}, "config": {"image.os": None}}
    prove(lane, NAME, params, shows)
