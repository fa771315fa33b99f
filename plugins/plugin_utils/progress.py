# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a long task is, told while it runs."""

from __future__ import annotations

from functools import partial
from types import ModuleType

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.lxdops.compute.plugins.module_utils.front import Work

TALKATIVE = ("default", "ansible.builtin.default")
"""Callbacks that are not meant to be terse."""


def telling(action: ActionBase, module: ModuleType) -> Work:
    """A module's work, with a line shown for each instance that it has done; none in a terse callback."""
    if constants.DEFAULT_STDOUT_CALLBACK not in TALKATIVE:
        return module.work  # type: ignore[no-any-return]
    return partial(module.work, tell=lambda line: Display().display(f"[{action._task.action}] {line}"))
