# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Which host each of many instances goes to. Pure.

Filters say where an instance may be, weights where it had better be. Guests with the same needs share their list of
hosts, kept in order of free memory, so that thousands of hosts and a hundred thousand instances take seconds.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

WEIGHTS = ("spread", "pack")


@dataclass(frozen=True)
class Guest:
    """An instance to be placed. ``memory`` and ``disk`` (by pool) in bytes; 0: no limit is known, so none is kept."""

    name: str
    memory: int = 0
    cpus: int = 0
    disk: Mapping[str, int] = field(default_factory=dict)
    type: str = "container"
    architecture: str = ""
    networks: frozenset[str] = frozenset()
    profiles: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    """Images that it is made from, where that is to be done."""
    together: str = ""
    """Affinity group: on one host with the others of it."""
    apart: frozenset[str] = frozenset()
    """Anti-affinity groups: on another host than the others of each."""


@dataclass(frozen=True)
class Room:
    """A host and what is free on it. ``disk``: bytes by pool."""

    name: str
    memory: int
    cpus: int
    disk: Mapping[str, int] = field(default_factory=dict)
    types: frozenset[str] = frozenset({"container"})
    architectures: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    profiles: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    cordoned: str = ""
    together: frozenset[str] = frozenset()
    """Affinity groups that have a member here already."""
    apart: frozenset[str] = frozenset()
    """Anti-affinity groups that have a member here already."""


@dataclass(frozen=True)
class Placement:
    """Where each instance goes, and of the others why not: reasons, and how many hosts each excludes."""

    hosts: Mapping[str, str]
    unplaced: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Unit:
    """Guests that go together, as one need."""

    guests: tuple[Guest, ...]
    memory: int
    cpus: int
    disk: Mapping[str, int]
    needs: Needs
    together: str
    apart: frozenset[str]


@dataclass(frozen=True)
class Needs:
    """What a host must have, however full it is."""

    types: frozenset[str]
    architectures: frozenset[str]
    pools: frozenset[str]
    networks: frozenset[str]
    profiles: frozenset[str]
    images: frozenset[str]


class Space:
    """What is left of a room while instances are placed."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.memory, self.cpus, self.disk = room.memory, room.cpus, dict(room.disk)
        self.together, self.apart = set(room.together), set(room.apart)

    def lacks(self, unit: Unit) -> str:
        """Why the unit does not fit, or empty."""
        if unit.memory > self.memory:
            return "too little memory"
        if unit.cpus > self.cpus:
            return "too few processors"
        for pool, size in unit.disk.items():
            if size > self.disk[pool]:
                return f"too little space in pool {pool}"
        if unit.apart & self.apart:
            return f"another of {', '.join(sorted(unit.apart & self.apart))} is there"
        return ""

    def take(self, unit: Unit) -> None:
        """Place it here."""
        self.memory -= unit.memory
        self.cpus -= unit.cpus
        for pool, size in unit.disk.items():
            self.disk[pool] -= size
        self.together |= {unit.together} - {""}
        self.apart |= unit.apart


def place(guests: Sequence[Guest], rooms: Sequence[Room], weight: str = "spread") -> Placement:
    """Where each instance goes. ``weight``: spread takes the host with the most free memory, pack the one with the
    least that is enough. The same input gives the same answer, whatever its order."""
    spaces = {room.name: Space(room) for room in sorted(rooms, key=lambda room: room.name)}
    homes = {group: name for name, space in spaces.items() for group in space.together}
    asking: dict[tuple[Needs, str], list[Unit]] = {}
    ordered = units(guests)
    for unit in ordered:
        asking.setdefault((unit.needs, homes.get(unit.together, "")), []).append(unit)
    queues = {key: Queue([spaces[key[1]]] if key[1] else spaces.values(), same, weight) for key, same in asking.items()}
    placed: dict[str, str] = {}
    unplaced: dict[str, Mapping[str, int]] = {}
    known: dict[object, Mapping[str, int]] = {}
    for unit in ordered:
        key = (unit.needs, homes.get(unit.together, ""))
        contradiction = apart_within(unit)
        space = None if contradiction else queues[key].first(unit)
        if space is not None:
            space.take(unit)
            placed.update(dict.fromkeys((guest.name for guest in unit.guests), space.room.name))
            continue
        alike = (key, unit.memory, unit.cpus, *sorted(unit.disk.items()), unit.apart)
        if alike not in known:
            known[alike] = {contradiction: len(spaces)} if contradiction else queues[key].why(unit)
        unplaced.update(dict.fromkeys((guest.name for guest in unit.guests), known[alike]))
    return Placement(placed, unplaced)


def units(guests: Iterable[Guest]) -> list[Unit]:
    """The guests by affinity groups, the largest first: small ones fill the gaps."""
    groups: dict[tuple[str, str], list[Guest]] = {}
    for guest in sorted(guests, key=lambda guest: guest.name):
        groups.setdefault((guest.together, "" if guest.together else guest.name), []).append(guest)
    made = [_unit(members) for members in groups.values()]
    return sorted(made, key=lambda unit: (-unit.memory, -unit.cpus, unit.guests[0].name))


def _unit(guests: Sequence[Guest]) -> Unit:
    disk: Counter[str] = Counter()
    for guest in guests:
        disk.update(guest.disk)
    return Unit(
        guests=tuple(guests),
        memory=sum(guest.memory for guest in guests),
        cpus=sum(guest.cpus for guest in guests),
        disk=disk,
        needs=Needs(
            types=frozenset(guest.type for guest in guests),
            architectures=frozenset(guest.architecture for guest in guests) - {""},
            pools=frozenset(disk),
            networks=frozenset().union(*(guest.networks for guest in guests)),
            profiles=frozenset().union(*(guest.profiles for guest in guests)),
            images=frozenset().union(*(guest.images for guest in guests)),
        ),
        together=guests[0].together,
        apart=frozenset().union(*(guest.apart for guest in guests)),
    )


def apart_within(unit: Unit) -> str:
    """Why a unit can be nowhere, or empty: two of its guests are to be apart."""
    count = Counter(group for guest in unit.guests for group in guest.apart)
    twice = sorted(group for group, number in count.items() if number > 1)
    return f"{unit.together} is to be together, {', '.join(twice)} apart" if twice else ""


def misses(needs: Needs, room: Room) -> str:
    """What a host has not, however empty it is, or empty."""
    if room.cordoned:
        return f"cordoned ({room.cordoned})"
    for what, needed, there in (
        ("instances of type", needs.types, room.types),
        ("architecture", needs.architectures, room.architectures),
        ("pool", needs.pools, frozenset(room.disk)),
        ("network", needs.networks, room.networks),
        ("profile", needs.profiles, room.profiles),
        ("image", needs.images, room.images),
    ):
        if needed - there:
            return f"no {what} {', '.join(sorted(needed - there))}"
    return ""


class Queue:
    """The hosts that have what some guests need, by free memory.

    An entry holds the free memory that it was filed under; that only shrinks, so an entry that is not true any more is
    filed anew when it comes up, and a host that cannot take the least of the guests is out for good.
    """

    def __init__(self, spaces: Iterable[Space], asking: Sequence[Unit], weight: str) -> None:
        self._pack = weight == "pack"
        found = [(misses(asking[0].needs, space.room), space) for space in spaces]
        self._spaces = {space.room.name: space for reason, space in found if not reason}
        self._missing = Counter(reason for reason, _space in found if reason)
        self._filed = sorted((space.memory, name) for name, space in self._spaces.items())
        self._memory = min(unit.memory for unit in asking)
        self._cpus = min(unit.cpus for unit in asking)
        self._disk = {pool: min(unit.disk[pool] for unit in asking) for pool in asking[0].needs.pools}

    def first(self, unit: Unit) -> Space | None:
        """The best host for a unit, or None."""
        at = bisect_left(self._filed, (unit.memory, "")) if self._pack else len(self._filed) - 1
        while 0 <= at < len(self._filed):
            filed, name = self._filed[at]
            space = self._spaces[name]
            if self._is_full(space):
                del self._filed[at]
                at -= 0 if self._pack else 1
                continue
            if filed != space.memory:
                del self._filed[at]
                insort(self._filed, (space.memory, name))
                if not self._pack:
                    continue
            if not space.lacks(unit):
                return space
            if not self._pack and unit.memory > space.memory:
                return None  # None of the others has more.
            at += 1 if self._pack else -1
        return None

    def _is_full(self, space: Space) -> bool:
        short = space.memory < self._memory or space.cpus < self._cpus
        return short or any(space.disk[pool] < size for pool, size in self._disk.items())

    def why(self, unit: Unit) -> dict[str, int]:
        """Why no host takes a unit: the reasons, the most frequent first, and how many hosts each excludes."""
        reasons = self._missing + Counter(space.lacks(unit) for space in self._spaces.values())
        return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
