# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A set: the snapshot of an instance, and those of its custom volumes that were taken with it.

The server knows no such thing. So the set's id, and what is in it, are in a mark that the instance has while the set is
taken (``user.lxdops.set``: ``ID SNAPSHOT POOL/VOLUME ...``), and its snapshot since. A volume's snapshot is called
``SNAPSHOT.ID``. The one of the instance is taken last and deleted last: where it is, the set is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .errors import NotFound
from .instance import Devices
from .instance_record import SET
from .steps import Api, Reader
from .volume_devices import VOLUME

NOTE = "lxdops restore, then "
"""Begins the description of the first volume's snapshot while a set is restored: which power it had follows. The
instance itself could not keep that, since its config is restored too."""


@dataclass(frozen=True)
class VolumeSet:
    """What is in a set besides the instance. ``id`` is empty in predictions."""

    id: str
    snapshot: str
    volumes: tuple[str, ...] = ()
    """``POOL/VOLUME``, sorted."""

    @property
    def mark(self) -> str:
        return " ".join((self.id, self.snapshot, *self.volumes))

    @property
    def paths(self) -> dict[str, str]:
        """Where the API has the volumes' snapshots."""
        return {volume: f"{volume_path(volume)}/snapshots/{self.snapshot}.{self.id}" for volume in self.volumes}

    @property
    def text(self) -> str:
        """As an end of a sentence about the snapshot."""
        return f", with those of the volumes {', '.join(self.volumes)}" if self.volumes else ""


@dataclass(frozen=True)
class Found:
    """What there is of a set that is to be restored, or was declared. ``problems``: why it cannot be, in words."""

    missing: tuple[str, ...] = ()
    """The volumes whose snapshot is gone."""
    problems: tuple[str, ...] = ()
    then: str = ""
    """The power that the instance had when a restore was begun that was not ended, or empty."""


def set_of(config: Mapping[str, str]) -> VolumeSet | None:
    """The set that a config is marked with."""
    words = config.get(SET, "").split(" ")
    return VolumeSet(words[0], words[1], tuple(words[2:])) if len(words) > 1 else None


def attached(devices: Devices) -> tuple[str, ...]:
    """The custom volumes that are attached, as ``POOL/VOLUME``."""
    disks = [device for device in devices.values() if device.get("type") == "disk" and device.get("path") != "/"]
    # Incus takes a path within the volume behind its name.
    return tuple(
        sorted(
            {
                f"{disk['pool']}/{disk['source'].split('/')[0]}"
                for disk in disks
                if disk.get("pool") and disk.get("source")
            }
        )
    )


def external(devices: Devices) -> tuple[str, ...]:
    """The volumes of external storages that are attached, in words."""
    return tuple(f"{name}, of an external storage" for name in sorted(devices) if VOLUME in devices[name])


def volume_path(volume: str) -> str:
    """Where the API has a custom volume."""
    pool, _slash, name = volume.partition("/")
    return f"storage-pools/{pool}/volumes/custom/{name}"


def read_set(on: Reader, instance: str, found: VolumeSet, restored: bool) -> Found:
    """What there is of a set; ``restored``: also what stands in the way of a restore."""
    records = {volume: on.find(path) for volume, path in found.paths.items()}
    missing = tuple(volume for volume, record in records.items() if record is None)
    notes = [record["description"] for record in records.values() if record and record["description"].startswith(NOTE)]
    problems = [problem for volume in found.volumes for problem in _problems(on, instance, volume, found)]
    return Found(missing, tuple(problems if restored else ()), notes[0][len(NOTE) :] if notes else "")


def _problems(on: Reader, instance: str, volume: str, found: VolumeSet) -> Iterable[str]:
    record = on.find(volume_path(volume))
    for url in (record or {}).get("used_by") or ():
        path, _mark, project = url.partition("?project=")
        kind, name = path.split("/")[2:4]
        if kind != "instances" or name == instance:
            continue
        user = on.find(f"instances/{name}", project=project or "default")
        if user and user["status"] != "Stopped":
            yield f"the volume {volume} is used by {name}, which runs: stop that first"
    pool = on.find(f"storage-pools/{volume.split('/')[0]}")
    if pool and pool["driver"] == "zfs":
        taken = sorted(on.get(f"{volume_path(volume)}/snapshots", recursion=1), key=lambda one: str(one["created_at"]))
        names = [one["name"].rsplit("/", 1)[-1] for one in taken]
        own = f"{found.snapshot}.{found.id}"
        newer = names[names.index(own) + 1 :] if own in names else []
        if newer:
            yield f"the volume {volume}, on a pool of zfs, has newer snapshots: {', '.join(newer)}: delete those first"


def drop_volumes(on: Api, found: VolumeSet) -> None:
    """Delete the volumes' snapshots of a set."""
    for path in found.paths.values():
        try:
            on.delete(path)
        except NotFound:
            continue
