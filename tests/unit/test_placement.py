# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placement: what is filtered, what is preferred, and that no filter is ever broken, in fleets of any size."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.placement import WEIGHTS, Guest, Room, misses, place, units

GIB = 1 << 30
BIG = Room(
    "one",
    memory=8 * GIB,
    cpus=8,
    disk={"fast": 100 * GIB},
    architectures=frozenset({"x86_64"}),
    networks=frozenset({"lan"}),
    profiles=frozenset({"default"}),
)
WEB = Guest(
    "web",
    memory=2 * GIB,
    cpus=2,
    disk={"fast": 10 * GIB},
    architecture="x86_64",
    networks=frozenset({"lan"}),
    profiles=frozenset({"default"}),
)


@pytest.mark.parametrize(
    ("guest", "room", "reason"),
    [
        ({}, {"cordoned": "swap"}, "cordoned (swap)"),
        ({"memory": 9 * GIB}, {}, "too little memory"),
        ({"cpus": 9}, {}, "too few processors"),
        ({"disk": {"fast": 101 * GIB}}, {}, "too little space in pool fast"),
        ({"disk": {"slow": 1}}, {}, "no pool slow"),
        ({"networks": frozenset({"lan", "dmz"})}, {}, "no network dmz"),
        ({"profiles": frozenset({"gpu"})}, {}, "no profile gpu"),
        ({"architecture": "aarch64"}, {}, "no architecture aarch64"),
        ({"type": "virtual-machine"}, {}, "no instances of type virtual-machine"),
        ({"apart": frozenset({"db"})}, {"apart": frozenset({"db"})}, "another of db is there"),
    ],
)
def test_what_is_filtered_is_named(guest: dict[str, Any], room: dict[str, Any], reason: str) -> None:
    for weight in WEIGHTS:
        placement = place([replace(WEB, **guest)], [replace(BIG, **room)], weight)
        assert placement.hosts == {}
        assert placement.unplaced == {"web": {reason: 1}}
    assert place([WEB], [BIG]).hosts == {"web": "one"}


def test_reasons_are_counted_over_all_hosts() -> None:
    rooms = [BIG, replace(BIG, name="two", cordoned="swap"), replace(BIG, name="three", memory=1)]
    placement = place([replace(WEB, memory=9 * GIB)], rooms)
    assert placement.unplaced == {"web": {"too little memory": 2, "cordoned (swap)": 1}}


def test_spread_takes_the_emptiest_host_and_pack_the_fullest_that_is_enough() -> None:
    rooms = [BIG, replace(BIG, name="two", memory=6 * GIB), replace(BIG, name="three", memory=1 * GIB)]
    webs = [replace(WEB, name=f"web{number}") for number in range(3)]
    assert Counter(place(webs, rooms, "spread").hosts.values()) == {"one": 2, "two": 1}
    assert Counter(place(webs, rooms, "pack").hosts.values()) == {"two": 3}


def test_groups_stay_together_and_apart() -> None:
    rooms = [BIG, replace(BIG, name="two"), replace(BIG, name="three", together=frozenset({"app"}))]
    webs = [replace(WEB, name=f"web{number}", together="app") for number in range(3)]
    assert set(place(webs, rooms).hosts.values()) == {"three"}
    assert len(set(place(webs, rooms[:2]).hosts.values())) == 1
    dbs = [replace(WEB, name=f"db{number}", apart=frozenset({"db"})) for number in range(4)]
    placement = place(dbs, rooms)
    assert len(set(placement.hosts.values())) == 3
    assert placement.unplaced == {"db3": {"another of db is there": 3}}
    both = [replace(guest, together="x") for guest in dbs[:2]]
    assert place(both, rooms).unplaced["db0"] == {"x is to be together, db apart": 3}


def test_the_order_of_the_input_is_of_no_consequence() -> None:
    guests, rooms = fleet(300, 12)
    first = place(guests, rooms)
    assert place(guests[::-1], rooms[::-1]) == first


def fleet(guests: int, rooms: int) -> tuple[list[Guest], list[Room]]:
    """A mixed fleet that mostly fits; always the same one."""
    chance = random.Random(guests)  # noqa: S311 - not for secrets
    each = guests / rooms
    hosts = [
        replace(
            BIG,
            name=f"host{number:05}",
            memory=int(each * 3 * GIB * chance.uniform(0.5, 1.5)),
            cpus=int(each * 5),
            disk={"fast": int(each * 20 * GIB), **({"slow": int(each * 20 * GIB)} if number % 3 else {})},
            types=frozenset({"container", "virtual-machine"} if number % 2 else {"container"}),
            networks=frozenset({"lan", f"rack{number % 8}"}),
            cordoned="" if number % 11 else "swap",
        )
        for number in range(rooms)
    ]
    instances = [
        replace(
            WEB,
            name=f"guest{number:06}",
            memory=chance.choice((GIB, GIB, 2 * GIB, 4 * GIB)),
            cpus=chance.choice((1, 2, 4)),
            disk={chance.choice(("fast", "fast", "slow")): chance.choice((1, 10)) * GIB},
            type=chance.choice(("container", "container", "virtual-machine")),
            networks=frozenset({"lan", f"rack{number % 8}"} if number % 5 == 0 else {"lan"}),
            together=f"pair{number // 2}" if number % 20 < 2 else "",
            apart=frozenset({f"quorum{number // 3}"}) if number % 21 in (3, 4, 5) else frozenset(),
        )
        for number in range(guests)
    ]
    return instances, hosts


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize(
    ("count", "hosts"), [(400, 20), (5000, 250), pytest.param(100_000, 5000, marks=pytest.mark.thorough)]
)
def test_no_filter_is_broken(count: int, hosts: int, weight: str) -> None:
    guests, rooms = fleet(count, hosts)
    placement = place(guests, rooms, weight)
    assert placement.hosts.keys() | placement.unplaced.keys() == {guest.name for guest in guests}
    assert not placement.hosts.keys() & placement.unplaced.keys()
    assert len(placement.hosts) > 0.8 * count
    by_room: dict[str, list[Guest]] = {}
    for guest in guests:
        if guest.name in placement.hosts:
            by_room.setdefault(placement.hosts[guest.name], []).append(guest)
    room_of = {room.name: room for room in rooms}
    for name, inside in by_room.items():
        room = room_of[name]
        assert sum(guest.memory for guest in inside) <= room.memory
        assert sum(guest.cpus for guest in inside) <= room.cpus
        for pool, size in room.disk.items():
            assert sum(guest.disk.get(pool, 0) for guest in inside) <= size
        assert all(not misses(unit.needs, room) for unit in units(inside))
        apart = Counter(group for guest in inside for group in guest.apart)
        assert not apart or max(apart.values()) == 1
    homes: dict[str, set[str]] = {}
    for guest in guests:
        if guest.together and guest.name in placement.hosts:
            homes.setdefault(guest.together, set()).add(placement.hosts[guest.name])
    assert all(len(found) == 1 for found in homes.values())
