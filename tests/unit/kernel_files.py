# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory in the place of the kernel's /sys."""

from collections.abc import Mapping
from pathlib import Path


def tell(root: Path, files: Mapping[str, str]) -> None:
    """Have files say what the kernel would: a line each."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
