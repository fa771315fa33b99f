# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_host: the evacuation of a member by its cluster's own engine, also where that fails half-way."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from integration import lab_host
from integration.case import same
from integration.conftest import lab
from integration.killed_run import killed
from integration.lab_host import LabHost, wait_until
from integration.task import task
from lab.errors import LabError

pytestmark = pytest.mark.thorough
SOURCE = {"type": "image", "alias": "tiny"}
NAMES = ("one", "two", "three")
DISK = {"d": {"type": "disk", "source": "/srv", "path": "/mnt"}}


@pytest.fixture(scope="module", params=["lxd", "incus"])
def cluster_of_three(request: pytest.FixtureRequest) -> Iterator[list[LabHost]]:
    with lab("c3", "--cluster", "3", "--product", request.param) as hosts:
        yield hosts


@pytest.fixture
def members(cluster_of_three: list[LabHost]) -> Iterator[list[str]]:
    """The names of the members, of which the first has instances; all are there at the end, and empty."""
    host = cluster_of_three[0]
    names = sorted(url.rsplit("/", 1)[1] for url in host.query("cluster/members"))
    for name in NAMES:
        host.call("POST", f"instances?target={names[0]}", {"name": name, "source": SOURCE})
        host.power(name, "start")
    yield names
    if host.query(f"cluster/members/{names[0]}")["status"] == "Evacuated":
        host.call("POST", f"cluster/members/{names[0]}/state", {"action": "restore"})
    wait_until(partial(removed, host), "all members that were off have started fully")


def removed(host: LabHost) -> bool:
    """Remove the instances of these tests; whether every member let that be done."""
    try:
        host.remove(*NAMES, "fixed", "full")
    except LabError as error:
        if "Server isn't ready yet" not in str(error) and "already stopped" not in str(error):
            raise
        return False
    return True


def evacuate(host: LabHost, member: str, *, check: bool = False, state: str = "evacuated") -> dict[str, Any]:
    """The result of one task."""
    params = {**host.https, "member": member, "state": state, "wait_timeout": 120}
    return task(params, module="lxdops.compute.lxd_host", check=check)


def where(host: LabHost) -> dict[str, tuple[str, str]]:
    """On which member each instance is, and its status."""
    return {one["name"]: (one["location"], one["status"]) for one in host.call("GET", "instances?recursion=1")}


def test_check_apply_again_and_home(cluster_of_three: list[LabHost], members: list[str]) -> None:
    host, here = cluster_of_three[1], members[0]
    host.call("POST", f"instances?target={here}", {"name": "fixed", "source": SOURCE, "devices": DISK})
    host.power("fixed", "start")
    before = where(host)
    refused = evacuate(host, here)
    assert "crashes on a disk that is of no pool, as fixed (project default, device d) has" in refused["msg"]
    assert "this server does what cluster.evacuate" not in refused["msg"]
    host.client("config", "set", "fixed", "cluster.evacuate", "stop")
    assert where(host) == before
    checked = evacuate(host, here, check=True)
    assert where(host) == before
    assert {one["name"] for one in checked["remaining"]} == {*NAMES, "fixed"}
    applied = evacuate(host, here)
    same((applied["steps"], applied["diff"]), (checked["steps"], checked["diff"]))
    # The server only stops what it cannot move: it is named.
    assert applied["remaining"] == [{"name": "fixed", "project": "default", "status": "Stopped"}]
    after = where(host)
    assert after.pop("fixed") == (here, "Stopped")
    assert {status for _member, status in after.values()} == {"Running"}
    assert here not in {member for member, _status in after.values()}
    again = evacuate(host, here)
    assert (again["changed"], again["remaining"]) == (False, applied["remaining"])
    home = evacuate(host, here, state="restored")
    assert home["changed"]
    assert where(host) == before
    assert not evacuate(host, here, state="restored")["changed"]


def test_one_that_failed_half_way_is_ended_by_another_run(cluster_of_three: list[LabHost], members: list[str]) -> None:
    host, (here, _there, dead) = cluster_of_three[0], members
    # The cluster prefers the member with the fewest: so one instance goes, before the dead one's turn comes.
    host.call("POST", f"instances?target={dead}", {"name": "full", "source": SOURCE})
    number = str(cluster_of_three[2].number)
    lab_host.lab("kill", "--name", host.lab, number)
    try:
        failed = evacuate(host, here)
        assert failed.get("failed"), failed
    finally:
        lab_host.lab("start", "--name", host.lab, number)
        wait_until(lambda: host.query(f"cluster/members/{dead}")["status"] == "Online", f"{dead} is back")
    mid = where(host)
    assert {mid[name][1] for name in NAMES} == {"Running"}, "the failure left one stopped"
    assert here in {mid[name][0] for name in NAMES}, "nothing was left to do"
    done = evacuate(host, here)
    assert not done.get("failed"), done
    assert done["remaining"] == []
    after = where(host)
    assert {after[name][1] for name in NAMES} == {"Running"}
    assert here not in {after[name][0] for name in NAMES}
    assert evacuate(host, here, state="restored")["changed"]
    assert {name: where(host)[name] for name in NAMES} == dict.fromkeys(NAMES, (here, "Running"))
    assert not host.query(f"cluster/members/{here}")["config"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 4))
def test_a_run_killed_at_any_write_is_ended_by_the_next(
    cluster_of_three: list[LabHost], members: list[str], number: int, when: str
) -> None:
    host, here = cluster_of_three[0], members[0]
    params = {**host.https, "member": here, "state": "evacuated", "wait_timeout": 120}
    assert killed(number, when, params, "lxd_host")
    done = evacuate(host, here)
    assert not done.get("failed"), done
    after = where(host)
    assert {after[name][1] for name in NAMES} == {"Running"}
    assert here not in {after[name][0] for name in NAMES}
    assert not evacuate(host, here)["changed"]
    assert not host.query(f"cluster/members/{here}")["config"]
