# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""One instance of a dead host made again on another: create it, bring it to its power, note that it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .converge import Domain
from .errors import OperationFailed, Refused
from .evacuation import Lost
from .instance import Current, Server, view
from .instance_power import powers
from .instance_read import read_current
from .instance_record import EVACUATED
from .instance_steps import Discard
from .instance_write import rewrite
from .migration import starting
from .steps import Api, Step
from .volume_devices import shown_volumes


@dataclass(frozen=True)
class Rescue:
    """An instance that shall be on a target. ``host``: what identifies the dead one; ``name``: what it is called on the
    target, where it may have been renamed since."""

    lost: Lost
    host: str
    target: str
    image: str
    name: str

    @property
    def result(self) -> Current:
        """The instance as it is to be made: who it was, but for its image's keys, which the server writes."""
        data = self.lost.data
        config = {
            key: value
            for key, value in data["config"].items()
            if not key.startswith("image.") and key != "volatile.base_image"
        }
        return Current(
            name=self.lost.name,
            power="stopped",
            type=data["type"],
            description=data["description"],
            config={**config, EVACUATED: f"{self.host} {self.lost.power}"},
            devices=data["devices"],
            profiles=tuple(data["profiles"]),
            ephemeral=data["ephemeral"],
            architecture=data["architecture"],
        )


@dataclass(frozen=True)
class Recreate:
    """Create the instance. One request has it all, the marker too: a run that is killed leaves nothing, or a copy that
    the next one knows."""

    result: Current
    image: str
    target: str

    @property
    def text(self) -> str:
        return f"create {self.result.type} {self.result.name} on {self.target} from image {self.image[:12]}"

    def effect(self, current: Current) -> Current:
        return replace(self.result, server=current.server)

    def run(self, on: Api) -> None:
        result = self.result
        body = {
            "name": result.name,
            "type": result.type,
            "architecture": result.architecture,
            "description": result.description,
            "config": dict(result.config),
            "devices": {name: dict(device) for name, device in result.devices.items()},
            "profiles": list(result.profiles),
            "ephemeral": result.ephemeral,
            "source": {"type": "image", "fingerprint": self.image},
        }
        on.post("instances", body)
        found = on.get(f"instances/{result.name}")
        wrong = [f"config {key}" for key, value in result.config.items() if found["config"].get(key) != value]
        wrong += [key for key in ("devices", "profiles", "description") if found[key] != body[key]]
        if wrong:
            raise OperationFailed(
                f"{result.name} on {on.name} is not what was recorded: {', '.join(wrong)}", found=wrong
            )


@dataclass(frozen=True)
class Arrived:
    """Note that the instance has the power it had: from now on that is its owner's."""

    name: str
    host: str
    target: str

    @property
    def text(self) -> str:
        return f"{self.name} is evacuated to {self.target}"

    def effect(self, current: Current) -> Current:
        return replace(current, config={**current.config, EVACUATED: self.host})

    def run(self, on: Api) -> None:
        rewrite(on, self.name, lambda config: {**config, EVACUATED: self.host})


def read(on: Api, rescue: Rescue) -> Current:
    """The instance on the target, or an absent one."""
    return read_current(on, rescue.name, Server(name=on.name))


def plan(rescue: Rescue, current: Current) -> list[Step[Current, Api]]:
    """The steps that are left, or Refused."""
    name = rescue.name
    steps: list[Step[Current, Api]] = []
    if current.exists:
        host, _space, power = current.config.get(EVACUATED, "").partition(" ")
        if host != rescue.host or current.config.get("volatile.uuid") != rescue.lost.uuid:
            raise Refused(f"{name}: {rescue.target} has another instance of this name", found=name)
        if not power:
            return []
        if not current.half_made:
            return [*powers(name, starting(power, current.power)), Arrived(name, host, rescue.target)]
        steps.append(Discard(name))
    recreate = Recreate(rescue.result, rescue.image, rescue.target)
    last = Arrived(name, rescue.host, rescue.target)
    return [*steps, recreate, *powers(name, starting(rescue.lost.power, "stopped")), last]


RESCUE: Domain[Api, Rescue, Current] = Domain(
    kind="instance",
    settle=lambda on, rescue: on.settle(f"instances/{rescue.name}"),
    read=read,
    plan=plan,
    view=view,
    report=lambda rescue, _current: told(rescue.lost, rescue.target, rescue.image),
    confirm=lambda _on, _rescue, current: current,
)


def told(lost: Lost, target: str, image: str) -> Mapping[str, Any]:
    """What a result says of each instance."""
    return {
        "project": lost.project,
        "uuid": lost.uuid,
        "target": target,
        "image": image,
        "power": lost.power,
        "dropped": list(lost.dropped),
        "volumes": shown_volumes(lost.data["devices"]),
    }
