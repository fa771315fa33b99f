# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes: what a task does to an instance and its host, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.block import Disk
from ansible_collections.lxdops.compute.plugins.module_utils.errors import Refused
from ansible_collections.lxdops.compute.plugins.module_utils.instance import Current, Server
from ansible_collections.lxdops.compute.plugins.module_utils.steps import predict
from ansible_collections.lxdops.compute.plugins.module_utils.volume import (
    Attachment,
    User,
    Volume,
    device_of,
    is_lasting,
    leads_to_same,
    users_of,
    view,
)
from ansible_collections.lxdops.compute.plugins.module_utils.volume_boot import held_by
from ansible_collections.lxdops.compute.plugins.module_utils.volume_devices import (
    VOLUME,
    connected,
    released,
    volumes_of,
    with_released,
)
from ansible_collections.lxdops.compute.plugins.module_utils.volume_limits import throttles
from ansible_collections.lxdops.compute.plugins.module_utils.volume_orphans import Reconcile, Volumes
from ansible_collections.lxdops.compute.plugins.module_utils.volume_orphans import plan as reconcile
from ansible_collections.lxdops.compute.plugins.module_utils.volume_params import public, volume_from
from ansible_collections.lxdops.compute.plugins.module_utils.volume_plan import plan, report, root_of
from ansible_collections.lxdops.compute.plugins.module_utils.volume_record import Record
from ansible_collections.lxdops.compute.plugins.module_utils.volume_secrets import hide, secrets, without_secrets
from unit.instances import absent, existing, virtual_machine

ISCSI = {
    "driver_volume_type": "iscsi",
    "data": {"target_lun": 0, "target_portal": "10.0.0.1:3260", "auth_username": "u", "auth_password": "hush"},
}
KEPT = {
    "driver_volume_type": "iscsi",
    "data": {"target_lun": 0, "target_portal": "10.0.0.1:3260", "auth_username": "u"},
    "use_multipath": False,
}
SPOKEN = {"swap_pause": 60, "use_multipath": False, "mode": "block", "format": False, "shift": False, "readonly": False}
DEFAULTS = {"instance": "web1", "volume": "vol1", "state": "attached", "connection": ISCSI, **SPOKEN}
DEVICE = Volume("", "vol1").device
HERE, THERE = "daemon1", "daemon2"
MINE, OTHERS = User("default", "web1", DEVICE), User("default", "web2", DEVICE)
RECORD = Record("vol1", DEVICE, HERE, KEPT, {"path": "/dev/sda"}, "/dev/sda")
DISK = Disk("/dev/sda", "8:0", 1 << 30)
FILESYSTEM = {"mode": "filesystem", "path": "/srv", "fstype": "ext4"}


def task(**params: Any) -> Volume:
    """A task for vol1 of web1."""
    return volume_from({**DEFAULTS, "shared": False, "force": False, **params})


def found(
    instance: Current | None = None, plugged: Volume | None = None, users: tuple[User, ...] = (), **parts: Any
) -> Attachment:
    """web1 on its host; `plugged`: it has the volume, as a task declared it."""
    current = existing() if instance is None else instance
    if plugged is not None:
        device = device_of(plugged, current.type, "/dev/sda")
        current = replace(current, devices={**current.devices, DEVICE: device})
        users, parts = (MINE, *users), {"record": RECORD, "disk": DISK, **parts}
    return Attachment(current, users=users, server=HERE, **parts)


STOPPED = existing("stopped")
LIMITS, SAME = {"read": "10MiB", "write": "500iops"}, {"read": str(10 << 20), "write": "500iops"}


def incus_machine() -> Current:
    """A virtual machine of Incus."""
    return replace(virtual_machine(), server=Server(product="incus"))


BLOCK = "attach volume vol1 to web1 as a block device"
GOES = "disconnect volume vol1, which web1 leaves behind"
AWAITING = replace(RECORD, awaits="web1")
RELEASED_ONE = existing("stopped", config={"user.lxdops.released": DEVICE})
SENTENCES: list[tuple[Volume, Attachment, list[str]]] = [
    (task(), found(), [BLOCK]),
    (task(path="/dev/x"), found(), [f"{BLOCK} on /dev/x"]),
    (task(), found(virtual_machine()), [BLOCK]),
    (task(), found(plugged=task()), []),
    (
        task(**FILESYSTEM, format=True),
        found(),
        ["attach volume vol1 to web1 as a filesystem on /srv, formatted as ext4 if it is blank"],
    ),
    (task(**FILESYSTEM), found(plugged=task(**FILESYSTEM)), []),
    # What runs that were killed leave.
    (task(), found(record=replace(RECORD, path="", found={})), [BLOCK]),
    (task(), found(record=RECORD, disk=DISK), [BLOCK]),
    (task(state="detached"), found(record=RECORD, disk=DISK), ["disconnect volume vol1"]),
    (task(state="detached"), found(record=replace(RECORD, path="")), ["disconnect volume vol1"]),
    # A record that was lost.
    (task(), found(plugged=task(), record=None), ["connect volume vol1 of web1 again"]),
    # After a reboot of the host.
    (task(), found(plugged=task(), disk=None), ["connect volume vol1 of web1 again"]),
    (task(state="detached"), found(), []),
    (task(state="detached"), found(absent()), []),
    (task(state="detached"), found(absent(), record=RECORD, disk=DISK), ["disconnect volume vol1"]),
    (task(state="detached"), found(plugged=task()), ["detach volume vol1 from web1", "disconnect volume vol1"]),
    (task(state="detached"), found(plugged=task(), users=(OTHERS,)), ["detach volume vol1 from web1"]),
    (task(state="detached"), found(users=(OTHERS,), record=RECORD, disk=DISK), []),
    (
        task(state="detached", force=True),
        found(plugged=task(), busy=("process 1 (x) uses it",)),
        ["detach volume vol1 from web1", "disconnect volume vol1"],
    ),
    (task(shared=True), found(users=(OTHERS,), record=RECORD, disk=DISK), [BLOCK]),
    (task(size="1GiB"), found(plugged=task()), []),
    (task(size="512MiB"), found(plugged=task()), []),
    (task(size="2GiB"), found(plugged=task()), ["extend volume vol1 to 2147483648 bytes or more"]),
    (
        task(size="1GiB", **FILESYSTEM),
        found(STOPPED, plugged=task(**FILESYSTEM), filesystem=1 << 29),
        ["extend volume vol1 to 1073741824 bytes or more"],
    ),
    (task(size="1GiB", **FILESYSTEM), found(STOPPED, plugged=task(**FILESYSTEM), filesystem=1 << 30), []),
    # The host's half alone: for an instance that is to come,
    (task(state="connected"), found(absent()), ["connect volume vol1 for web1"]),
    (task(state="connected"), found(absent(), record=AWAITING, disk=DISK), []),
    (task(state="connected"), found(absent(), record=AWAITING), ["connect volume vol1 for web1"]),
    (
        task(state="connected"),
        found(absent(), record=RECORD, disk=DISK),
        ["note that volume vol1 is connected for web1"],
    ),
    # that has come, under the path of another host or this one,
    (
        task(state="connected"),
        found(STOPPED, plugged=task(), record=AWAITING),
        ["note that volume vol1 is connected for web1"],
    ),
    (task(state="connected"), found(plugged=task()), []),
    (
        task(state="connected"),
        found(STOPPED, plugged=task(), record=replace(RECORD, path="/dev/sdz"), disk=Disk("/dev/sdz", "8:9", 1 << 30)),
        ["note that volume vol1 is connected for web1"],
    ),
    (task(state="connected"), found(plugged=task(), disk=None), ["connect volume vol1 for web1"]),
    (task(state="connected"), found(RELEASED_ONE, plugged=task(), record=None), ["connect volume vol1 for web1"]),
    # and that is about to go.
    (
        task(state="disconnected"),
        found(STOPPED, plugged=task()),
        ["disconnect volume vol1, which web1 leaves behind"],
    ),
    (
        task(state="disconnected"),
        found(STOPPED, plugged=task(), users=(OTHERS,)),
        ["let go of volume vol1, which web1 leaves behind"],
    ),
    (
        task(state="disconnected"),
        found(STOPPED, plugged=task(), record=None, disk=None),
        ["let go of volume vol1, which web1 leaves behind"],
    ),
    (task(state="disconnected"), found(RELEASED_ONE, plugged=task(), record=None, disk=None), []),
    (task(state="disconnected"), found(absent(), record=AWAITING, disk=DISK), [GOES]),
    (task(state="disconnected"), found(absent()), []),
    # Its path is what it is, where the task does not say.
    (task(), found(plugged=task(path="/dev/x")), []),
    (task(**FILESYSTEM, limits=LIMITS), found(plugged=task(**FILESYSTEM, limits=SAME)), []),
    (task(**FILESYSTEM), found(plugged=task(**FILESYSTEM, limits=LIMITS)), []),
    (
        task(**FILESYSTEM, limits={"read": None, "write": "5MiB"}),
        found(STOPPED, plugged=task(**FILESYSTEM, limits=LIMITS)),
        ["limit volume vol1 of web1: limits.read (none), limits.write 5MiB"],
    ),
    (
        task(limits={"max": "5MiB"}),
        found(incus_machine(), plugged=task()),
        ["limit volume vol1 of web1: limits.max 5MiB"],
    ),
    (
        task(state="detached"),
        found(plugged=task(**FILESYSTEM, limits=LIMITS)),
        ["detach volume vol1 from web1", "take the limits of block device 8:0 off web1", "disconnect volume vol1"],
    ),
    (task(boot_priority=10), found(virtual_machine()), [BLOCK]),
    (task(boot_priority=10), found(virtual_machine(), plugged=task(boot_priority=10)), []),
    (task(), found(virtual_machine(), plugged=task(boot_priority=10)), []),
]


@pytest.mark.parametrize(("wanted", "current", "sentences"), SENTENCES)
def test_what_is_done(wanted: Volume, current: Attachment, sentences: list[str]) -> None:
    assert [step.text for step in plan(wanted, current)] == sentences


USED = ("process 7 (postgres) uses it",)
REFUSED: list[tuple[Volume, Attachment, str]] = [
    (task(), found(absent()), "there is no such instance"),
    (task(), found(existing("suspended")), "it is suspended"),
    (task(), found(users=(OTHERS,)), "it is attached to web2; .*Say shared: true"),
    (task(), found(users=(replace(MINE, project="red"),)), "it is attached to web1 of project red"),
    (task(path="/dev/x"), found(plugged=task(path="/dev/y")), "path: it is attached as .* with path /dev/y"),
    (task(tag="red"), found(plugged=task()), "tag: it is attached as .* with user.tag \\(none\\), the task says red"),
    (task(**FILESYSTEM), found(plugged=task()), "mode: it is attached|path: it is attached"),
    (
        task(path="/./srv", mode="filesystem"),
        found(existing(devices={"d": {"type": "disk", "path": "/srv/", "source": "/x"}})),
        "path: the device d has /./srv already",
    ),
    (task(**FILESYSTEM), found(virtual_machine()), "mode: the guest of a virtual machine sees a disk"),
    (task(path="/dev/x"), found(virtual_machine()), "path: the guest of a virtual machine"),
    (task(readonly=True), found(), "readonly: a container can always write"),
    (
        task(connection={**ISCSI, "data": {"target_lun": 7}}),
        found(record=RECORD, disk=DISK),
        "it is connected by another connection than this one",
    ),
    (task(state="connected"), found(absent(), users=(OTHERS,)), "it is attached to web2; say shared: true"),
    (
        task(state="connected", connection={**ISCSI, "data": {"target_lun": 7}}),
        found(absent(), record=RECORD, disk=DISK),
        "it is connected by another connection than this one",
    ),
    (task(state="disconnected"), found(plugged=task()), "is running; allowed is stopped"),
    *(
        (task(state=state), found(record=replace(RECORD, cinder="cloud")), "cinder: it is connected by cloud")
        for state in ("connected", "disconnected")
    ),
    (task(state="detached"), found(plugged=task(), busy=USED), "it is in use, and stays attached: process 7"),
    (task(), found(record=replace(RECORD, server=THERE)), "it is connected on this host for another daemon"),
    (
        task(),
        found(replace(existing(), location="m2"), member="m1"),
        "it is on the cluster's member m2, and this host is m1",
    ),
    (task(size="2GiB", **FILESYSTEM), found(plugged=task(**FILESYSTEM), filesystem=1 << 30), "size: .* is mounted"),
    (task(limits=LIMITS), found(), "limits: the server limits no block device of a container; allowed is mode: files"),
    (task(limits=LIMITS), found(virtual_machine()), "limits: this LXD takes them .* lacks the extension vm_disk_io"),
    (
        task(**FILESYSTEM, limits={"read": "1MiB"}),
        found(plugged=task(**FILESYSTEM)),
        "limits.read: the server limits .* only when it is attached, .*; found running, allowed is stopped",
    ),
    (task(boot_priority=1), found(), "boot_priority: a container does not boot from a disk; the nearest is"),
    (
        task(boot_priority=2),
        found(virtual_machine(), plugged=task(boot_priority=1)),
        "boot_priority: it is attached as .* with boot.priority 1, the task says 2",
    ),
    (task(size="2GiB", **FILESYSTEM), found(plugged=task(**FILESYSTEM)), "size: only ext2, ext3 and ext4 are grown"),
]


@pytest.mark.parametrize(("wanted", "current", "words"), REFUSED)
def test_what_is_refused(wanted: Volume, current: Attachment, words: str) -> None:
    with pytest.raises(Refused, match=words):
        plan(wanted, current)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"instance": "-"}, "instance: found '-'"),
        ({"volume": "a\nb"}, "volume: found"),
        ({"connection": {}}, "connection: found nothing"),
        ({"state": "connected", "connection": {}}, "connection: found nothing"),
        ({"state": "connected", "cinder": "cloud"}, "cinder: found cloud, which state: connected does not take"),
        ({"connection": {"driver_volume_type": "rbd", "data": {"encrypted": True}}}, "needed is encryption"),
        ({"mode": "filesystem"}, "needs path"),
        ({"path": "../x"}, "path: found ../x"),
        ({"path": "/./"}, "path: found /./, allowed is an absolute path other than /"),
        ({"path": "/a/../b"}, "path: found"),
        ({"format": True}, "format is for mode: filesystem"),
        ({**FILESYSTEM, "fstype": "btrfs", "format": True}, "found fstype btrfs, allowed are ext2, ext3, ext4"),
        ({"size": "10Mbit"}, "size: found 10Mbit"),
        ({"limits": {"speed": 1}}, "limits: found speed, allowed are read, write, max"),
        ({"limits": {"read": "10Mbit"}}, "limits.read: found 10Mbit, allowed are bytes a second"),
        ({"limits": {"read": "fastiops"}}, "limits.read: found fastiops"),
        ({"limits": {"max": "1MiB", "read": "1MiB"}}, "limits: max is read and write together"),
        ({"boot_priority": -1}, "boot_priority: found -1, allowed are 0 and more"),
        ({"replaces": "vol1"}, "replaces: found itself"),
        ({"replaces": "vol0", "swap_pause": 0}, "swap_pause: found 0"),
        ({**FILESYSTEM, "replaces": "vol0", "format": True}, "format: what is on vol0 is copied, and not made anew"),
    ],
)
def test_what_is_wrong_in_itself(params: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        task(**params)


def test_a_plan_carried_out_leaves_nothing_to_do() -> None:
    tasks = [
        task(state=state, shared=True, force=True, size=size, **mode)
        for state, size, mode in product(
            ("attached", "detached", "connected", "disconnected"), (None, "2GiB"), ({}, FILESYSTEM, {"tag": "t"})
        )
    ]
    sides: list[Mapping[str, Any]] = [
        {},
        {"record": RECORD, "disk": DISK},
        {"record": replace(RECORD, path="")},
        {"plugged": task()},
        {"plugged": task(**FILESYSTEM)},
        {"plugged": task(), "disk": None},
    ]
    instances = (existing(), existing("stopped"), virtual_machine())
    planned = 0
    for wanted, side, instance, users in product(tasks, sides, instances, ((), (OTHERS,))):
        current = found(instance, users=users, **side)
        try:
            steps = plan(wanted, current)
        except Refused:
            continue
        planned += 1
        after = predict(current, steps)
        assert plan(wanted, after) == [], (wanted, current)
        if wanted.state in ("attached", "detached"):
            assert view(wanted, after)["state"] == wanted.state
        elif wanted.state == "connected" or not users:
            assert view(wanted, after)["connected"] == (wanted.state == "connected")
        assert set(current.users) - set(after.users) <= {MINE}
        assert bool(steps) or after == current
        left = set(after.users) - ({MINE} if wanted.state == "disconnected" else set())
        assert after.record or not (current.record and left)
    assert planned > 100


def test_what_a_device_is() -> None:
    common = {VOLUME: "vol1", "source": "/dev/sda", "required": "false"}
    assert device_of(task(), "container", "/dev/sda") == {"type": "unix-block", "path": f"/dev/{DEVICE}", **common}
    assert device_of(task(tag="t"), "virtual-machine", "/dev/sda") == {"type": "disk", **common, "user.tag": "t"}
    assert device_of(task(**FILESYSTEM, shift=True, readonly=True), "container", "/dev/sda") == {
        "type": "disk",
        "path": "/srv",
        "shift": "true",
        "readonly": "true",
        **common,
    }


LUN = {"target_iqn": "iqn.a", "target_lun": 1, "target_portal": "10.0.0.1:3260"}
CONNECTIONS: tuple[tuple[str, dict[str, Any], dict[str, Any], bool], ...] = (
    ("another way to it", LUN, LUN | {"target_portal": "10.0.0.2:3260", "auth_method": "CHAP"}, True),
    ("a LUN of the same target", LUN, LUN | {"target_lun": 2}, False),
    ("nothing but a number in common", LUN, {"target_iqns": ["iqn.b"], "target_lun": 1}, False),
    ("no names", {}, {}, False),
    ("files of one share", {"export": "a:/", "name": "1"}, {"export": "a:/", "name": "2"}, False),
    ("lists, as JSON has them", {"target_iqns": ["a", "b"]}, {"target_iqns": ("a", "b")}, True),
)


@pytest.mark.parametrize(
    ("one", "other", "same"), [case[1:] for case in CONNECTIONS], ids=[case[0] for case in CONNECTIONS]
)
def test_two_connections_lead_to_one_volume(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    kinds = [{"driver_volume_type": kind, "data": other} for kind in ("iscsi", "other")]
    mine = {"driver_volume_type": "iscsi", "data": one}
    assert [leads_to_same(mine, kind) for kind in kinds] == [same, False]


def test_a_name_of_another_boot_is_not_believed() -> None:
    assert is_lasting(replace(RECORD, boot="b1"), "b1")
    assert not is_lasting(replace(RECORD, boot="b1"), "b2")
    assert not is_lasting(replace(RECORD, boot="b1", path=""), "b1")
    assert is_lasting(replace(RECORD, boot="b1", path="/dev/disk/by-id/wwn-1"), "b2")
    assert is_lasting(replace(RECORD, boot="b1", connection={"driver_volume_type": "local"}), "b2")


def test_where_a_container_is_limited() -> None:
    groups = "7:blkio:/sub/lxc.payload.web1\n8:pids:/x\n0::/sub/lxc.payload.web1/init.scope"
    mounts = (
        "31 24 0:27 /sub /sys/fs/cgroup/blkio rw shared:9 - cgroup cgroup rw,blkio\n"
        "32 24 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
        "33 24 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
    )
    found = dict(throttles(groups, mounts))
    assert found["/sys/fs/cgroup/blkio/lxc.payload.web1/blkio.throttle.read_bps_device"] == "0"
    assert "rbps=max" in found["/sys/fs/cgroup/unified/sub/lxc.payload.web1/io.max"]
    assert len(found) == 5


def test_who_root_is() -> None:
    idmap = '[{"Isuid":true,"Isgid":false,"Hostid":100000,"Nsid":0,"Maprange":9}]'
    assert root_of(existing(config={"volatile.idmap.next": idmap})) == 100000
    assert root_of(existing(config={"volatile.idmap.next": "[]"})) == 0


def test_what_a_guest_syncs_is_on_the_volume_or_it_is_told() -> None:
    """By the option io.cache; servers without it, LXD 5.0, have QEMU ignore it."""
    machine, newer = virtual_machine(), frozenset({"disk_io_cache"})
    able = replace(machine, server=replace(machine.server, extensions=newer))
    assert device_of(task(), "virtual-machine", "/dev/sda", newer)["io.cache"] == "none"
    assert "io.cache" not in device_of(task(), "container", "/dev/sda", newer)
    (told,) = report(task(), found(machine))["warnings"]
    assert "where the host dies, what was written last is lost" in told
    for quiet in (found(able), found()):
        assert "warnings" not in report(task(), quiet)
    assert "warnings" not in report(task(state="detached"), found(machine))

    old = found(able, plugged=task())
    (told,) = report(task(), old)["warnings"]
    assert "set io.cache of the device, or detach and attach it" in told
    assert plan(task(), old) == [], "what is attached already stays as it is"


def test_a_virtual_machine_sees_a_new_size_at_its_next_start() -> None:
    wanted = task(size="2GiB")
    assert report(wanted, found(virtual_machine(), plugged=task()))["pending"] == ["size"]
    assert report(wanted, found(plugged=task()))["pending"] == []


def test_users_are_found_in_all_projects() -> None:
    device = {"type": "disk", VOLUME: "vol1"}
    instances = [
        {"name": "a", "project": "red", "devices": {"x": device, "root": {"type": "disk"}}, "location": "none"},
        {"name": "b", "project": "default", "devices": {}},
    ]
    assert users_of(instances) == {"vol1": (User("red", "a", "x", "none"),)}


def test_orphans_are_those_of_this_daemon_that_nobody_has() -> None:
    records = tuple(
        replace(RECORD, volume=volume, server=server) for volume, server in (("a", HERE), ("b", THERE), ("c", HERE))
    )
    current = Volumes(records, {"c": (MINE,), "d": (OTHERS,)}, HERE)
    steps = reconcile(Reconcile(), current)
    assert [step.text for step in steps] == ["disconnect volume a, which no instance has"]
    after = predict(current, steps)
    assert (after.orphans, list(after.missing)) == ((), ["d"])


def test_secrets_are_told_from_what_may_be_seen() -> None:
    assert secrets(ISCSI) == {"hush"}
    assert without_secrets({**ISCSI, "use_multipath": False}) == KEPT
    assert public({"connection": ISCSI}) == {"iscsi", "0", "10.0.0.1:3260", "u"}
    twice = {"data": {"auth_password": "0", "target_lun": 0}}
    assert public({"connection": twice}) == frozenset()
    ceph = {"data": {"keyring": "[client] key = x", "secret_uuid": "1-2", "hosts": ["h"]}}
    assert secrets(ceph) == {"[client] key = x"}
    assert hide("failed: -p hush", secrets(ISCSI)) == "failed: -p ********"
    assert "hush" not in repr(task())
    assert "hush" not in repr(plan(task(), found()))


def test_what_is_held_at_boot() -> None:
    assert held_by([]) == ""
    assert "value IN ('a', 'it''s')" in held_by(["a", "it's"])


def test_an_awaited_volume_is_no_orphan() -> None:
    assert Volumes((AWAITING, replace(RECORD, volume="x", device="vx")), server=HERE).orphans == (
        replace(RECORD, volume="x", device="vx"),
    )


def test_what_an_instance_has_of_volumes() -> None:
    devices = {"va": {VOLUME: "a"}, "vb": {VOLUME: "b"}, "eth0": {"type": "nic"}}
    assert volumes_of(devices) == {"a": "va", "b": "vb"}
    config = with_released({"user.x": "1"}, frozenset({"vb"}))
    assert released(config) == {"vb"}
    assert connected(existing(devices=devices, config=config)) == ["a"]
    assert with_released(config, frozenset()) == {"user.x": "1"}
