# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine under QEMU was seen to hang, the cause unknown, and no test after that could pass. So a test that fails
while the machine no longer answers runs once more, on a new one; the summary says so, with what the hung one said.
What hangs a machine again fails.
"""

import os

import pytest
from _pytest.runner import runtestprotocol
from storage.machine import Machine

KEPT = os.environ.get("STORAGE_MACHINE", "")
"""The name of a machine that is up, and stays so: for work on the tests."""
MACHINE = Machine(KEPT or os.environ.get("LAB_NAME") or "it")
HUNG: dict[str, str] = {}
"""What the machine said, by the test in which it hung."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run a test; all fixtures are made anew for its second run, as the machine is one of them."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if not KEPT and any(report.failed for report in reports) and MACHINE.hangs():
        HUNG[item.nodeid] = MACHINE.said()
        item.session._setupstate.teardown_exact(None)
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell which tests ran twice."""
    for test, said in HUNG.items():
        terminalreporter.section(f"{test} ran again, as its machine hung")
        terminalreporter.write_line(said)
