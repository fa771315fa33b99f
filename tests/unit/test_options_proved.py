# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every documented option, and every choice, is in a table of cases that go check, apply, again on real daemons; or the
reason why not is told here, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from integration import console_cases, interface_cases, snapshot_cases

COLLECTION = Path(__file__).parents[2]
MACHINES = "of virtual machines, which that test has; here it is refused for containers"
EVERY = "every case says it"
ELSEWHERE: dict[str, dict[str, str]] = {
    "lxd_interface": {
        "name": EVERY,
        "device": EVERY,
        "state": EVERY,
        "state=attached": "the default",
        "state=detached": "every case ends so",
        "boot_priority": f"{MACHINES}: test_lxd_interface.py",
        "nictype=sriov": "needs such hardware: refused by the server, test_interface_options.py has the words",
        "apply": "test_lxd_interface.py has each of its choices, and what each refuses",
        "apply=live": "test_lxd_interface.py",
        "apply=replug": "the default",
        "apply=restart": "test_lxd_interface.py: test_what_needs_a_restart_leaves_it_running",
        "force": "of a restart, the same",
        "stop_timeout": "of a restart, the same",
    },
    "lxd_snapshot": {
        "name": EVERY,
        "state=present": "the default",
        "snapshot": EVERY,
        "copy.name": "test_snapshot_copy.py: every case says it",
        "copy.target.endpoint": "test_snapshot_copy.py: every case says it",
        "copy.target.client_cert": "test_snapshot_copy.py: every case says it",
        "copy.target.client_key": "test_snapshot_copy.py: every case says it",
        "copy.target.server_cert": "test_snapshot_copy.py: every case says it",
        "copy.target.server_fingerprint": "test_connection.py has it of any server, in the place of server_cert",
        "copy.target.trust_token": "test_connection.py has it of any server; it serves once",
    },
    "lxd_console": {
        "name": EVERY,
        **dict.fromkeys(
            ("type=log", "tail", "redact", "clear"), "read, not declared: test_lxd_console.py: test_the_log_..."
        ),
        **dict.fromkeys(
            ("type=serial", "run.send", "run.secret", "run.expect", "run.timeout"),
            "an action, done each time: test_lxd_console.py: test_a_script_..., test_what_is_not_heard_...",
        ),
        **dict.fromkeys(
            ("force", "dest", "timeout"), "of a session: test_lxd_console.py: test_a_session_is_handed_..."
        ),
        "show_secret": "of a session: test_lxd_console.py: test_no_output_has_a_secret",
        **dict.fromkeys(("type=spice", "type=screenshot", "qemu"), f"{MACHINES}: test_lxd_console.py"),
    },
}
CASES: dict[str, list[Any]] = {
    "lxd_interface": [
        *(change[0] for row in interface_cases.ROWS.values() for change in row),
        *(change[0] for _only, row in interface_cases.COLD.values() for change in row),
    ],
    "lxd_snapshot": [
        *(change[0] for row in snapshot_cases.ROWS.values() for change in row),
        *({"copy": params} for params, _shows in snapshot_cases.COPIES.values()),
    ],
    "lxd_console": [change[0] for row in console_cases.ROWS.values() for change in row],
}


def documented(options: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The options that users may say, each by its whole name, and the choices that they have."""
    for name, option in options.items():
        whole = f"{above}{name}"
        if "suboptions" in option:
            yield from documented(option["suboptions"], f"{whole}.")
            continue
        yield whole
        yield from (f"{whole}={choice}" for choice in option.get("choices", ()))


def said(params: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The same of what a case says."""
    for name, value in params.items():
        whole = f"{above}{name}"
        yield from (whole, f"{whole}={value}")
        if isinstance(value, Mapping):
            yield from said(value, f"{whole}.")


@pytest.mark.parametrize("module", CASES)
def test_every_option_is_proved_or_the_reason_is_told(module: str) -> None:
    source = (COLLECTION / f"plugins/modules/{module}.py").read_text()
    options = yaml.safe_load(source.split('DOCUMENTATION = r"""')[1].split('"""')[0])["options"]
    wanted, elsewhere = set(documented(options)), ELSEWHERE[module]
    proved = {name for case in CASES[module] for name in said(case)}
    assert wanted - proved - set(elsewhere) == set(), "neither proved nor told"
    assert set(elsewhere) - wanted == set(), "there is no such option"
