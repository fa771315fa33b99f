# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_instance of a virtual machine that runs: it stands still and goes on; its memory is saved, and it runs again. By
the server's word, whatever the guest does: here there is none."""

import pytest
from machines.place import Virtual

pytestmark = pytest.mark.thorough
INSTANCE = "lxd_instance"
PARTS = ("changed", "steps", "diff", "instance", "impact", "pending")


def status(machine: Virtual) -> str:
    found: str = machine.query(f"instances/{machine.name}/state")["status"]
    return found


def test_it_is_paused_and_goes_on(blank: Virtual) -> None:
    blank.power("start")
    pid = blank.query(f"instances/{blank.name}/state")["pid"]
    blank.proved(PARTS, INSTANCE, state="frozen")
    assert status(blank) == "Frozen"
    blank.proved(PARTS, INSTANCE, state="started")
    assert status(blank) == "Running"
    assert blank.query(f"instances/{blank.name}/state")["pid"] == pid


def test_its_memory_is_saved_and_it_runs_again(blank: Virtual) -> None:
    blank.power("start")
    blank.proved(PARTS, INSTANCE, state="suspended")
    assert (status(blank), blank.instance()["stateful"]) == ("Stopped", True)
    blank.proved(PARTS, INSTANCE, state="started")
    assert (status(blank), blank.instance()["stateful"]) == ("Running", False)
