# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage falls silent in the middle of an attach, an extend, a detach: each ends within a bounded
time and says why, loses nothing that it does not name, and when the storage is back the next run converges."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from volumes.place import MIB, NAME, Guest, Place, storage

ATTACHED = {"path": "/dev/data"}
BOUND = 400.0
"""Seconds that a task may take. The kernel gives up a session that is dead after 120; this machine is slow."""
TEXT = "written before"


@pytest.fixture
def place(guest: Guest) -> Iterator[Place]:
    with storage(guest, "chap", "cut") as made:
        yield made


@contextmanager
def silent(place: Place, at_once: bool = True) -> Iterator[None]:
    """Its portals are silent in the block, from the beginning or since the task in it came to that point."""
    if at_once:
        place.guest.shell("target cut 127.0.0.1; target cut 127.0.0.2")
    try:
        yield
    finally:
        place.guest.shell("target heal")


def timed(place: Place, *cut: str, **params: Any) -> dict[str, Any]:
    """The result of a task, which ended in time."""
    begun = time.monotonic()
    result = place.run(*cut, **place.about(params))
    taken = time.monotonic() - begun
    assert result is not None
    print(f"{params}: {taken:.0f} s: {result.get('msg', result.get('steps'))}")
    assert taken < BOUND
    return result


@pytest.mark.thorough
@pytest.mark.parametrize(("word", "when"), [("--login", "before"), ("--login", "after"), ("write_device", "before")])
def test_in_the_middle_of_an_attach(place: Place, word: str, when: str) -> None:
    with silent(place, at_once=False):
        result = timed(place, "cut", word, when, **ATTACHED)
        if word == "--login":
            assert "127.0.0.1" in result["msg"]
    place.done(**ATTACHED)
    assert not place.done(**ATTACHED)["changed"]
    place.inside(f"echo {TEXT} | dd of=/dev/data bs=512 seek=8 conv=fsync,notrunc")
    assert place.stored(4096, len(TEXT)) == TEXT.encode()
    place.done(state="detached")
    place.nothing_is_left()


@pytest.mark.thorough
def test_in_the_middle_of_an_extend(place: Place) -> None:
    place.done(**ATTACHED)
    place.grow(96)
    larger = {**ATTACHED, "size": "96MiB"}
    with silent(place):
        result = timed(place, **larger)
        assert "os-brick cannot extend it (iscsi): " in result["msg"]
        assert "Input/output error" in result["msg"]
    place.done(**larger)
    assert place.inside("blockdev --getsize64 /dev/data").strip() == str(96 * MIB)
    place.done(state="detached")
    place.nothing_is_left()


@pytest.mark.thorough
@pytest.mark.parametrize("force", [False, True], ids=["asked", "forced"])
def test_before_a_detach(place: Place, force: bool) -> None:
    place.done(**ATTACHED)
    place.inside(f"echo {TEXT} | dd of=/dev/data bs=512 seek=8 conv=fsync,notrunc")
    with silent(place):
        result = timed(place, state="detached", force=force)
        if not force:
            assert f"it is still attached to {NAME}: what this host has not written to it yet cannot" in result["msg"]
            assert len(place.devices()) == 1
    if not force:
        # It stays usable.
        place.inside("echo later | dd of=/dev/data bs=512 seek=16 conv=fsync,notrunc")
        assert place.stored(8192, 5) == b"later"
        place.done(state="detached")
    place.nothing_is_left()
    assert place.stored(4096, len(TEXT)) == TEXT.encode()


@pytest.mark.thorough
def test_before_a_detach_of_a_filesystem_with_what_is_not_written_yet(place: Place) -> None:
    mounted = {"mode": "filesystem", "path": "/srv/data", "fstype": "ext4"}
    place.done(**mounted, format=True)
    place.inside(f"echo {TEXT} >/srv/data/first; sync; echo later >/srv/data/later")
    with silent(place):
        result = timed(place, state="detached")
        assert f"it is still attached to {NAME}: what this host has not written to it yet cannot" in result["msg"]
        assert len(place.devices()) == 1
    # Whether the filesystem goes on after that is the kernel's word.
    result = place.task(state="detached")
    if result.get("failed"):
        assert "say force: true" in result["msg"]
        place.done(state="detached", force=True)
    place.nothing_is_left()
    place.done(**mounted)
    assert place.inside("cat /srv/data/first").strip() == TEXT
    place.done(state="detached")
    place.nothing_is_left()
