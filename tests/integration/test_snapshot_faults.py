# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_snapshot killed at each of its writes, on pools of directories and of btrfs, of an instance that runs and of one
that does not: nothing is left half, the next run converges, the data is all there, and the power is what it was."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from integration.case import Lane
from integration.conftest import lane_of
from integration.killed_run import killed
from integration.snapshot_proof import NAME, PATH, Params, checked, done, snap_task, taken

pytestmark = pytest.mark.thorough
COPY = "snapcopy"
FILE = "snap.tar"


@pytest.fixture(scope="module", params=["lxd-unix", "incus-https"])
def lane(request: pytest.FixtureRequest) -> Lane:
    """A host of each product: what is killed is the module's own code, without a front end."""
    return lane_of(request)


@dataclass(frozen=True)
class Place:
    """An instance with data, and where files of it go."""

    lane: Lane
    power: str
    held: str
    path: Path

    def read(self, name: str = NAME) -> str:
        """The data of an instance, running or not."""
        return self.lane.host.client("file", "pull", f"{name}{PATH}", "-")

    def spoil(self) -> None:
        self.lane.host.write(NAME, PATH, "spoiled")

    def is_as_it_was(self) -> None:
        """The instance, but for its snapshots."""
        found = self.lane.host.query(f"instances/{NAME}")
        assert (found["status"], found["stateful"]) == (self.power.capitalize(), False)
        assert [key for key in found["config"] if key.startswith("user.lxdops.") and "restored" not in key] == []

    def images(self) -> list[dict[str, Any]]:
        """Those that were made of snapshots."""
        every = self.lane.host.call("GET", "images?recursion=1")
        return [image for image in every if "lxdops.snapshot" in image["properties"]]

    def launched(self, source: Mapping[str, Any]) -> None:
        """An instance is made of a form of the snapshot, and has the data."""
        self.lane.done(name=COPY, source=source, state="stopped")
        assert self.read(COPY) == self.held
        self.lane.host.remove(COPY)

    def cleared(self) -> None:
        """Nothing is left but the instance, with its data."""
        host = self.lane.host
        for name in taken(self.lane):
            host.call("DELETE", f"instances/{NAME}/snapshots/{name}")
        for image in self.images():
            host.call("DELETE", f"images/{image['fingerprint']}")
        for file in self.path.iterdir():
            file.unlink()
        host.call("PATCH", f"instances/{NAME}", {"config": {"user.lxdops.restored": ""}})
        if self.read() != self.held:
            host.write(NAME, PATH, self.held)


@pytest.fixture(params=["default", "fast"])
def pool(request: pytest.FixtureRequest) -> str:
    """Of directories; of btrfs."""
    found: str = request.param
    return found


@pytest.fixture(params=["running", "stopped"])
def place(request: pytest.FixtureRequest, lane: Lane, pool: str, tmp_path: Path) -> Iterator[Place]:
    lane.host.remove(NAME, COPY)
    lane.host.make(NAME, power=request.param, devices={"root": {"type": "disk", "path": "/", "pool": pool}})
    found = Place(lane, request.param, secrets.token_hex(500_000), tmp_path)
    lane.host.write(NAME, PATH, found.held)
    yield found
    found.cleared()
    lane.host.remove(NAME, COPY)


@pytest.fixture(params=["before", "after"])
def when(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def deaths(place: Place, when: str, params: Params, least: int, prepare: Any = None) -> Iterator[str]:
    """Kill a run at each of its writes in turn, and let the next one end it; for a look at what there is then."""
    for number in count(1):
        place.cleared()
        if prepare:
            prepare()
        both = {**place.lane.connection, "name": NAME, "snapshot": "monday", **params}
        if not killed(number, when, both, "lxd_snapshot", files=True):
            assert number > least, "it has not that many writes"
            return
        done(place.lane, **params)
        assert not done(place.lane, **params)["changed"]
        place.is_as_it_was()
        yield f"killed {when} write {number}"


def test_taken(place: Place, when: str) -> None:
    for death in deaths(place, when, {"expires": "7d"}, 1):
        assert taken(place.lane) == ["monday"], death
        place.spoil()
        done(place.lane, state="restored")
        place.is_as_it_was()
        assert place.read() == place.held, death


def test_restored(place: Place, when: str) -> None:
    def spoiled() -> None:
        done(place.lane)
        done(place.lane, snapshot="tuesday")
        place.spoil()

    for death in deaths(place, when, {"state": "restored", "restore_id": "a"}, 2, spoiled):
        assert place.read() == place.held, death
        assert sorted(taken(place.lane)) == ["monday", "tuesday"], death


def test_deleted(place: Place, when: str) -> None:
    for death in deaths(place, when, {"state": "absent"}, 1, lambda: done(place.lane)):
        assert (taken(place.lane), place.read() == place.held) == ([], True), death


def test_published(place: Place, when: str) -> None:
    publish = {"alias": "golden", "compression": "none", "properties": {"os": "tiny"}, "public": True}
    for death in deaths(place, when, {"publish": publish}, 3):
        (image,) = place.images()
        assert [alias["name"] for alias in image["aliases"]] == ["golden"], death
        assert (image["public"], image["properties"]["os"]) == (True, "tiny"), death
        place.launched({"alias": "golden"})


def test_exported(place: Place, when: str) -> None:
    file = place.path / FILE
    for death in deaths(place, when, {"export": {"file": str(file), "compression": "none"}}, 8):
        checked(file)
        assert place.lane.host.call("GET", f"instances/{NAME}/backups") == [], death
        place.launched({"type": "backup", "file": str(file)})
    place.cleared()
    file.write_text("mine")
    export = {"file": str(file), "compression": "none"}
    assert "was not made by this module" in snap_task(place.lane, {"export": export})["msg"]
    assert file.read_text() == "mine"
