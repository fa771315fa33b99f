# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run as `python3 tests/storage COMMAND`; the same code is the package `storage` where `tests` is on sys.path."""

import sys
from pathlib import Path

if not __package__:  # run by path: Python put this directory on sys.path, the package's parent is wanted there
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from storage.cli import main

sys.exit(main())
