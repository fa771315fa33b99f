# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be done is refused in words, in check mode and without, and nothing changes."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from integration.case import Lane

NAME = "no"
TINY = {"alias": "tiny"}
FAST = {"root": {"type": "disk", "path": "/", "pool": "fast", "size": "500MiB"}}

NEW = [
    ("the task names no source", {}),
    ("source.alias: there is no image nope; its aliases are tiny, tiny2", {"source": {"alias": "nope"}}),
    ("source.fingerprint: there is no image abc123", {"source": {"fingerprint": "abc123"}}),
    ("there is no instance ghost to copy", {"source": {"type": "copy", "instance": "ghost"}}),
    ("there is no instance ghost/s0 to copy", {"source": {"type": "copy", "instance": "ghost", "snapshot": "s0"}}),
    ("source.type image needs alias or fingerprint", {"source": {}}),
    ("source.type copy does not go with alias", {"source": {"type": "copy", "instance": "x", "alias": "tiny"}}),
    ("this server runs no virtual-machines", {"source": {"type": "none"}, "type": "virtual-machine"}),
    ("the task says virtual-machine, but image tiny is of a container", {"source": TINY, "type": "virtual-machine"}),
    ("there is no profile ghost", {"source": TINY, "profiles": ["ghost"]}),
    ("no root disk", {"source": TINY, "profiles": []}),
    ("devices.root.pool: ghost is not on", {"source": TINY, "root": {"pool": "ghost"}}),
    (
        "devices.eth9.network: ghost is not on",
        {"source": TINY, "devices": {"eth9": {"type": "nic", "network": "ghost"}}},
    ),
    ("pool default (dir) keeps no size limits", {"source": TINY, "root": {"size": "1GiB"}}),
    ("root.size: found big, allowed is a size like 10GiB", {"source": TINY, "root": {"pool": "fast", "size": "big"}}),
    ("devices.x.type: found disc, allowed are disk", {"source": TINY, "devices": {"x": {"type": "disc"}}}),
    ("devices.x: found a list", {"source": TINY, "devices": {"x": ["disk"]}}),
    ("config.user.a: found a list", {"source": TINY, "config": {"user.a": [1]}}),
    (
        "config.limits.cpus is not a known instance option; did you mean limits.cpu",
        {"source": TINY, "config": {"limits.cpus": 1}},
    ),
    (
        "config.security.secureboot applies to a virtual-machine",
        {"source": TINY, "config": {"security.secureboot": False}},
    ),
    ("config.volatile.uuid belongs to the server", {"source": TINY, "config": {"volatile.uuid": "x"}}),
    ("it is not a cluster", {"source": TINY, "target": "m1"}),
    ("it is ephemeral", {"source": TINY, "ephemeral": True, "state": "stopped"}),
    ("only a running or frozen instance has a state to save", {"source": TINY, "state": "suspended"}),
    ("wait_for: found dinner, allowed are running", {"source": TINY, "wait_for": ["dinner"]}),
    (
        "is declared in config and in cloud_init",
        {"source": TINY, "config": {"cloud-init.user-data": "a"}, "cloud_init": {"user_data": "b"}},
    ),
    ("project ghost is not on", {"source": TINY, "project": "ghost"}),
]

EXISTING: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
    ("it exists as a container, the task says virtual-machine", {}, {"type": "virtual-machine"}),
    ("it exists and was made from something else", {}, {"source": {"alias": "tiny2"}}),
    ("it exists and was made from something else", {}, {"source": {"fingerprint": "abc123"}}),
    ("500MiB cannot shrink to 400MiB", {"devices": FAST}, {"root": {"size": "400MiB"}}),
    ("moving an instance to another pool is a migration", {}, {"root": {"pool": "fast"}}),
    ("it is ephemeral", {"ephemeral": True, "power": "running"}, {"state": "stopped"}),
    ("only a running or frozen instance has a state to save", {}, {"state": "suspended"}),
    (
        "apply: live, but these changes need a restart: config.security.privileged",
        {"power": "running"},
        {"config": {"security.privileged": True, "limits.cpu": 1}, "apply": "live"},
    ),
    ("security.protection.delete is set", {"config": {"security.protection.delete": "true"}}, {"state": "absent"}),
    ("is a marker of this collection", {}, {"config": {"user.lxdops.source": "x"}}),
]


@pytest.fixture(autouse=True, scope="module")
def _cleaned(lane: Lane) -> Iterator[None]:
    yield
    if NAME in lane.host.instances():
        found = lane.host.query(f"instances/{NAME}")
        if "security.protection.delete" in found["config"]:
            lane.host.client("config", "unset", NAME, "security.protection.delete")
    lane.host.remove(NAME)


def refused(lane: Lane, words: str, params: Mapping[str, Any]) -> None:
    """The task fails with the words, names the instance or the option, and changes nothing; so does check mode."""
    before = lane.host.everything()
    for check in (True, False):
        result = lane.task(check=check, name=NAME, **params)
        assert result.get("failed"), result
        assert words in result["msg"]
        assert result["error"] == "Refused"
        assert lane.host.everything() == before


@pytest.mark.parametrize(("words", "params"), NEW, ids=[row[0] for row in NEW])
def test_a_new_instance_that_cannot_be(lane: Lane, words: str, params: Mapping[str, Any]) -> None:
    refused(lane, words, params)


@pytest.mark.parametrize(("words", "before", "params"), EXISTING, ids=[row[0] for row in EXISTING])
def test_a_change_that_cannot_be(lane: Lane, words: str, before: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    lane.host.given(NAME, **before)
    refused(lane, words, params)


@pytest.mark.parametrize("name", ["1st", "a_b", "a.b", "a" * 64, "a-", ""])
def test_a_name_that_cannot_be(lane: Lane, name: str) -> None:
    result = lane.task(name=name, source=TINY)
    assert "allowed are 1 to 63 letters, digits and hyphens" in result["msg"]


def test_suspending_without_criu_is_refused_with_the_nearest_and_it_goes_on_running(lane: Lane) -> None:
    config = {"migration.stateful": "true"} if lane.host.product == "incus" else {}
    lane.host.given(NAME, power="running", config=config)
    result = lane.task(name=NAME, state="suspended")
    assert result["error"] == "Refused"
    assert "The nearest that works is state: frozen" in result["msg"]
    assert lane.host.query(f"instances/{NAME}")["status"] == "Running"


def test_a_pool_that_says_it_keeps_quotas_is_believed(lane: Lane) -> None:
    lane.host.remove(NAME)
    lane.host.client("storage", "set", "default", "user.lxdops.quotas", "true")
    try:
        lane.done(name=NAME, source=TINY, state="present", root={"size": "1GiB"})
    finally:
        lane.host.client("storage", "unset", "default", "user.lxdops.quotas")
    assert lane.host.query(f"instances/{NAME}")["devices"]["root"]["size"] == "1GiB"
