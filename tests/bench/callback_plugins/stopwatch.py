# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long each task of a playbook took."""

from __future__ import annotations

DOCUMENTATION = r"""
name: stopwatch
type: aggregate
short_description: Seconds of each task, for the benchmark
description: Writes a JSON list of the tasks' names and seconds to the file that E(STOPWATCH_FILE) names.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Ansible's entry."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "stopwatch"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.began = 0.0
        self.took: list[tuple[str, float]] = []

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Start the watch."""
        self.began = time.monotonic()

    def v2_runner_on_ok(self, result: Any) -> None:
        """Stop it; of a loop this is called at its end."""
        self.took.append((result._task.name, time.monotonic() - self.began))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Write what was measured."""
        Path(os.environ["STOPWATCH_FILE"]).write_text(json.dumps(self.took))
