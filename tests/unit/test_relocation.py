# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves between the members of a cluster."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.cluster_drain import drained, restored
from ansible_collections.lxdops.compute.plugins.module_utils.errors import Refused
from ansible_collections.lxdops.compute.plugins.module_utils.instance import Current, Server
from ansible_collections.lxdops.compute.plugins.module_utils.instance_record import HOME
from ansible_collections.lxdops.compute.plugins.module_utils.migration import JOURNAL, Journal, journal_for, noted
from ansible_collections.lxdops.compute.plugins.module_utils.placement import Room
from ansible_collections.lxdops.compute.plugins.module_utils.relocation import plan
from ansible_collections.lxdops.compute.plugins.module_utils.relocation_steps import Located, Relocate
from ansible_collections.lxdops.compute.plugins.module_utils.steps import predict
from unit.instances import existing

MEMBERS = {"one": "online", "two": "online", "off": "offline"}
WANTED = Relocate("web1", "two")


def located(power: str = "running", location: str = "one", begun: bool = False, **fields: Any) -> Located:
    """An instance of a cluster; ``begun``: an earlier run has noted that it moves."""
    current = existing(power, location=location, server=Server(name="c"), **fields)
    if begun:
        running = replace(current, power="running")
        current = replace(current, config=noted(current.config, journal_for(running)), ephemeral=False)
    return Located(current, MEMBERS)


@pytest.mark.parametrize("ephemeral", [True, False])
def test_a_move_carried_out_leaves_it_on_the_member_as_it_was(ephemeral: bool) -> None:
    for power, location, begun in product(("running", "frozen", "stopped"), ("one", "two"), (True, False)):
        before = located(power, location, begun, ephemeral=ephemeral)
        steps = plan(WANTED, before)
        after = predict(before, steps)
        assert plan(WANTED, after) == []
        assert after.instance.location == "two"
        assert after.instance.power == ("running" if begun else power)
        assert after.instance.ephemeral is ephemeral
        assert JOURNAL not in after.instance.config
        assert bool(steps) == (begun or location == "one")


def test_the_words_of_a_move() -> None:
    assert [step.text for step in plan(WANTED, located())] == [
        "note on web1 that it moves",
        "stop web1, move web1 to two, start web1 there",
        "take the notes of the move off web1",
    ]


@pytest.mark.parametrize(
    ("wanted", "found", "words"),
    [
        (WANTED, Located(Current(name="web1"), MEMBERS), "no such instance"),
        (replace(WANTED, member="x"), located(), "x is no member: its members are one, two, off"),
        (WANTED, Located(located().instance, {}), "it is no cluster"),
        (replace(WANTED, member="off"), located(), "member off is offline"),
        (WANTED, replace(located(), cordoned="swap"), "member two is cordoned \\(swap\\)"),
        (WANTED, located(location="off"), "recovering it is an evacuation"),
        (WANTED, located("suspended"), "in the state suspended"),
        (WANTED, replace(located(), left_behind=("v1 of pool fast",)), "volume v1 of pool fast is on one only"),
        (
            WANTED,
            located(expanded_devices={"d": {"type": "disk", "source": "/srv", "path": "/srv"}}),
            "device d \\(disk /srv\\) is of the host: say host_devices: true",
        ),
        (replace(WANTED, only_for_others=("pool",)), located(), "pool: only for a move to another server"),
    ],
)
def test_what_stands_in_the_way(wanted: Relocate, found: Located, words: str) -> None:
    with pytest.raises(Refused, match=words):
        plan(wanted, found)


def test_a_home_is_noted_when_it_is_left_and_forgotten_when_it_is_reached() -> None:
    away = replace(WANTED, remember_home=True)
    moved = predict(located(), plan(away, located()))
    assert moved.instance.config[HOME] == "one"
    back = predict(moved, plan(replace(WANTED, member="one"), moved))
    assert HOME not in back.instance.config
    assert HOME not in predict(located(), plan(WANTED, located())).instance.config


def data(name: str, location: str, journal: Journal | None = None, **config: str) -> dict[str, Any]:
    """An instance as the API shows it."""
    own = {**config, **({JOURNAL: journal.text} if journal else {})}
    own = {HOME if key == "home" else key: value for key, value in own.items()}
    common = {"type": "container", "status": "Running", "architecture": "x86_64", "profiles": [], "location": location}
    return {**common, "name": name, "config": own, "expanded_config": own, "expanded_devices": {}}


def test_a_member_is_drained_and_filled_again() -> None:
    begun = Journal("u", "", "", "leaving", "running", home="one")
    rooms = [Room("two", 1 << 40, 9, architectures=frozenset({"x86_64"})), Room("three", 0, 0, cordoned="offline")]
    found = [data("new", "one"), data("begun", "one", begun), data("moved", "two", begun), data("own", "two")]
    legs, nowhere = drained(found, "one", rooms, "spread")
    assert {(leg.name, leg.source, leg.target) for leg in legs} == {
        (name, "one", "two") for name in ("new", "begun", "moved")
    }
    assert nowhere == {}
    legs, nowhere = drained([data("new", "one")], "one", rooms[1:], "spread")
    assert (legs, nowhere) == ([], {"new": "cordoned (offline)"})

    home = Journal("u", "", "", "leaving", "running", home="")
    found = [data("away", "two", home="one"), data("own", "two"), data("back", "one", home), data("old", "one")]
    legs, _nowhere = restored(found, "one")
    assert {(leg.name, leg.source, leg.target) for leg in legs} == {("away", "two", "one"), ("back", "one", "one")}
