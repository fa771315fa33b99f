# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The file that an instance is exported to with its snapshots: what it shall be, and what there is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Export:
    """What a task says of the file."""

    file: str
    compression: str = ""
    optimized: bool = False


@dataclass(frozen=True)
class Exported:
    """What there is of the file. ``whole``: it was made since the snapshot was taken, and is complete."""

    whole: bool = False
    sha256: str = ""
    problem: str = ""
    """Why it cannot be written, or empty."""
