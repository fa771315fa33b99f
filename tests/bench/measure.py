# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a command or a playbook, and what that took."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PLUGINS = Path(__file__).with_name("callback_plugins")
ACTIONS = Path(__file__).with_name("action_plugins")


class SideFailed(Exception):
    """A side did not do what it was to do: its time says nothing."""


@dataclass(frozen=True)
class Spent:
    """What a command took: seconds of wall time and of processors (its children included), and memory in MiB."""

    wall: float
    processors: float
    memory: float
    """Of its largest process."""


def command(words: Sequence[str], environment: Mapping[str, str]) -> Spent:
    """Run a command to its end. Raises SideFailed with what it printed."""
    with tempfile.TemporaryFile("w+") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        _pid, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise SideFailed(f"{' '.join(words)}: {output.read()[-2000:]}")
    return Spent(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def playbook(tasks: Sequence[Mapping[str, Any]], **environment: str) -> Spent:
    """Run tasks as a play on this machine: what ansible-playbook took."""
    with tempfile.TemporaryDirectory() as scratch:
        play = Path(scratch, "play.yml")
        play.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": list(tasks)}]))
        environment = {
            **os.environ,
            "ANSIBLE_ACTION_PLUGINS": str(ACTIONS),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            **environment,
        }
        words = [str(Path(sys.executable).with_name("ansible-playbook")), "--inventory", "localhost,"]
        return command([*words, "--connection", "local", str(play)], environment)


def timed(tasks: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """The seconds of tasks by their names, by a callback plugin. It costs: Ansible copies each result for it."""
    with tempfile.NamedTemporaryFile("r") as watch:
        playbook(
            tasks,
            ANSIBLE_CALLBACK_PLUGINS=str(PLUGINS),
            ANSIBLE_CALLBACKS_ENABLED="stopwatch",
            STOPWATCH_FILE=watch.name,
        )
        took: dict[str, list[float]] = {}
        for name, seconds in json.load(watch):
            took.setdefault(name, []).append(seconds)
        return took
