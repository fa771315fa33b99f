# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_instance and lxd_snapshot of a virtual machine: it stands still and goes on, and its memory is saved and comes
back, by its own clock and what only its memory has."""

import pytest
from machines.place import Virtual

pytestmark = pytest.mark.thorough
INSTANCE, SNAPSHOT = "lxd_instance", "lxd_snapshot"
PARTS = ("changed", "steps", "diff", "instance", "impact", "pending")


def boot(machine: Virtual) -> str:
    return machine.inside("cat /proc/sys/kernel/random/boot_id")


def test_it_is_paused_and_goes_on(machine: Virtual) -> None:
    before = boot(machine)
    machine.proved(PARTS, INSTANCE, state="frozen")
    assert machine.query(f"instances/{machine.name}/state")["status"] == "Frozen"
    machine.proved(PARTS, INSTANCE, state="started")
    assert boot(machine) == before


def test_it_is_suspended_with_its_memory_and_resumed(machine: Virtual) -> None:
    before = boot(machine)
    machine.inside("echo kept > /run/memory")
    machine.proved(PARTS, INSTANCE, state="suspended")
    assert machine.instance()["stateful"]
    assert machine.query(f"instances/{machine.name}/state")["status"] == "Stopped"
    machine.proved(PARTS, INSTANCE, state="started")
    assert machine.comes_up()
    assert (boot(machine), machine.inside("cat /run/memory")) == (before, "kept\n")


def test_a_snapshot_has_its_memory(machine: Virtual) -> None:
    before = boot(machine)
    machine.inside("echo then > /run/memory")
    machine.proved(("changed", "steps", "diff"), SNAPSHOT, snapshot="live", stateful=True)
    machine.inside("echo later > /run/memory")
    restored = machine.done(SNAPSHOT, snapshot="live", state="restored", stateful=True)
    assert restored["changed"]
    assert machine.comes_up()
    assert (boot(machine), machine.inside("cat /run/memory")) == (before, "then\n")
    machine.proved(("changed", "steps", "diff"), SNAPSHOT, snapshot="live", state="absent")
