# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task does: (desired, current) -> steps, read as sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.errors import Refused
from ansible_collections.lxdops.compute.plugins.module_utils.instance import Current, Desired, Source
from ansible_collections.lxdops.compute.plugins.module_utils.instance_plan import MOVES, plan, report
from ansible_collections.lxdops.compute.plugins.module_utils.instance_power import Power
from ansible_collections.lxdops.compute.plugins.module_utils.instance_record import CREATING, PENDING, RESTART, SOURCE
from ansible_collections.lxdops.compute.plugins.module_utils.instance_steps import Create, Update
from ansible_collections.lxdops.compute.plugins.module_utils.steps import predict
from unit.instances import BOOT, NIC, ROOT, SERVER, TINY, absent, existing, virtual_machine, want


def texts(desired: Desired, current: Current) -> list[str]:
    """The plan in words."""
    return [step.text for step in plan(desired, current)]


SENTENCES: list[tuple[str, Desired, Current, list[str]]] = [
    (
        "a new instance is created and started",
        want(source=TINY),
        absent(),
        ["create container web1 from image tiny", "start web1"],
    ),
    ("present creates it stopped", want("present", source=TINY), absent(), ["create container web1 from image tiny"]),
    (
        "frozen creates, starts and freezes it",
        want("frozen", source=TINY),
        absent(),
        ["create container web1 from image tiny", "start web1", "freeze web1"],
    ),
    ("it is as declared", want(source=TINY), existing(), []),
    ("no source is needed for what exists", want(), existing(), []),
    ("present leaves a frozen one frozen", want("present"), existing("frozen"), []),
    ("a frozen one is thawed", want(), existing("frozen"), ["unfreeze web1"]),
    ("a suspended one is resumed", want(), existing("suspended"), ["resume web1"]),
    ("a suspended one counts as stopped", want("stopped"), existing("suspended"), []),
    ("one in error is killed, then started", want(), existing("error"), ["kill web1", "start web1"]),
    ("force kills", want("stopped", force=True), existing(), ["kill web1"]),
    ("a frozen one is thawed to be stopped", want("stopped"), existing("frozen"), ["unfreeze web1", "stop web1"]),
    ("absent stops and deletes", want("absent"), existing(), ["stop web1", "delete web1"]),
    ("absent is absent", want("absent"), absent(), []),
    ("an ephemeral one is gone when it stops", want("absent"), existing(ephemeral=True), ["stop web1"]),
    ("a stopped ephemeral one is deleted", want("absent"), existing("stopped", ephemeral=True), ["delete web1"]),
    (
        "what is named changes, the rest stays",
        want(config={"limits.cpu": "2"}),
        existing(config={"user.a": "1"}),
        ["update web1: set config.limits.cpu to 2"],
    ),
    (
        "the same value written otherwise is the same",
        want(config={"limits.memory": "1024MiB"}),
        existing(config={"limits.memory": "1GiB"}),
        [],
    ),
    (
        "null removes",
        want(config={"user.a": None}),
        existing(config={"user.a": "1"}),
        ["update web1: remove config.user.a"],
    ),
    ("null of what is not there is nothing", want(config={"user.a": None}), existing(), []),
    (
        "purge removes what is not named, but not the server's keys",
        want(purge_config=True, config={"user.b": "2"}),
        existing(config={"user.a": "1", "user.b": "2"}),
        ["update web1: remove config.user.a"],
    ),
    (
        "a stopped one is not started to be edited",
        want("present", config={"limits.cpu": "2"}),
        existing("stopped"),
        ["update web1: set config.limits.cpu to 2"],
    ),
    (
        "change first, then start",
        want(config={"raw.lxc": "x"}),
        existing("stopped"),
        ["update web1: set config.raw.lxc to x", "start web1"],
    ),
    (
        "change, then stop: nothing is left pending",
        want("stopped", config={"raw.lxc": "x"}),
        existing(),
        ["update web1: set config.raw.lxc to x", "stop web1"],
    ),
    (
        "apply: restart",
        want(config={"raw.lxc": "x"}, apply="restart"),
        existing(),
        ["update web1: set config.raw.lxc to x", "stop web1", "start web1"],
    ),
    (
        "apply: restart restarts nothing for a live change",
        want(config={"limits.cpu": "2"}, apply="restart"),
        existing(),
        ["update web1: set config.limits.cpu to 2"],
    ),
    (
        "apply: restart applies what an earlier task left pending",
        want(apply="restart"),
        existing(config={PENDING: f"{BOOT} config.raw.lxc"}),
        ["stop web1", "start web1"],
    ),
    (
        "what was pending before the last start is not pending",
        want(apply="restart"),
        existing(config={PENDING: "2020-01-01T00:00:00Z config.raw.lxc"}),
        [],
    ),
    (
        "a frozen one stays frozen over a restart",
        want("present", config={"raw.lxc": "x"}, apply="restart"),
        existing("frozen"),
        ["update web1: set config.raw.lxc to x", "unfreeze web1", "stop web1", "start web1", "freeze web1"],
    ),
    (
        "an ephemeral one is restarted by the server, which keeps it",
        want("restarted"),
        existing(ephemeral=True),
        ["restart web1"],
    ),
    (
        "a running VM takes some changes only stopped, in one step",
        want(config={"raw.qemu": "x"}, apply="restart"),
        virtual_machine(),
        ["stop web1, update web1: set config.raw.qemu to x, start web1"],
    ),
    (
        "a restart that was begun is ended",
        want("present"),
        existing("stopped", config={RESTART: f"{BOOT} started"}),
        ["start web1"],
    ),
    (
        "a creation that was cut short is begun again",
        want(source=TINY),
        existing("stopped", config=CREATING, boot="1970-01-01T00:00:00Z"),
        ["delete web1", "create container web1 from image tiny", "start web1"],
    ),
    (
        "a finished creation only loses its marker",
        want("present", source=TINY),
        existing("stopped", config={**CREATING, "volatile.apply_template": "create"}, boot="1970-01-01T00:00:00Z"),
        ["update web1: note what waits for a restart"],
    ),
    (
        "a marked instance that was ever started is never taken for unfinished",
        want(source=TINY),
        existing("stopped", config=CREATING),
        ["start web1"],
    ),
    (
        "a device is added",
        want(devices={"logs": {"type": "disk", "source": "/var/log", "path": "/logs"}}),
        existing(),
        [
            "update web1: set devices.logs.path to /logs, set devices.logs.source to /var/log, "
            "set devices.logs.type to disk"
        ],
    ),
    (
        "one option of a device changes, the others stay",
        want(devices={"logs": {"readonly": "true"}}),
        existing(devices={"logs": {"type": "disk", "source": "/var/log", "path": "/logs"}}),
        ["update web1: set devices.logs.readonly to true"],
    ),
    (
        "a profile's device is overridden whole",
        want(devices={"eth0": {"hwaddr": "00:16:3e:00:00:01"}}),
        existing(),
        [
            "update web1: set devices.eth0.hwaddr to 00:16:3e:00:00:01, set devices.eth0.network to lab0, "
            "set devices.eth0.type to nic"
        ],
    ),
    (
        "a profile's device that is so already is left alone",
        want(devices={"eth0": {"network": "lab0"}}),
        existing(),
        [],
    ),
    (
        "a profile's device is masked when it is removed",
        want(devices={"eth0": None}),
        existing(),
        ["update web1: set devices.eth0.type to none"],
    ),
    ("a masked device is not there", want(devices={"eth0": None}), existing(devices={"eth0": {"type": "none"}}), []),
    (
        "purge keeps the root disk",
        want(purge_devices=True),
        existing(devices={"root": {**ROOT, "size": "1GiB"}, "eth1": NIC}),
        ["update web1: remove devices.eth1.network, remove devices.eth1.type"],
    ),
    (
        "the root of a profile is overridden to grow",
        want(root={"size": "2GiB"}),
        existing(),
        [
            "update web1: set devices.root.path to /, set devices.root.pool to fast, set devices.root.size to 2GiB, "
            "set devices.root.type to disk"
        ],
    ),
    (
        "secrets are told as digests",
        want(config={"cloud-init.user-data": "password: geheim"}),
        existing(),
        ["update web1: set config.cloud-init.user-data to 16 characters, sha256 c3978effe91d"],
    ),
]


@pytest.mark.parametrize(("desired", "current", "expected"), [pytest.param(*row[1:], id=row[0]) for row in SENTENCES])
def test_plan(desired: Desired, current: Current, expected: list[str]) -> None:
    assert texts(desired, current) == expected


REFUSALS: list[tuple[str, Desired, Current]] = [
    ("no such instance, and the task names no source", want(), absent()),
    ("only a running or frozen instance has a state to save; found stopped", want("suspended"), existing("stopped")),
    ("only a running or frozen instance has a state to save; found no", want("suspended", source=TINY), absent()),
    ("it is ephemeral: the server deletes it", want("stopped"), existing(ephemeral=True)),
    ("it is ephemeral: the server deletes it", want("stopped", source=TINY, ephemeral=True), absent()),
    ("exists as a container, the task says virtual-machine", want(type="virtual-machine"), existing()),
    (
        "config.security.secureboot applies to a virtual-machine",
        want(config={"security.secureboot": "true"}),
        existing(),
    ),
    ("config.limits.processes applies to a container", want(config={"limits.processes": "9"}), virtual_machine()),
    ("not a known instance option; did you mean limits.cpu", want(config={"limits.cpus": "1"}), existing()),
    ("belongs to the server", want(config={"volatile.uuid": "1"}), existing()),
    ("is a marker of this collection", want(config={SOURCE: "1"}), existing()),
    (
        "1GiB cannot shrink to 512MiB",
        want(root={"size": "512MiB"}),
        existing(devices={"root": {**ROOT, "size": "1GiB"}}),
    ),
    ("keeps no size limits", want(source=TINY, root={"pool": "plain", "size": "1GiB"}), absent()),
    ("moving an instance to another pool is a migration", want(root={"pool": "plain"}), existing()),
    (
        "devices.root.pool: big is not on host1, which has fast, plain",
        want(source=TINY, root={"pool": "big"}),
        absent(),
    ),
    (
        "devices.eth1.network: dmz is not on host1, which has lab0",
        want(devices={"eth1": {"type": "nic", "network": "dmz"}}),
        existing(),
    ),
    ("devices.x.type: found None, allowed are disk, nic", want(devices={"x": {"path": "/x"}}), existing()),
    ("root.size: found huge, allowed is a size like 10GiB", want(root={"size": "huge"}), existing()),
    ("there is no profile web", want(source=TINY, profiles=("web",)), absent()),
    ("no root disk", want(source=TINY, profiles=()), absent()),
    ("target: m1 is no member of host1: it is not a cluster", want(source=TINY, target="m1"), absent()),
    (
        "it is on member m1, the task says m2",
        want(target="m2"),
        existing(location="m1", server=replace(SERVER, members=("m1", "m2"))),
    ),
    (
        "was made from something else",
        want(source=Source(type="image", alias="other")),
        existing(origin=replace(absent().origin, fingerprint="e" * 64)),
    ),
    ("was made from something else", want(source=Source(type="image", fingerprint="abc")), existing()),
    (
        "apply: live, but these changes need a restart: config.raw.lxc",
        want(config={"raw.lxc": "x"}, apply="live"),
        existing(),
    ),
    ("takes these changes only when it is stopped: config.raw.qemu", want(config={"raw.qemu": "x"}), virtual_machine()),
    ("security.protection.delete is set", want("absent"), existing(config={"security.protection.delete": "true"})),
    ("needs config migration.stateful", want("suspended"), virtual_machine()),
    ("needs config migration.stateful", want("suspended"), existing(server=replace(SERVER, product="incus"))),
    (
        "runs no virtual-machines",
        want(source=Source(), type="virtual-machine"),
        absent(origin=replace(absent().origin, type=""), server=replace(SERVER, types=frozenset({"container"}))),
    ),
    (
        "the task says virtual-machine, but image tiny is of a container",
        want(source=TINY, type="virtual-machine"),
        absent(),
    ),
]


@pytest.mark.parametrize(("words", "desired", "current"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_refusal(words: str, desired: Desired, current: Current) -> None:
    with pytest.raises(Refused) as refusal:
        plan(desired, current)
    assert words in refusal.value.message
    assert "web1" in refusal.value.message


@pytest.mark.parametrize(("power", "goal"), list(MOVES))
def test_every_move_of_the_table_leads_where_it_says(power: str, goal: str) -> None:
    current = existing(power)
    if isinstance(MOVES[power, goal], str):
        with pytest.raises(Refused):
            plan(want(goal), current)
        return
    after = predict(current, plan(want(goal), current))
    reached = {"started": "running", "restarted": "running"}.get(goal, goal)
    assert after.power == ("suspended" if (power, goal) == ("suspended", "stopped") else reached)


def test_every_move_between_two_states_is_in_the_table() -> None:
    powers = {"stopped", "running", "frozen", "suspended", "error"}
    goals = {"started", "stopped", "frozen", "suspended", "restarted", "absent"}
    assert set(MOVES) == {(power, goal) for power in powers for goal in goals}


def test_a_change_that_waits_for_a_restart_is_noted_for_this_boot_and_reported() -> None:
    desired, current = want(config={"raw.lxc": "x", "limits.cpu": "2"}), existing()
    update = plan(desired, current)[0]
    assert isinstance(update, Update)
    assert update.after.config[PENDING] == f"{BOOT} config.raw.lxc"
    assert report(desired, current) == {
        "impact": {"config.raw.lxc": "restart", "config.limits.cpu": "live"},
        "pending": ["config.raw.lxc"],
    }


@pytest.mark.parametrize("state", ["started", "present", "frozen"])
def test_a_restart_that_was_not_come_to_is_made_by_the_next_run(state: str) -> None:
    desired = want(state, config={"raw.lxc": "x"}, apply="restart")
    current = existing("frozen" if state == "frozen" else "running")
    killed = predict(current, plan(desired, current)[:1])
    texts = [step.text for step in plan(desired, killed)]
    assert texts.index("stop web1") < texts.index("start web1")


def test_an_update_keeps_the_servers_own_keys_and_carries_the_etag() -> None:
    update = plan(want(purge_config=True, config={"user.a": "1"}), existing(config={"image.os": "tiny"}))[0]
    assert isinstance(update, Update)
    assert update.etag == "e1"
    assert {"volatile.uuid", "volatile.base_image", "image.os", "user.a"} <= set(update.after.config)


def test_a_creation_carries_its_marker_and_the_declared_source_as_a_digest() -> None:
    create = plan(want(source=replace(TINY, server="https://images.example.org"), config={"user.a": "1"}), absent())[0]
    assert isinstance(create, Create)
    body: dict[str, Any] = create.body()
    assert body["config"] == {"user.a": "1", **CREATING, SOURCE: TINY.digest}
    assert body["source"] == {
        "type": "image",
        "mode": "pull",
        "alias": "tiny",
        "server": "https://images.example.org",
        "protocol": "simplestreams",
    }


def test_deletion_kills_a_guest_that_does_not_stop_in_time_and_stopping_does_not() -> None:
    stop_to_delete = plan(want("absent", stop_timeout=5), existing())[0]
    stop = plan(want("stopped", stop_timeout=5), existing())[0]
    assert stop_to_delete == Power("web1", "stop", 5, "late")
    assert stop == Power("web1", "stop", 5, "never")
