# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the instances of a host would go: what they need, and what an earlier run has begun."""

from __future__ import annotations

from typing import Any

from ansible_collections.lxdops.compute.plugins.module_utils.drain import (
    ELSEWHERE,
    LEAVING,
    UNKNOWN,
    Destination,
    Leg,
    closed,
    drained,
    guest_of,
    restored,
)
from ansible_collections.lxdops.compute.plugins.module_utils.migration import JOURNAL, Journal
from ansible_collections.lxdops.compute.plugins.module_utils.placement import Guest, Room
from unit.instances import DEFAULT

GIB = 1 << 30


def data(name: str, journal: Journal | None = None, **config: str) -> dict[str, Any]:
    """An instance as the API shows it."""
    own = {**{key.replace("_", "."): value for key, value in config.items()}}
    if journal:
        own[JOURNAL] = journal.text
    return {
        "name": name,
        "type": "container",
        "status": "Running",
        "architecture": "x86_64",
        "profiles": ["default"],
        "config": own,
        "expanded_config": own,
        "expanded_devices": {**DEFAULT.devices, "root": {**DEFAULT.devices["root"], "size": "2GiB"}},
    }


def destination(name: str, *copies: dict[str, Any], memory: int = 64 * GIB) -> Destination:
    """A host with room for anything; its identity is its name in capitals."""
    room = Room(
        name,
        memory,
        64,
        {"fast": 64 * GIB},
        architectures=frozenset({"x86_64"}),
        networks=frozenset({"lab0"}),
        profiles=frozenset({"default"}),
    )
    return Destination(room, name.upper(), copies)


def test_what_an_instance_needs() -> None:
    web = data("web", limits_memory="1GiB", limits_cpu="2", user_placement_together="shop", user_placement_apart="a, b")
    assert guest_of(web) == Guest(
        name="web",
        memory=GIB,
        cpus=2,
        disk={"fast": 2 * GIB},
        architecture="x86_64",
        networks=frozenset({"lab0"}),
        profiles=frozenset({"default"}),
        together="shop",
        apart=frozenset({"a", "b"}),
    )
    unlimited = data("web", limits_memory="50%", limits_cpu="0-3")
    assert (guest_of(unlimited).memory, guest_of(unlimited).cpus) == (UNKNOWN, 0)
    assert guest_of(unlimited | {"state": {"memory": {"usage": GIB}}}).memory == GIB


def way(legs: list[Leg]) -> dict[str, tuple[str | None, str | None]]:
    """Where each comes from and goes to."""
    return {leg.name: (leg.source, leg.target) for leg in legs}


def test_a_move_that_was_begun_goes_where_it_was_to_go() -> None:
    leaving = Journal("u", "HERE", "TWO", "leaving", "running")
    arrived = data("gone", Journal("u", "HERE", "TWO", "arrived", "running"))
    strange = data("strange", Journal("u", "ELSEWHERE", "TWO", "arrived", "running"))
    back = data("back", Journal("u", "HERE", "NOWHERE", "leaving", "running"))
    found = [data("begun", leaving), data("new"), back]
    two = destination("two", data("begun", leaving.at("copied")), arrived, strange)
    others = [destination("one", memory=99 * GIB), two, closed("three", "no answer")]
    legs, nowhere = drained(found, "HERE", others, "spread")
    assert way(legs) == {"begun": (None, "two"), "new": (None, "one"), "gone": (None, "two")}
    assert nowhere == {"back": ELSEWHERE}


def test_a_host_that_cannot_be_reached_is_a_reason() -> None:
    nowhere = {"web": "cordoned (no answer) (2 hosts)"}
    assert drained([data("web")], "HERE", [closed("two", "no answer"), closed("three", "no answer")], "spread") == (
        [],
        nowhere,
    )


def test_home_come_those_that_have_it_noted_and_those_that_a_run_left_half_way() -> None:
    coming = Journal("u", "TWO", "HERE", "leaving", "running")
    two = destination("two", data("away", user_lxdops_home="here"), data("own"), data("begun", coming))
    begun = data("begun", coming.at("incoming"))
    arrived = data("arrived", coming.at("arrived"))
    strange = data("strange", Journal("u", "NOWHERE", "HERE", "arrived", "running"))
    legs, nowhere = restored([begun, arrived, strange, data("old")], "HERE", "here", [two])
    assert way(legs) == {"away": ("two", None), "begun": ("two", None), "arrived": ("two", None)}
    assert nowhere == {"strange": ELSEWHERE}


def test_what_is_on_its_way_out_is_not_brought_home_but_named() -> None:
    leaving = Journal("u", "HERE", "TWO", "leaving", "running")
    two = destination("two", data("gone", leaving.at("arrived")))
    found = [data("leaving", leaving)]
    legs, nowhere = restored(found, "HERE", "here", [two, closed("three", "no answer")])
    assert legs == []
    assert nowhere == {
        "gone": LEAVING,
        "leaving": LEAVING,
        "three": "no answer; instances whose home this host is may be there",
    }
