# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom: ARCHITECTURE.md's table, held over the sources."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

UTILS = Path(__file__).parents[2] / "plugins/module_utils"
FRONT = {"front", "targets", "volume_host"}
LIBRARIES = {"lxd", "trust", "brick", "cinder"}
MECHANISM = {"errors", "steps", "converge", "lxd"}
MAY_IMPORT = {
    "errors": set(),
    "steps": set(),
    "compare": {"errors"},
    "transport": set(),
    "trust": {"errors", "transport"},
    "lxd": {"errors", "transport", "trust"},
    "brick_programs": {"iscsi_node"},
    "iscsi_node": {"errors"},
    "brick": {"brick_programs", "errors", "loop", "volume_secrets"},
    "cinder": {"errors"},
    "websocket": {"errors", "steps"},
    "converge": {"errors", "steps"},
    "watchdog": {"errors"},
    "front": {"errors", "lxd", "trust"},
    "volume_host": {"brick", "cinder", "errors", "lxd", "trust", "volume", "volume_layers", "volume_record"},
    "targets": {"errors", "front", "lxd", "migration_params"},
}
"""The rooms with walls of their own; every other file is a domain: it never sees the transport or Ansible."""
OUTSIDE = {
    "pylxd": {"trust"},
    "requests": {"lxd", "transport", "trust"},
    "ws4py": {"websocket"},
    "os_brick": {"brick"},
    "openstack": {"cinder"},
    "keystoneauth1": {"cinder"},
    "ansible": {"front"},
}


def imports(path: Path) -> tuple[set[str], set[str]]:
    """Sibling files, and top-level libraries, that a file imports anywhere in it."""
    ours, outside = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            ours.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            outside.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Import):
            outside |= {name.name.split(".")[0] for name in node.names}
    return ours, outside


@pytest.mark.parametrize("path", sorted(UTILS.glob("*.py")), ids=lambda path: path.stem)
def test_a_file_imports_only_what_its_layer_may(path: Path) -> None:
    ours, outside = imports(path)
    domain_may = {other.stem for other in UTILS.glob("*.py")} - FRONT - LIBRARIES
    assert ours <= MAY_IMPORT.get(path.stem, domain_may)
    for library, users in OUTSIDE.items():
        assert library not in outside or path.stem in users, f"{library} is for {users} only"


def test_check_mode_is_asked_for_in_one_place() -> None:
    asks = [path.stem for path in UTILS.glob("*.py") if "if check:" in path.read_text()]
    assert asks == ["converge"]
