# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_instances in the controller's own process."""

from __future__ import annotations

from functools import partial
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.lxdops.compute.plugins.modules import lxd_instances
from ansible_collections.lxdops.compute.plugins.plugin_utils.in_process import run

TALKATIVE = ("default", "ansible.builtin.default")
"""Callbacks that are not meant to be terse: with them a long run shows how far it is."""


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action of the module's name, which Ansible runs in its place."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ansible's entry."""
        work = lxd_instances.work
        if constants.DEFAULT_STDOUT_CALLBACK in TALKATIVE:
            work = partial(work, tell=lambda line: Display().display(f"[{self._task.action}] {line}"))
        return {**super().run(tmp, task_vars), **run(self, lxd_instances, task_vars, work)}
