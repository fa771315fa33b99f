# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is sent for a module: Ansible packs the module and all that it imports."""

import ast
import io
import zipfile
from pathlib import Path

UTILS = "plugins.module_utils."


def imported(source: str) -> set[str]:
    """The files of module_utils that a file of the collection imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and (node.level == 1 or UTILS in node.module):
            found.add(node.module.rpartition(UTILS)[2])
    return found


def files(collection: Path, module: str) -> list[Path]:
    """The module and all files of the collection's module_utils that come with it."""
    found = [collection / f"plugins/modules/{module}.py"]
    for file in found:
        for name in sorted(imported(file.read_text())):
            needed = collection / f"plugins/module_utils/{name}.py"
            if needed not in found:
                found.append(needed)
    return found


def packed(paths: list[Path]) -> int:
    """Bytes of files in a zip archive, as Ansible makes one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.writestr(path.name, path.read_bytes())
    return len(buffer.getvalue())
