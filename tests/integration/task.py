# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running one Ansible task: in this process by pytest-ansible, or by the command `ansible` in a process of its own."""

import json
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.manager import VariableManager
from pytest_ansible.module_dispatcher.v213 import ModuleDispatcherV213

INVENTORY = "localhost,"
MODULE = "lxdops.compute.lxd_instance"


class _Dispatcher(ModuleDispatcherV213):
    """pytest-ansible's runner of one task, with the task's own keywords."""

    keywords: Mapping[str, Any] = {}

    def _build_play_ds(self, complex_args: dict[str, Any]) -> dict[str, Any]:
        play: dict[str, Any] = super()._build_play_ds(complex_args)
        play["tasks"] = [{self.options["module_name"]: complex_args, **self.keywords}]
        return play


def task(
    params: Mapping[str, Any],
    *,
    check: bool = False,
    module: str = MODULE,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The result of one task on this machine, in diff mode; `failed` is in it where it failed."""
    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=INVENTORY)
    runner = _Dispatcher(
        inventory=INVENTORY,
        inventory_manager=inventory,
        variable_manager=VariableManager(loader=loader, inventory=inventory),
        loader=loader,
        host_pattern="localhost",
        connection="local",
    )
    runner.keywords = {
        "check_mode": check,
        "diff": True,
        "environment": dict(environment or {}),
        "vars": {"ansible_python_interpreter": sys.executable, "ansible_pipelining": True},
    }
    with warnings.catch_warnings():
        # pytest-ansible makes its collections known at the start of the tests, and again for each task.
        warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")
        result: dict[str, Any] = getattr(runner, module)(**params).contacted["localhost"]
    return result


Plays = Sequence[Mapping[str, Any]]


def play(
    playbook: str | Plays,
    path: Path,
    variables: Mapping[str, Any],
    *words: str,
    inventory: str = INVENTORY,
) -> subprocess.CompletedProcess[str]:
    """A run of one of the collection's playbooks, or of plays, as people run them; `stdout` has all output.

    ``path``: where the variables and plays are written.
    """
    # An inventory of ours says by itself how to run modules on its hosts.
    interpreter = {} if Path(inventory).is_file() else {"ansible_python_interpreter": sys.executable}
    (path / "vars.json").write_text(json.dumps({**interpreter, **variables}))
    if isinstance(playbook, str):
        what = f"lxdops.compute.{playbook}"
    else:
        what = str(path / "plays.json")
        Path(what).write_text(json.dumps([{"connection": "local", "gather_facts": False, **one} for one in playbook]))
    command = [sys.executable, "-m", "ansible.cli.playbook", "--inventory", inventory, what]
    command += ["--extra-vars", f"@{path}/vars.json", *words]
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=900
    )


def command(
    params: Mapping[str, Any], *options: str, inside: Sequence[str] = (), module: str = MODULE
) -> subprocess.Popen[str]:
    """One task by the command `ansible`, started; `inside` is a command that runs it, like nsenter."""
    words = [*inside, sys.executable, "-m", "ansible.cli.adhoc", "localhost", "--inventory", INVENTORY]
    words += ["--connection", "local", "--extra-vars", json.dumps({"ansible_python_interpreter": sys.executable})]
    words += ["--module-name", module, "--args", json.dumps(params), *options]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
