# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The evacuation of a dead host: which of its instances are made again, where, and what stands in the way. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .drain import guest_of
from .instance import Desired
from .instance_record import EVACUATED, is_creating
from .migration import JOURNAL
from .migration_blockers import WRONG, of_the_host, wrong_path
from .migration_read import custom_volumes
from .placement import Guest, Room, place
from .volume_devices import VOLUME, volumes_of

Key = tuple[str, str]
"""Project and name of an instance."""
IMAGE = ("image.os", "image.release", "image.variant", "image.architecture")
"""What two builds of one image have in common."""


@dataclass(frozen=True)
class Target:
    """A host that instances could go to. ``instances``: all it has, of every project. ``problem``: why it is not known
    what it has. ``rooms`` and ``images`` (by fingerprint) by project."""

    name: str
    identity: str = ""
    problem: str = ""
    instances: tuple[Mapping[str, Any], ...] = ()
    rooms: Mapping[str, Room] = field(default_factory=dict)
    images: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Wishes:
    """What a task says of an evacuation. ``begun``: uuid -> target, as earlier runs have it; None: not known."""

    weight: str = "spread"
    names: frozenset[str] | None = None
    declared: Mapping[Key, Desired] = field(default_factory=dict)
    begun: Mapping[str, str] | None = None
    drop_volumes: bool = False
    host_devices: bool = False
    volumes: Mapping[str, str | None] = field(default_factory=dict)
    """The volumes of external storages that the targets have, and the path of each; None: the recorded one."""


@dataclass(frozen=True)
class Lost:
    """An instance of the dead host, as the record and the task together say it shall be. ``lacks``: what the record
    had to leave out and the task does not say. ``dropped``: what cannot be brought back, in words."""

    name: str
    project: str
    uuid: str
    data: Mapping[str, Any]
    power: str = "stopped"
    lacks: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()
    """Volumes that are encrypted on one of the hosts and not on the other."""

    @property
    def key(self) -> Key:
        return self.project, self.name


@dataclass(frozen=True)
class Fate:
    """What becomes of a lost instance: made again on ``target`` from ``image``; ``there``: it is there already, by an
    evacuation, as the server shows it; ``elsewhere``: it is there, not by one; ``problem``: why nothing can be done."""

    lost: Lost
    target: str = ""
    image: str = ""
    there: Mapping[str, Any] | None = None
    elsewhere: str = ""
    problem: str = ""


def lost_from(one: Mapping[str, Any], wishes: Wishes) -> Lost:
    """An instance of the record, with what the task declares over it."""
    declared = wishes.declared.get((one["project"], one["name"]), Desired(one["name"]))
    config = laid_over(one["config"], declared.config)
    devices = {name: dict(device) for name, device in one["devices"].items()}
    for name, device in declared.devices.items():
        devices[name] = {} if device is None else laid_over(devices.get(name, {}), device)
    devices = {name: device for name, device in devices.items() if device}
    gone = {name for name, device in declared.devices.items() if device is None}
    inherited = {name: device for name, device in one["expanded_devices"].items() if name not in one["devices"]}
    expanded = {**{name: device for name, device in inherited.items() if name not in gone}, **devices}
    dropped = ["all files of its root disk, and its snapshots"]
    if one["power"] == "suspended":
        dropped.append("its saved memory")
    if wishes.drop_volumes:
        for name in lost_volumes(expanded, declared):
            volume = expanded[name]
            dropped.append(f"volume {volume['source']} of pool {volume['pool']} (device {name})")
            # A device of a profile is taken away by one of type none.
            devices[name] = {"type": "none"}
            if name not in inherited:
                del devices[name]
            del expanded[name]
    mixed = tuple(
        volume for volume, name in volumes_of(devices).items() if wrong_path(devices[name], wishes.volumes.get(volume))
    )
    for volume, name in volumes_of(devices).items():
        devices[name]["source"] = wishes.volumes.get(volume) or devices[name].get("source", "")
        expanded[name] = devices[name]
    profiles = one["profiles"] if declared.profiles is None else list(declared.profiles)
    said = set(declared.config) | {
        f"devices.{name}.{key}" for name, given in declared.devices.items() for key in given or {}
    }
    said |= {left for left in one["left_out"] for name in gone if left.startswith(f"devices.{name}.")}
    data = {
        **one,
        "config": config,
        "devices": devices,
        "profiles": profiles,
        "expanded_config": {**one["expanded_config"], **config},
        "expanded_devices": expanded,
        "state": {"memory": {"usage": one["memory"]}},
        "description": one["description"] if declared.description is None else declared.description,
    }
    return Lost(
        name=one["name"],
        project=one["project"],
        uuid=one["config"].get("volatile.uuid", ""),
        data=data,
        power=one["power"] if one["power"] in ("running", "frozen") else "stopped",
        lacks=tuple(left for left in one["left_out"] if left not in said),
        dropped=tuple(dropped),
        mixed=mixed,
    )


def laid_over(below: Mapping[str, str], above: Mapping[str, str | None]) -> dict[str, str]:
    """What is declared over what was; None removes."""
    return {key: value for key, value in {**below, **above}.items() if value is not None}


def lost_volumes(devices: Mapping[str, Mapping[str, str]], declared: Desired) -> list[str]:
    """The devices that are custom volumes of the dead host: those that the task does not declare itself."""
    return [name for name, one in devices.items() if custom_volumes({name: one}) and name not in declared.devices]


def blockers(lost: Lost, wishes: Wishes) -> Iterator[str]:
    """What stands in the way of making an instance again, wherever."""
    config, devices = lost.data["config"], lost.data["expanded_devices"]
    declared = wishes.declared.get(lost.key, Desired(lost.name))
    if not lost.uuid:
        yield "the record has no volatile.uuid, by which its copy would be known"
    if JOURNAL in config:
        yield "a move of it was under way when the host was recorded: look at both hosts, and at state: aborted"
    if is_creating(config):
        yield "its creation was cut short"
    if lost.lacks:
        yield f"the record has no {', '.join(lost.lacks)}, since that may be secret: say it in instances (null: none)"
    for name in lost_volumes(devices, declared):
        volume = devices[name]
        yield (
            f"volume {volume['source']} of pool {volume['pool']} (device {name}) was on the dead host: say the "
            "device in instances if a target has its data, or drop_volumes: true to go without it"
        )
    for volume, name in volumes_of(devices).items():
        if volume not in wishes.volumes:
            yield (
                f"volume {volume} (device {name}) was connected to the dead host: connect it to the target "
                "(lxd_volume_attachment, state: connected) and say it in volumes; the role host_evacuation does so, "
                "and needs its connection"
            )
        elif volume in lost.mixed:
            yield f"volume {volume} (device {name}) is {WRONG}"
    for name, device in devices.items():
        if VOLUME not in device and of_the_host(device) and not wishes.host_devices and name not in declared.devices:
            yield (
                f"device {name} ({device['type']} {device.get('source', '')}) was of the dead host: say "
                "host_devices: true if the targets have the same"
            )


def image_of(lost: Lost, images: Mapping[str, Mapping[str, Any]]) -> str:
    """The fingerprint of the image that an instance is made from: the one that it was made from, or else another build
    of it, or empty."""
    config = lost.data["config"]
    if config.get("volatile.base_image") in images:
        return str(config["volatile.base_image"])
    known = {key: config[key] for key in IMAGE if key in config}
    if not {"image.os", "image.release"} <= known.keys():
        return ""
    builds = [
        image
        for image in images.values()
        if image["type"] == lost.data["type"]
        and all(image["properties"].get(key.removeprefix("image.")) == known.get(key) for key in IMAGE)
    ]
    newest = max(builds, key=lambda image: (image["created_at"], image["fingerprint"]), default=None)
    return str(newest["fingerprint"]) if newest else ""


def fates(record: Mapping[str, Any], targets: Sequence[Target], wishes: Wishes) -> list[Fate]:
    """What becomes of each instance. All targets are looked at first: one that is there already is not made again."""
    chosen = [one for one in record["instances"] if wishes.names is None or one["name"] in wishes.names]
    found = [_found(lost_from(one, wishes), record["identity"], targets, wishes) for one in chosen]
    open_ones = [fate for fate in found if fate.target == "" and not fate.elsewhere and not fate.problem]
    rooms: dict[str, Room] = {}
    placed: dict[Key, Fate] = {}
    for project in sorted({fate.lost.project for fate in open_ones}):
        mine = {fate.lost.name: fate.lost for fate in open_ones if fate.lost.project == project}
        placed |= _placed(project, mine, targets, wishes, rooms)
    return [placed.get(fate.lost.key, fate) for fate in found]


def _found(lost: Lost, host: str, targets: Sequence[Target], wishes: Wishes) -> Fate:
    """Where an instance is already, or what stands in the way."""
    where = [(target, one) for target in targets for one in target.instances if is_copy(one, lost.uuid)]
    if len(where) > 1:
        return Fate(lost, problem=f"it is on {' and '.join(target.name for target, _one in where)}: remove all but one")
    if where:
        target, one = where[0]
        if JOURNAL in one["config"]:
            return Fate(lost, problem=f"{target.name} has a copy of it from a move that was cut short: {one['name']}")
        if evacuated_from(one) == host:
            return Fate(lost, target=target.name, there=one, image=one["config"].get("volatile.base_image", ""))
        return Fate(lost, elsewhere=target.name)
    problem = "; ".join(blockers(lost, wishes))
    silent = [target for target in targets if target.problem]
    before = (wishes.begun or {}).get(lost.uuid, "")
    if before and (before not in {target.name for target in targets} or before in {one.name for one in silent}):
        why = next((target.problem for target in silent if target.name == before), "not among the targets")
        problem = f"an earlier run has begun with it on {before}, so it may be there: {why}"
    elif wishes.begun is None and silent:
        known = "; ".join(f"{target.name}: {target.problem}" for target in silent)
        problem = f"it may be on a target that does not answer, and without tombstones that is not known: {known}"
    return Fate(lost, problem=problem)


def is_copy(data: Mapping[str, Any], uuid: str) -> bool:
    """Whether an instance is the one with this uuid."""
    return bool(uuid) and data["config"].get("volatile.uuid") == uuid


def evacuated_from(data: Mapping[str, Any]) -> str:
    """The identity of the host that an instance was evacuated from, or empty."""
    return str(data["config"].get(EVACUATED, "")).partition(" ")[0]


def pending_power(data: Mapping[str, Any]) -> str:
    """The power that an evacuation that is not done yet is to bring, or empty."""
    return str(data["config"].get(EVACUATED, "")).partition(" ")[2]


def _placed(
    project: str, mine: Mapping[str, Lost], targets: Sequence[Target], wishes: Wishes, rooms: dict[str, Room]
) -> dict[Key, Fate]:
    """Where the instances of a project go. ``rooms`` has what those of other projects left of each target."""
    images = {
        target.name: {name: image_of(one, target.images.get(project, {})) for name, one in mine.items()}
        for target in targets
    }
    begun = wishes.begun or {}
    result: dict[Key, Fate] = {}
    here: list[Room] = []
    for target in targets:
        room = target.rooms.get(project, Room(target.name, 0, 0, cordoned=target.problem or "unknown"))
        before = rooms.get(target.name)
        if before:
            room = replace(room, memory=before.memory, cpus=before.cpus, disk={**room.disk, **before.disk})
        here.append(
            replace(
                room, images=frozenset(image_name(mine[name]) for name, image in images[target.name].items() if image)
            )
        )
    guests = {name: replace(guest_of(one.data), images=frozenset({image_name(one)})) for name, one in mine.items()}
    # What an earlier run has begun with goes where it was to go, and first.
    for pinned in (*sorted({begun[one.uuid] for one in mine.values() if one.uuid in begun}), ""):
        asked = [guests[name] for name, one in mine.items() if begun.get(one.uuid, "") == pinned]
        placement = place(asked, [room for room in here if pinned in ("", room.name)], wishes.weight)
        for name, host in placement.hosts.items():
            taken = any(
                (one.get("project", "default"), one["name"]) == (project, name)
                for found in targets
                if found.name == host
                for one in found.instances
            )
            problem = f"{host} has another instance of this name" if taken else ""
            result[project, name] = Fate(mine[name], target=host, image=images[host][name], problem=problem)
        for name, reasons in placement.unplaced.items():
            only = f" (an earlier run has begun with it on {pinned})" if pinned else ""
            result[project, name] = Fate(mine[name], problem=f"goes nowhere{only}: {'; '.join(reasons)}")
        here = [_less(room, [guests[name] for name, to in placement.hosts.items() if to == room.name]) for room in here]
    rooms.update({room.name: room for room in here})
    return result


def image_name(lost: Lost) -> str:
    """What the image is called that an instance needs."""
    config = lost.data["config"]
    return str(config.get("volatile.base_image", "") or "(it was made from none)")


def _less(room: Room, guests: Sequence[Guest]) -> Room:
    """What is left of a room."""
    disk = dict(room.disk)
    for guest in guests:
        for pool, size in guest.disk.items():
            disk[pool] = disk.get(pool, 0) - size
    return replace(
        room,
        memory=room.memory - sum(guest.memory for guest in guests),
        cpus=room.cpus - sum(guest.cpus for guest in guests),
        disk=disk,
        together=room.together | frozenset(guest.together for guest in guests) - {""},
        apart=room.apart | frozenset(group for guest in guests for group in guest.apart),
    )
