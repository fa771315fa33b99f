# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage machine that the tests run on, with the collection that they test."""

import os
from collections.abc import Iterator

import pytest
from integration.conftest import COLLECTIONS, pytest_configure
from storage import image
from storage.machine import Machine

pytest.register_assert_rewrite("volumes.place")

from volumes.place import NAME, OTHER, PROGRAMS, Guest, archive  # noqa: E402

__all__ = ["pytest_configure"]
PREFIX = os.environ.get("LAB_NAME") or "it"
KEPT = os.environ.get("STORAGE_MACHINE", "")
"""The name of a machine that is up, and stays so: for work on the tests."""
PRESEED = """
storage_pools: [{name: default, driver: dir}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
"""


@pytest.fixture(scope="session")
def guest() -> Iterator[Guest]:
    """A machine with a running LXD and two containers."""
    machine = Machine(KEPT or PREFIX)
    if not KEPT:
        machine.stop()
        machine.start(image.build())
    found = Guest(machine)
    try:
        machine.push(archive({"ansible_collections": COLLECTIONS / "ansible_collections"}), "/root/collections")
        machine.push(archive(PROGRAMS), "/root/tests")
        machine.run("systemctl start lxcfs lxd iscsid multipathd && lxd waitready --timeout=120", seconds=180)
        if NAME not in machine.run("lxc list --format csv --columns n").split():
            machine.run("lxd init --preseed", PRESEED)
            machine.run("lxc image import /root/tiny.tar.gz --alias tiny")
            for name in (NAME, OTHER):
                machine.run(f"lxc launch --quiet tiny {name}")
        yield found
    finally:
        found.end()
        if not KEPT:
            machine.stop()
