# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume takes the place of another one, under writes of the guest; killed at every change, one of the two is there,
and what was written is on it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from integration.case import same
from integration.guest_network import looked
from integration.lab_host import LabHost, run, wait_until
from integration.loop import MIB, Storage, detach_all, storage
from integration.volume_place import FILES, NAME, OTHER, Place

OLD, NEW = "old-volume", "new-volume"
MODES: dict[str, Mapping[str, Any]] = {
    "block": {"mode": "block", "path": "/dev/data"},
    "filesystem": {"mode": "filesystem", "path": "/srv/data", "fstype": "ext4"},
}
WRITER = {
    "block": "printf '%511s\\n' $i | dd of=/dev/data bs=512 seek=$((4096 + i)) conv=notrunc 2>/dev/null",
    "filesystem": "echo $i >> /srv/data/log",
}
"""Writes the record $i, and keeps nothing open."""
SCRIPT = "/root/script"
LOOP = """i=0
while :; do
    i=$((i + 1))
    {write} || exit 1
    echo $i > /tmp/written.new && mv /tmp/written.new /tmp/written
done
"""


@pytest.fixture(scope="module", autouse=True)
def _nothing_left() -> Iterator[None]:
    detach_all(FILES)
    yield
    detach_all(FILES)


class Swap:
    """A container that has the volume OLD, and NEW beside it."""

    def __init__(self, old: Place, new: Place, mode: str) -> None:
        self.old, self.new, self.mode = old, new, mode
        self.host = old.host

    def given(self) -> None:
        """The instance has OLD, with a filesystem where it is for that, and NEW is blank."""
        for place in (self.old, self.new):
            place.storage.wipe()
        self.old.done(volume=OLD, **MODES[self.mode], **({"format": True} if self.mode == "filesystem" else {}))
        if self.mode == "block":
            self.old.storage.fill(8, 16)
            self.old.storage.write(3 * MIB + 17, "in the middle")
        else:
            self.host.shell(
                NAME, "cd /srv/data; dd if=/dev/urandom of=file bs=1M count=16; sha256sum file > /root/sum; sync"
            )

    @property
    def task(self) -> dict[str, Any]:
        return {"volume": NEW, "replaces": OLD, **MODES[self.mode]}

    @property
    def written(self) -> int:
        """The last record that the guest knows to be written."""
        return int(self.host.shell(NAME, "cat /tmp/written 2> /dev/null") or 0)

    def records(self) -> int:
        """How many records are on the volume that the guest has now, as the guest sees it: all, and in order."""
        if self.mode == "filesystem":
            found = self.host.read(NAME, "/srv/data/log").split()
        else:
            count = self.written
            script = f"dd if=/dev/data bs=512 skip=4097 count={count + 1} 2>/dev/null | tr -d '\\000'"
            found = self.host.shell(NAME, script).split()
        assert found == [str(number) for number in range(1, len(found) + 1)]
        return len(found)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The guest writes records, one after another, and notes each when it is written."""
        self.host.write(NAME, SCRIPT, LOOP.format(write=WRITER[self.mode]))
        self.host.shell(NAME, f"rm -f /tmp/written; setsid sh {SCRIPT} > /tmp/said 2>&1 & echo $! > /tmp/writer")
        wait_until(lambda: self.written > 20, "the guest writes")
        try:
            yield
        finally:
            self.host.shell(NAME, "kill $(cat /tmp/writer); while kill -0 $(cat /tmp/writer); do sleep 0.1; done")

    def is_whole(self) -> None:
        """Whatever the guest has now, what was written is on it."""
        if self.mode == "block":
            [device] = self.devices().values()
            side = {place.storage.device: place for place in (self.old, self.new)}[device["source"]]
            assert side.storage.bytes(3 * MIB + 17, 13) == b"in the middle"
            assert "in the middle" in looked(self.host, NAME, f"dd if=/dev/data bs=1 skip={3 * MIB + 17} count=13")
        else:
            assert looked(self.host, NAME, "cd /srv/data; sha256sum -c /root/sum") == "file: OK\n"

    def nothing_changed(self) -> None:
        """It has OLD as before, and NEW is blank and forgotten."""
        assert self.devices().keys() == {OLD}
        assert self.status() == "Running"
        assert [record["volume"] for record in self.old.kept()] == [OLD]
        assert self.new.is_free()
        ends = self.new.storage.bytes(0, MIB) + self.new.storage.bytes(39 * MIB, MIB)
        assert not ends.strip(b"\0")
        self.is_whole()

    def devices(self) -> dict[str, Any]:
        return {one["user.lxdops.volume"]: one for one in self.old.devices().values()}

    def status(self) -> str:
        found: str = self.host.query(f"instances/{NAME}")["status"]
        return found


@contextmanager
def little_room(like: Storage) -> Iterator[Storage]:
    """A volume of a storage that is full before it has all of it."""
    full = FILES / "full"
    full.mkdir(parents=True, exist_ok=True)
    run(["mount", "-t", "tmpfs", "-o", "size=8m", "full", str(full)])
    try:
        with storage(full, "volume", like.file.stat().st_size // MIB) as made:
            yield made
    finally:
        run(["umount", "--lazy", str(full)])


@contextmanager
def held(place: Place, path: str) -> Iterator[None]:
    """A process of the guest has a file open."""
    place.host.shell(NAME, f"sleep 600 < {path} > /dev/null 2>&1 & echo $! > /tmp/pid")
    try:
        yield
    finally:
        place.host.shell(NAME, "kill $(cat /tmp/pid)")


@pytest.fixture(params=["filesystem", pytest.param("block", marks=pytest.mark.thorough)])
def swap(request: pytest.FixtureRequest, host: LabHost, tmp_path: Path) -> Iterator[Swap]:
    host.given(NAME, power="running")
    with storage(FILES, "old") as old, storage(FILES, "new", 40) as new:
        yield Swap(Place(host, old, tmp_path / "records"), Place(host, new, tmp_path / "records"), request.param)
        host.remove(NAME, OTHER)


@pytest.mark.parametrize("swap", ["block", "filesystem"], indirect=True)
def test_a_volume_is_swapped_under_writes(swap: Swap) -> None:
    swap.given()
    with swap.writing():
        before = swap.host.everything(), swap.new.kept()
        checked = swap.new.task(check=True, **swap.task)
        assert not checked.get("failed"), checked["msg"]
        assert swap.new.kept() == before[1]
        applied = swap.new.done(**swap.task)
        same(applied["diff"], checked["diff"])
        assert applied["steps"] == checked["steps"]
        assert applied["steps"] == [
            f"copy volume {OLD} of {NAME} to {NEW}, which takes its place, frozen for at most 60 seconds",
            f"disconnect volume {OLD}",
        ]
        assert swap.status() == "Running"
        reached = swap.written
        wait_until(lambda: swap.written > reached + 20, "the guest goes on writing")
    swap.host.shell(NAME, "sync")
    assert swap.records() >= swap.written
    assert not swap.new.done(**swap.task)["changed"]
    device = swap.devices().pop(NEW)
    assert swap.devices().keys() == {NEW}
    assert (device["source"], device["path"]) == (swap.new.storage.device, MODES[swap.mode]["path"])
    assert [record["volume"] for record in swap.new.kept()] == [NEW]
    assert swap.old.is_free()


def test_a_volume_that_a_process_keeps_open_is_not_swapped(swap: Swap) -> None:
    swap.given()
    path = {"block": "/dev/data", "filesystem": "/srv/data/file"}[swap.mode]
    with held(swap.old, path):
        refused = swap.new.task(**swap.task)
        assert f"replaces: {OLD} is in use, and stays: process" in refused["msg"]
        assert "(sleep) uses it. A process keeps what it has opened: end that, or stop" in refused["msg"]
        swap.nothing_changed()
    swap.host.power(NAME, "stop", force=True)
    stopped = swap.new.done(**swap.task)
    assert stopped["steps"][0] == f"copy volume {OLD} of {NAME} to {NEW}, which takes its place"
    swap.host.power(NAME, "start")
    assert swap.devices().keys() == {NEW}
    swap.is_whole()


def test_what_cannot_be_swapped_is_refused(swap: Swap) -> None:
    swap.given()
    absent = swap.new.task(**{**swap.task, "replaces": "nope"})
    assert f"replaces: {NAME} does not have nope, and has not {NEW} either" in absent["msg"]
    with storage(FILES, "small", 24) as small:
        found = Place(swap.host, small, swap.old.records).task(**swap.task)
        assert f"{small.device} has {24 * MIB} bytes, and {swap.old.storage.device} {32 * MIB}" in found["msg"]
    swap.nothing_changed()
    swap.new.storage.write(0, "somebody's")
    full = swap.new.task(**swap.task)
    assert "found unknown data on it, allowed is a blank volume: what is there is never overwritten" in full["msg"]
    assert swap.new.storage.bytes(0, 10) == b"somebody's"
    swap.new.storage.wipe()
    other = {"block": "filesystem", "filesystem": "block"}[swap.mode]
    wrong = swap.new.task(volume=NEW, replaces=OLD, mode=other, path="/other")
    assert f"mode: {OLD} is attached as {swap.mode}, and so is its successor" in wrong["msg"]
    swap.host.given(OTHER)
    swap.old.done(volume=OLD, instance=OTHER, shared=True, **MODES[swap.mode])
    shared = swap.new.task(**swap.task)
    assert (
        f"replaces: {OLD} is attached to {OTHER} too, which would not have what is written meanwhile" in shared["msg"]
    )
    swap.old.done(volume=OLD, instance=OTHER, state="detached")
    swap.nothing_changed()


def test_a_copy_that_fails_leaves_both_as_they_were(swap: Swap) -> None:
    swap.given()
    with little_room(swap.new.storage) as new:
        failed = Place(swap.host, new, swap.old.records).task(**swap.task)
        assert f"cannot write {new.device}" in failed["msg"]
        assert "could not be taken back" not in failed["msg"]
        swap.nothing_changed()
    swap.new.done(**swap.task)
    swap.is_whole()


@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=() if n in (7, 9) else pytest.mark.thorough) for n in range(1, 15)]
)
@pytest.mark.parametrize("when", [pytest.param("before", marks=pytest.mark.thorough), "after"])
def test_a_swap_killed_at_each_change_is_ended_by_the_next_run(swap: Swap, number: int, when: str) -> None:
    swap.given()
    assert swap.new.run(str(number), when, **swap.new.about(swap.task)) is None, f"there is no change {number}"
    # Nothing but the watchdog of the run that was killed.
    wait_until(lambda: swap.status() == "Running", "it is thawed")
    wait_until(lambda: "none" not in {one["type"] for one in swap.devices().values()}, "it has one of the two")
    assert len(swap.devices()) == 1
    swap.is_whole()
    swap.new.done(**swap.task)
    assert not swap.new.done(**swap.task)["changed"]
    assert swap.devices().keys() == {NEW}
    assert [record["volume"] for record in swap.new.kept()] == [NEW]
    assert swap.new.kept()[0]["replaces"] == {}
    assert swap.old.is_free()
    swap.is_whole()
