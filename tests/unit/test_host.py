# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cordons and members of clusters; what processors can do, in OpenStack's words."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.errors import Refused
from ansible_collections.lxdops.compute.plugins.module_utils.host import Host, Wanted, plan, view
from ansible_collections.lxdops.compute.plugins.module_utils.host_cluster import crash_of
from ansible_collections.lxdops.compute.plugins.module_utils.host_facts import traits
from ansible_collections.lxdops.compute.plugins.module_utils.steps import predict

MEMBER = Host("c", "one", status="online", members=("one", "two"))


@pytest.mark.parametrize("state", ["cordoned", "uncordoned", "evacuated", "restored"])
def test_a_plan_carried_out_leaves_nothing_to_do(state: str) -> None:
    hosts = [Host("s"), Host("s", cordon="why")] if state.endswith("cordoned") else []
    hosts += [
        Host("c", "one", cordon, scheduler, status, ("one",))
        for cordon, scheduler, status in product(("", "why"), ("", "all", "manual"), ("online", "evacuated"))
    ]
    for host in hosts:
        wanted = Wanted(state, "why")
        after = predict(host, plan(wanted, host))
        assert plan(wanted, after) == []
        assert view(after)["cordoned"] is {"cordoned": True, "uncordoned": False}.get(state, bool(host.cordon))


def test_another_reason_is_a_change() -> None:
    assert [step.text for step in plan(Wanted("cordoned", "new"), Host("s", cordon="old"))] == ["cordon: new"]
    able = replace(MEMBER, modes=True)
    assert [step.text for step in plan(Wanted("evacuated", action="stop"), able)] == ["evacuate one (stop)"]


def test_an_evacuation_that_was_cut_short_is_ended() -> None:
    half = replace(MEMBER, status="evacuated", cut_short=True)
    steps = plan(Wanted("evacuated"), half)
    assert [step.text for step in steps] == ["evacuate one"]
    assert plan(Wanted("evacuated"), predict(half, steps)) == []


def test_a_disk_of_no_pool_crashes_the_servers_own_evacuation() -> None:
    def data(policy: str | None, **disk: str) -> dict[str, Any]:
        config = {"cluster.evacuate": policy} if policy else {}
        devices = {"d": {"type": "disk", **disk}, "root": {"type": "disk", "path": "/"}, "eth0": {"type": "nic"}}
        return {"name": "a", "project": "p", "expanded_config": config, "expanded_devices": devices}

    for policy in (None, "auto"):
        assert crash_of(data(policy, source="/srv", path="/srv")) == ["a (project p, device d)"]
        assert crash_of(data(policy, source="vol", pool="default", path="/srv")) == []
    assert crash_of(data("stop", source="/srv", path="/srv")) == []


@pytest.mark.parametrize(
    ("wanted", "host", "words"),
    [
        (Wanted("evacuated"), Host("s"), "it is no cluster; between servers by themselves lxd_migration"),
        (
            Wanted("evacuated"),
            replace(MEMBER, crashing=("a (project p, device d)",)),
            "crashes on a disk .* as a .project",
        ),
        (Wanted("evacuated", action="stop"), MEMBER, "evacuation: found stop, but this server does what cluster.evac"),
        (Wanted("cordoned", member="three"), Host("c", members=("one", "two")), "three: its members are one, two"),
    ],
)
def test_what_is_refused(wanted: Wanted, host: Host, words: str) -> None:
    with pytest.raises(Refused, match=words):
        plan(wanted, host)


def test_traits_are_called_as_openstack_calls_them() -> None:
    found = traits(["aes", "avx512_vnni", "pni", "sse4_1", "vmx", "fpu", "bmi1", "pclmulqdq"])
    names = ["AESNI", "AVX512VNNI", "BMI", "CLMUL", "INTEL_VMX", "SSE3", "SSE41", "VMX"]
    assert found == [f"HW_CPU_X86_{name}" for name in names]
