# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_drain, and the role host_maintenance by its playbooks: a host is drained and filled, and all is as it was."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.case import same
from integration.killed_run import killed
from integration.lab_host import LabHost
from integration.task import play, task
from integration.test_lxd_migration import shown
from integration.watch import never_twice

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "runs": ("running", {"config": {"user.a": "1", "boot.autostart": "true"}}),
    "stands": ("stopped", {"description": "d"}),
    "frozen": (
        "frozen",
        {"devices": {"eth0": {"type": "nic", "network": "lab0", "ipv4.address": "10.177.0.88", "name": "eth0"}}},
    ),
}
HOME = "user.lxdops.home"


@pytest.fixture(autouse=True)
def _cleaned(lxd_hosts: list[LabHost]) -> Iterator[None]:
    yield
    for host in lxd_hosts:
        host.remove(*KINDS)
        host.call("PATCH", "", {"config": {"user.lxdops.cordon": ""}})


def maintain(way: str, host: LabHost, other: LabHost, tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A run of maintenance_enter or maintenance_exit, over https."""
    variables = {
        "host_maintenance_host": host.https,
        "host_maintenance_targets": {"other": other.https},
        "host_maintenance_reason": "disk swap",
    }
    return play(f"maintenance_{way}", tmp_path, variables, *words)


def drain(host: LabHost, other: LabHost, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """The result of one task of the module that the role is made of."""
    targets = {"other": dict(other.https)}
    return task({**host.https, "targets": targets, **options}, module="lxdops.compute.lxd_drain", check=check)


def test_a_host_is_drained_and_filled_again(lxd_hosts: list[LabHost], tmp_path: Path) -> None:
    host, other = lxd_hosts
    for name, (power, body) in KINDS.items():
        host.make(name, power=power, **body)
    before = {name: shown(host, name) for name in KINDS}
    untouched = [one.everything() for one in lxd_hosts]

    checked = maintain("enter", host, other, tmp_path, "--check")
    assert checked.returncode == 0, checked.stdout
    for words in ("runs +running +here +other +refresh", "stands +stopped +here +other +cold", "frozen +frozen +here"):
        assert re.search(words, checked.stdout), checked.stdout
    same([one.everything() for one in lxd_hosts], untouched)

    target = {"endpoint": other.facts["lab_endpoint"], **other.https}
    options = {**host.https, "target": target, "name": "runs", "remember_home": True}
    with never_twice(lxd_hosts) as watch:
        # An earlier run that was killed when one copy had just been started.
        assert killed(10, "after", options, "lxd_migration")
        drained = maintain("enter", host, other, tmp_path)
    assert watch.most > 0
    assert drained.returncode == 0, drained.stdout
    assert host.instances() == []
    assert host.query("")["config"]["user.lxdops.cordon"] == "disk swap"
    name = host.query("")["environment"]["server_name"]
    for instance, found in before.items():
        same(shown(other, instance), found | {"config": found["config"] | {HOME: name, "user.lxdops.migration": None}})
    same(drain(host, other), {"changed": False, "moves": [], "failed_items": []})

    with never_twice(lxd_hosts):
        home = maintain("exit", host, other, tmp_path)
    assert home.returncode == 0, home.stdout
    assert other.instances() == []
    assert "user.lxdops.cordon" not in host.query("")["config"]
    for instance, found in before.items():
        same(shown(host, instance), found | {"config": found["config"] | {HOME: None}})
    same(drain(host, other, state="restored"), {"changed": False, "moves": [], "failed_items": []})


def test_one_that_cannot_go_is_named_and_stops_no_other(lxd_hosts: list[LabHost]) -> None:
    host, other = lxd_hosts
    host.make("runs", config={"limits.memory": "900GiB"})
    host.make("stands")
    checked = drain(host, other, check=True)
    result = drain(host, other)
    for found in (checked, result):
        assert found["failed"]
        same([one["msg"] for one in found["failed_items"]], ["runs: goes nowhere: too little memory"])
        same([(one["name"], one["target"]) for one in found["moves"]], [("stands", "other")])
    same((result["steps"], result["diff"]), (checked["steps"], checked["diff"]))
    assert (host.instances(), other.instances()) == (["runs"], ["stands"])


@pytest.mark.thorough
def test_the_role_fails_where_one_cannot_go(lxd_hosts: list[LabHost], tmp_path: Path) -> None:
    host, other = lxd_hosts
    host.make("runs", config={"limits.memory": "900GiB"})
    result = maintain("enter", host, other, tmp_path)
    assert result.returncode == 2
    assert "failed: runs: goes nowhere: too little memory" in result.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"targets": {"other": {}}}, "targets.other: found no options; endpoint is required"),
        (
            {"targets": {"other": {"endpoint": "https://127.0.0.1:1", "trust_token": "t"}}},
            "targets.other: found endpoint, trust_token",
        ),
        ({"concurrency": 0}, "concurrency: found 0, allowed is 1 and more"),
    ],
)
def test_what_is_refused(lxd_hosts: list[LabHost], options: dict[str, Any], words: str) -> None:
    result = drain(*lxd_hosts, **options)
    assert result["failed"]
    assert words in result["msg"]


def test_a_host_that_cannot_be_reached_takes_nothing_and_may_hold_some(lxd_hosts: list[LabHost]) -> None:
    host, other = lxd_hosts
    host.make("stands")
    gone = {"endpoint": "https://127.0.0.1:1", "server_cert": other.https["server_cert"]}
    away = drain(host, other, targets={"gone": gone})
    assert "stands: goes nowhere: cordoned (" in away["failed_items"][0]["msg"]
    home = drain(host, other, state="restored", targets={"gone": gone})
    assert "instances whose home this host is may be there" in home["failed_items"][0]["msg"]
    assert host.instances() == ["stands"]
