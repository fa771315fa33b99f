# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The EXAMPLES of every module run as they stand, in the order of the page, on a host that has what they name."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible.parsing.plugin_docs import read_docstring
from integration.lab_host import LabHost, run

MODULES = Path(__file__).parents[2] / "plugins/modules"


@pytest.fixture(scope="module")
def stocked(lxd: LabHost) -> Iterator[LabHost]:
    """A host with the image that the examples name, and without their instances."""
    fingerprint = lxd.query("images/aliases/tiny")["target"]
    lxd.call("POST", "images/aliases", {"name": "debian/12", "target": fingerprint})
    # The examples limit the disk, which the kernel does only on a real one.
    lxd.client("profile", "device", "set", "default", "root", "pool=fast")
    yield lxd
    lxd.remove(*lxd.instances())
    lxd.client("profile", "device", "set", "default", "root", "pool=default")
    lxd.call("DELETE", "images/aliases/debian/12")


@pytest.mark.parametrize("module", sorted(MODULES.glob("*.py")), ids=lambda path: path.stem)
def test_the_examples_run(stocked: LabHost, module: Path, tmp_path: Path) -> None:
    tasks = yaml.safe_load(read_docstring(str(module), verbose=False)["plainexamples"])
    assert tasks
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable},
        "module_defaults": {"group/lxdops.compute.lxd": stocked.unix},
        "tasks": tasks,
    }
    playbook = tmp_path / "examples.yml"
    playbook.write_text(yaml.safe_dump([play], sort_keys=False))
    output = run([sys.executable, "-m", "ansible.cli.playbook", "--inventory", "localhost,", str(playbook)])
    assert "failed=0" in output
    assert output.count("TASK [") == len(tasks)
