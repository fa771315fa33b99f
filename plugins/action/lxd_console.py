# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_console in the controller's own process."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.lxdops.compute.plugins.modules import lxd_console
from ansible_collections.lxdops.compute.plugins.plugin_utils.in_process import run


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action of the module's name, which Ansible runs in its place."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ansible's entry."""
        return {**super().run(tmp, task_vars), **run(self, lxd_console, task_vars)}
