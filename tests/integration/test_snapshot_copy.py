# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_snapshot with copy: what a snapshot holds is on another server, once."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest
from integration.case import proof, same
from integration.killed_run import killed
from integration.lab_host import LabHost
from integration.snapshot_cases import COPIES
from integration.task import task

MODULE = "lxdops.compute.lxd_snapshot"
NAME, COPY = "snapsrc", "snapaway"
DATA = "/root/data"
PARTS = ("changed", "steps", "diff", "snapshot", "copy")
Hosts = list[LabHost]


@pytest.fixture(autouse=True)
def _given(pair: Hosts) -> Iterator[None]:
    """A running instance without snapshots, and no copy."""
    pair[0].remove(NAME)
    pair[1].remove(COPY)
    pair[0].make(NAME, power="running", config={"user.role": "web"})
    yield
    pair[0].remove(NAME)
    pair[1].remove(COPY)


def params_of(pair: Hosts, **copy: Any) -> dict[str, Any]:
    target = {**pair[1].https, **copy.pop("target", {})}
    away = {"name": COPY, "target": target, "pool": "fast", **copy}
    return {**pair[0].https, "name": NAME, "snapshot": "monday", "copy": away}


def copied(params: Mapping[str, Any], *, check: bool = False, **more: Any) -> dict[str, Any]:
    return task({**params, **more}, module=MODULE, check=check)


def fill(host: LabHost) -> str:
    host.shell(NAME, f"head -c 3000000 /dev/urandom > {DATA}; sync")
    return host.shell(NAME, f"sha256sum {DATA}").split()[0]


def test_a_copy_has_the_data_and_is_made_once(pair: Hosts) -> None:
    """With the snapshot taken by the same task."""
    host, other = pair
    held = fill(host)
    params = params_of(pair)
    checked = copied(params, check=True)
    assert not checked.get("failed"), checked["msg"]
    assert (other.instance(COPY), host.call("GET", f"instances/{NAME}/snapshots")) == (None, [])
    applied = copied(params)
    assert not applied.get("failed"), applied["msg"]
    same({part: applied[part] for part in PARTS}, {part: checked[part] for part in PARTS})
    assert host.query(f"instances/{NAME}")["status"] == "Running"
    found = other.query(f"instances/{COPY}")
    assert (found["status"], found["config"]["user.role"]) == ("Stopped", "web")
    assert "volatile.last_state.power" not in found["config"]
    assert found["expanded_devices"]["root"]["pool"] == "fast"

    fill(host)
    again = copied(params)
    assert (again["changed"], again["steps"], again["copy"]) == (False, [], applied["copy"])
    assert other.query(f"instances/{COPY}") == found
    other.power(COPY, "start")
    assert other.shell(COPY, f"sha256sum {DATA}").split()[0] == held
    mine, theirs = (one.query(f"instances/{name}")["config"] for one, name in ((host, NAME), (other, COPY)))
    assert mine["volatile.eth0.hwaddr"] != theirs["volatile.eth0.hwaddr"]

    refused = copied(params, snapshot="tuesday")
    assert f"copy.name: {COPY} on " in refused["msg"]
    assert "found a container that is no copy of this snapshot" in refused["msg"]


@pytest.fixture
def elsewhere(pair: Hosts) -> Iterator[None]:
    """A network and a project that the other server alone has."""
    config = {"ipv4.address": "10.182.0.1/24", "ipv6.address": "none"}
    features = {"features.images": "false", "features.profiles": "false", "features.storage.volumes": "false"}
    pair[1].call("POST", "networks", {"name": "copynet", "type": "bridge", "config": config})
    pair[1].call("POST", "projects", {"name": "copies", "config": features})
    yield
    pair[1].remove(COPY)
    for url in pair[1].call("GET", "instances?project=copies"):
        pair[1].call("DELETE", url.removeprefix("/1.0/"))
    pair[1].call("DELETE", "projects/copies")
    pair[1].call("DELETE", "networks/copynet")


@pytest.mark.thorough
@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("row", COPIES.values(), ids=COPIES)
def test_an_option_of_a_copy(pair: Hosts, row: tuple[Mapping[str, Any], Mapping[str, Any]]) -> None:
    copy, shows = row
    params = params_of(pair, **copy)
    project = copy.get("target", {}).get("project", "default")
    seen = partial(pair[1].query, f"instances/{COPY}?project={project}")
    applied, again = proof(lambda check: copied(params, check=check), PARTS, pair[1].everything, seen)
    assert again["copy"] == applied["copy"]
    same(seen(), {"status": "Stopped", **shows})


def test_what_stands_in_the_way_is_told_first(pair: Hosts) -> None:
    cases = (
        (params_of(pair, pool="nowhere"), "pool nowhere of device root is not on the target"),
        (params_of(pair, target=dict(pair[0].https)), "source and target are the same server"),
        ({**params_of(pair), "state": "absent"}, "copy is for state: present"),
    )
    for params, words in cases:
        refused = copied(params, check=True)
        assert words in refused["msg"], refused["msg"]
        assert refused["error"] == "Refused"


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("pool", "power"), [("default", "running"), ("fast", "stopped")])
def test_a_copy_killed_at_each_write_is_whole_after_the_next_run(pair: Hosts, pool: str, power: str, when: str) -> None:
    params = params_of(pair)
    host, other = pair
    host.remove(NAME)
    host.make(NAME, power="running", devices={"root": {"type": "disk", "path": "/", "pool": pool}})
    held = fill(host)
    if power == "stopped":
        host.power(NAME, "stop", force=True)
    number = 1
    while True:
        other.remove(COPY)
        for url in host.call("GET", f"instances/{NAME}/snapshots"):
            host.call("DELETE", f"instances/{NAME}/snapshots/{url.rsplit('/', 1)[1]}")
        if not killed(number, when, params, "lxd_snapshot"):
            break
        result = copied(params)
        assert not result.get("failed"), result["msg"]
        assert not copied(params)["changed"]
        assert "volatile.last_state.power" not in other.query(f"instances/{COPY}")["config"], f"{when} write {number}"
        assert host.query(f"instances/{NAME}")["status"] == power.capitalize()
        other.power(COPY, "start")
        assert other.shell(COPY, f"sha256sum {DATA}").split()[0] == held
        number += 1
    assert number > 3
