# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage machine that the tests run on, with the collection that they test."""

from collections.abc import Iterator

import pytest
from integration.conftest import COLLECTIONS, pytest_configure
from storage import image

pytest.register_assert_rewrite("volumes.place")

from volumes.hang import KEPT, MACHINE, pytest_runtest_protocol, pytest_terminal_summary  # noqa: E402
from volumes.place import NAME, OTHER, PROGRAMS, Guest, archive  # noqa: E402

__all__ = ["pytest_configure", "pytest_runtest_protocol", "pytest_terminal_summary"]
PRESEED = """
storage_pools: [{name: default, driver: dir}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
"""


@pytest.fixture(scope="session")
def guest() -> Iterator[Guest]:
    """A machine with a running LXD and two containers."""
    if not KEPT:
        MACHINE.stop()
        MACHINE.start(image.build())
    found = Guest(MACHINE)
    try:
        MACHINE.push(archive({"ansible_collections": COLLECTIONS / "ansible_collections"}), "/root/collections")
        MACHINE.push(archive(PROGRAMS), "/root/tests")
        MACHINE.run("systemctl start lxcfs lxd iscsid multipathd && lxd waitready --timeout=120", seconds=180)
        if NAME not in MACHINE.run("lxc list --format csv --columns n").split():
            MACHINE.run("lxd init --preseed", PRESEED)
            MACHINE.run("lxc image import /root/tiny.tar.gz --alias tiny")
            for name in (NAME, OTHER):
                MACHINE.run(f"lxc launch --quiet tiny {name}")
        yield found
    finally:
        found.end()
        if not KEPT:
            MACHINE.stop()
