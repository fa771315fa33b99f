# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage machine as a host of virtual machines, with the collection that they test, and one that runs.

A virtual machine that does not come up is tried once more; nothing waits without an end.
"""

import os
from collections.abc import Iterator

import pytest
from integration.conftest import COLLECTIONS, pytest_configure
from machines import image
from storage import image as storage
from storage.machine import Machine

pytest.register_assert_rewrite("volumes.place", "machines.place")

from machines.place import MACHINE, TALK, Virtual, prepare  # noqa: E402
from volumes.place import PROGRAMS, Guest, archive  # noqa: E402

__all__ = ["pytest_configure"]
PREFIX = os.environ.get("LAB_NAME") or "it"
KEPT = os.environ.get("STORAGE_MACHINE", "")
"""The name of a machine that is started where it is not up, and stays: for work on the tests."""


@pytest.fixture(scope="session")
def guest() -> Iterator[Guest]:
    """The storage machine, with an LXD that can run virtual machines."""
    host = Machine(KEPT or f"{PREFIX}vms")
    if not KEPT:
        host.stop()
    if host.pid is None:
        host.start(storage.build(), image.build())
    found = Guest(host)
    try:
        host.push(archive({"ansible_collections": COLLECTIONS / "ansible_collections"}), "/root/collections")
        host.push(archive({**PROGRAMS, **TALK}), "/root/tests")
        prepare(host)
        yield found
    finally:
        found.end()
        if not KEPT:
            host.stop()


@pytest.fixture(scope="session")
def machine(guest: Guest) -> Virtual:
    """A virtual machine that runs, with its agent."""
    found = Virtual(guest, MACHINE)
    if not found.exists():
        found.make()
        found.power("start")
    if not found.comes_up():
        found.power("stop", force=True)
        found.power("start")
        assert found.comes_up(), "its agent does not answer"
    return found


@pytest.fixture
def blank(guest: Guest) -> Iterator[Virtual]:
    """A virtual machine that is stopped, and whose root is blank: it boots from nothing of its own."""
    found = Virtual(guest, "blank")
    found.remove()
    found.make(empty=True)
    yield found
    found.remove()
