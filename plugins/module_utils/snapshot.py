# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A snapshot of an instance: what it shall be, what there is, and how that looks to users."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from typing import Any

from .errors import Refused
from .instance import Current, Devices
from .instance_record import EVACUATED, FLEET, HOME, RESTORED, shown_config
from .snapshot_file import Export, Exported
from .snapshot_image import Publish, Published, view_image
from .snapshot_set import Found, VolumeSet, set_of

SPAN = re.compile(r"^(\d{1,5})([smhdw])$")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
FRACTION = re.compile(r"\.\d+")
NEVER = "0001-01-01T00:00:00Z"
"""So the API writes that a snapshot does not expire."""
CLOSE = timedelta(minutes=1)
"""How far the clocks may be apart: ours sets when a snapshot expires, the server's when it was taken."""
OURS = (FLEET, HOME, EVACUATED)
"""Markers that say what became of an instance since a snapshot was taken: a restore does not turn them back."""


def moment(text: str) -> datetime:
    """A point of time, from the API or a task; of no zone means UTC."""
    # Python 3.10 reads neither nanoseconds nor Z.
    found = datetime.fromisoformat(FRACTION.sub("", text.strip()).replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Expiry:
    """When a snapshot expires: at a point of time, some time after it was taken, or never."""

    text: str
    at: datetime | None = None
    span: timedelta | None = None

    def written(self, taken: datetime) -> str:
        """As the API takes it, for a snapshot that was taken then."""
        when = taken + self.span if self.span else self.at
        return when.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if when else NEVER


def expiry_from(where: str, text: str) -> Expiry:
    """An Expiry from a task. Raises Refused."""
    if text == "never":
        return Expiry(text)
    span = SPAN.match(text)
    if span and int(span[1]):
        return Expiry(text, span=timedelta(**{UNITS[span[2]]: int(span[1])}))
    try:
        at = moment(text)
    except ValueError:
        raise Refused(
            f"{where}: expires: found {text!r}, allowed are never, a time since it was taken like 12h, 7d or 4w, and a "
            "point of time like 2027-01-31T12:00:00Z",
            option="expires",
            found=text,
        ) from None
    if at <= datetime.now(timezone.utc):
        raise Refused(f"{where}: expires: found {text}, which is over", option="expires", found=text)
    return Expiry(text, at=at)


@dataclass(frozen=True)
class Quiesce:
    """How a guest is quieted while a snapshot is taken: commands in it, and whether it is frozen between them, for no
    longer than ``timeout`` seconds."""

    freeze: bool = True
    before: str = ""
    after: str = ""
    timeout: int = 30

    @property
    def commands(self) -> bool:
        return bool(self.before or self.after)


@dataclass(frozen=True)
class Keep:
    """How many of the snapshots whose names match a pattern are kept: the newest."""

    count: int
    pattern: str


@dataclass(frozen=True)
class Wanted:
    """What a task says of one snapshot."""

    instance: str
    snapshot: str
    state: str = "present"
    stateful: bool | None = None
    volumes: bool | None = None
    expires: Expiry | None = None
    quiesce: Quiesce | None = None
    keep: Keep | None = None
    publish: Publish | None = None
    export: Export | None = None
    restore_id: str = ""
    force: bool = False

    @property
    def path(self) -> str:
        return f"instances/{self.instance}"

    @property
    def where(self) -> str:
        return f"{self.instance}/{self.snapshot}"


@dataclass(frozen=True)
class Snapshot:
    """A snapshot as it is. ``created`` is empty in predictions; ``expires`` is as the task says there."""

    name: str
    created: str = ""
    expires: str = "never"
    stateful: bool = False
    volumes: VolumeSet | None = None
    """The set that it is in, if it is in one."""
    config: Mapping[str, str] = field(default_factory=dict)
    devices: Devices = field(default_factory=dict)
    profiles: tuple[str, ...] = ()

    def meets(self, expiry: Expiry | None) -> bool:
        """Whether it expires as a task says."""
        if expiry is None or self.expires == expiry.text:
            return True
        if "never" in (self.expires, expiry.text) or not self.created:
            return False
        off = moment(self.expires) - moment(expiry.written(moment(self.created)))
        return abs(off) <= (CLOSE if expiry.span else timedelta(0))


def snapshot_from(data: Mapping[str, Any]) -> Snapshot:
    """A Snapshot from the API's record of it."""
    expires = data.get("expires_at") or NEVER
    return Snapshot(
        # Some versions of the API call it INSTANCE/SNAPSHOT.
        name=data["name"].rsplit("/", 1)[-1],
        created=data["created_at"],
        expires="never" if expires.startswith("0001-01-01") else expires,
        stateful=data["stateful"],
        volumes=set_of(data["config"]),
        config=data["config"],
        devices=data["devices"],
        profiles=tuple(data["profiles"] or ()),
    )


@dataclass(frozen=True)
class Shelf:
    """An instance and its snapshots."""

    instance: Current
    snapshots: Mapping[str, Snapshot] = field(default_factory=dict)
    driver: str = ""
    """Of the pool that its root is on. Read, like what follows, where a snapshot is to be restored."""
    lost_profiles: tuple[str, ...] = ()
    """Profiles of that snapshot which the server no longer has."""
    found: Found = field(default_factory=Found)
    """Of the set that the snapshot is in. Read where that is declared, or restored."""
    published: Published = field(default_factory=Published)
    """Read where a snapshot is to be published."""
    exported: Exported = field(default_factory=Exported)
    """Read where a snapshot is to be exported."""

    def by_age(self) -> list[Snapshot]:
        """The oldest first; those of predictions last."""
        return sorted(self.snapshots.values(), key=lambda one: (not one.created, one.created, one.name))

    def surplus(self, name: str, keep: Keep) -> list[str]:
        """The snapshots that are not kept, the oldest first; the one that a task names always is."""
        names = [one.name for one in self.by_age() if fnmatchcase(one.name, keep.pattern)]
        return [found for found in names[: -keep.count] if found != name]

    def newer(self, name: str) -> list[str]:
        """The snapshots that were taken after one."""
        names = [one.name for one in self.by_age()]
        return names[names.index(name) + 1 :]


def restored_mark(wanted: Wanted) -> str | None:
    """What the instance is marked with after a restore, if with anything."""
    return f"{wanted.snapshot} {wanted.restore_id}" if wanted.restore_id else None


def is_restored(wanted: Wanted, shelf: Shelf) -> bool:
    """Whether the restore that a task asks for has been done: told by its word only."""
    return bool(wanted.restore_id) and shelf.instance.config.get(RESTORED) == restored_mark(wanted)


def view(wanted: Wanted, shelf: Shelf) -> dict[str, Any]:
    """A snapshot as results and diffs show it; with ``restored`` the instance, since that is what changes."""
    current = shelf.instance
    shown: dict[str, Any] = {"instance": wanted.instance, "snapshot": wanted.snapshot}
    if wanted.state == "restored":
        # A restore without a word leaves no trace of itself but what it restored.
        snapshot, _space, word = current.config.get(RESTORED, "").partition(" ")
        return {
            **shown,
            "state": current.power,
            "restored": {"snapshot": snapshot, "restore_id": word} if word else None,
            "config": shown_config(current.config),
            "devices": {name: dict(sorted(device.items())) for name, device in sorted(current.devices.items())},
            "profiles": list(current.profiles),
            "snapshots": sorted(shelf.snapshots),
        }
    found = shelf.snapshots.get(wanted.snapshot)
    shown["snapshots"] = sorted(shelf.snapshots)
    if wanted.publish is not None:
        shown["image"] = view_image(wanted.publish, shelf.published)
    if wanted.export is not None:
        shown["file"] = wanted.export.file if shelf.exported.whole else None
    if found is None:
        return {**shown, "state": "absent"}
    shown |= {"state": "present", "stateful": found.stateful}
    if found.volumes is not None:
        shown["volumes"] = list(found.volumes.volumes)
    if wanted.expires is not None:
        shown["expires"] = wanted.expires.text if found.meets(wanted.expires) else found.expires
    return shown
