# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_instance_info tells what `lxc query` shows."""

from collections.abc import Iterator
from typing import Any

import pytest
from integration.case import Lane
from integration.lab_host import wait_until
from integration.task import task

INFO = "lxdops.compute.lxd_instance_info"


@pytest.fixture(autouse=True, scope="module")
def _instances(lane: Lane) -> Iterator[None]:
    """A running, a stopped and a frozen one, and one in another project."""
    host = lane.host
    apart = {"features.images": "false", "features.profiles": "false"}
    host.call("POST", "projects", {"name": "apart", "config": apart})
    host.make("run", power="running", config={"user.role": "web", "cloud-init.user-data": "password: geheim"})
    host.make("off", config={"limits.cpu": "2", "user.role": "db"}, description="off for now")
    host.make("ice", power="frozen")
    body = {"name": "far", "source": {"type": "image", "alias": "tiny"}}
    host.call("POST", "instances?project=apart", body)
    yield
    host.remove("run", "off", "ice")
    host.call("DELETE", "instances/far?project=apart")
    host.call("DELETE", "projects/apart")


def info(lane: Lane, **params: Any) -> dict[str, Any]:
    """The result of the info module, which never changes anything."""
    before = lane.host.everything()
    result = task({**lane.connection, **params}, module=INFO)
    assert not result.get("changed")
    assert lane.host.everything() == before
    assert task({**lane.connection, **params}, module=INFO, check=True).get("instances") == result.get("instances")
    return result


def names(result: dict[str, Any]) -> list[str]:
    return [instance["name"] for instance in result["instances"]]


def test_all_of_a_project_and_their_states(lane: Lane) -> None:
    result = info(lane)
    assert {one["name"]: one["state"] for one in result["instances"]} == {
        "ice": "frozen",
        "off": "stopped",
        "run": "running",
    }


def test_one(lane: Lane) -> None:
    (found,) = info(lane, name="off")["instances"]
    shown = lane.host.query("instances/off")
    for key in ("description", "created_at", "profiles", "devices", "expanded_devices", "ephemeral", "location"):
        assert found[key] == shown[key]
    assert found["config"] == {"limits.cpu": "2", "user.role": "db"}
    assert found["image"] == shown["config"]["volatile.base_image"]
    assert found["hwaddr"] == {"eth0": shown["config"]["volatile.eth0.hwaddr"]}


def test_none_is_an_empty_list(lane: Lane) -> None:
    assert info(lane, name="ghost")["instances"] == []


@pytest.mark.parametrize("params", [{}, {"name": "off"}])
def test_a_project_that_is_not_there_is_not_an_empty_one(lane: Lane, params: dict[str, Any]) -> None:
    result = info(lane, project="ghost", **params)
    assert result["error"] == "Refused"
    assert result["msg"].startswith("project ghost is not on")


def test_some_by_the_servers_filter(lane: Lane) -> None:
    assert names(info(lane, filter="status eq Stopped")) == ["off"]
    assert names(info(lane, filter="config.user.role eq web")) == ["run"]


def test_all_projects(lane: Lane) -> None:
    found = {(one["project"], one["name"]) for one in info(lane, all_projects=True)["instances"]}
    assert found == {("apart", "far"), ("default", "ice"), ("default", "off"), ("default", "run")}
    assert names(info(lane, project="apart")) == ["far"]


@pytest.mark.parametrize("one", [{}, {"name": "run"}])
def test_addresses_when_asked_for(lane: Lane, one: dict[str, str]) -> None:
    def shown() -> list[str]:
        network = lane.host.query("instances/run/state")["network"]["eth0"]["addresses"]
        return [entry["address"] for entry in network if entry["scope"] == "global"]

    wait_until(shown, "an address")
    found = {one["name"]: one["addresses"] for one in info(lane, addresses=True, **one)["instances"]}
    assert found["run"] == {"eth0": shown()}
    assert found.get("off", {}) == {}


def test_a_query_over_the_result(lane: Lane) -> None:
    assert info(lane, query="""[?expanded_config."limits.cpu"=='2'].name""")["result"] == ["off"]


def test_a_bad_query_is_refused_in_words(lane: Lane) -> None:
    assert "query: [?name is no JMESPath expression" in info(lane, query="[?name")["msg"]


def test_secrets_are_digests(lane: Lane) -> None:
    assert "geheim" not in str(info(lane, name="run"))
