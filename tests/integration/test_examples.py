# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The EXAMPLES of modules run as they stand, in the order of the page, on a host that has what they name."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.plugin_docs import read_docstring
from integration.lab_host import LabHost
from integration.task import play

DIRECTORY = Path(__file__).parents[2] / "plugins/modules"
ELSEWHERE = {"lxd_volume_attachment": "a storage's target, a volume group; that test has loop devices"}
"""The modules whose examples name what this machine cannot have."""
MODULES = sorted(path.stem for path in DIRECTORY.glob("*.py") if path.stem not in ELSEWHERE)
DEAD = {"endpoint": "https://127.0.0.1:1"}
"""A host that does not answer."""
EMPTY = {"identity": "0" * 16, "server_name": "lxd0", "clustered": False, "instances": []}
"""Its record."""
FINDING = ("lxd_console", "lxd_drain", "lxd_interface", "lxd_migration", "lxd_rebuild", "lxd_snapshot")
"""The modules whose examples find these."""
FOUND = [
    {"name": "web1", "source": {"alias": "debian/12"}},
    {"name": "web2", "source": {"alias": "debian/12"}, "state": "stopped"},
]
GONE = {"defaults": {"state": "absent", "force": True}, "instances": [{"name": one["name"]} for one in FOUND]}


@pytest.fixture(scope="module")
def stocked(lxd: LabHost, lxd_hosts: list[LabHost]) -> Iterator[LabHost]:
    """A host with the image that the examples name, and without their instances."""
    fingerprint = lxd.query("images/aliases/tiny")["target"]
    lxd.call("POST", "images/aliases", {"name": "debian/12", "target": fingerprint})
    # The examples limit the disk, which the kernel does only on a real one.
    lxd.client("profile", "device", "set", "default", "root", "pool=fast")
    yield lxd
    for host in lxd_hosts:
        host.remove(*host.instances())
    lxd.client("profile", "device", "set", "default", "root", "pool=default")
    lxd.call("DELETE", "images/aliases/debian/12")
    for image in lxd.call("GET", "images?recursion=1"):
        if "lxdops.snapshot" in image["properties"]:
            lxd.call("DELETE", f"images/{image['fingerprint']}")


def tasks_of(module: str) -> list[dict[str, Any]]:
    """The examples of a module."""
    tasks: list[dict[str, Any]] = yaml.safe_load(
        read_docstring(str(DIRECTORY / f"{module}.py"), verbose=False)["plainexamples"]
    )
    return tasks


def before(module: str) -> list[dict[str, Any]]:
    """The tasks that leave on the host what the examples of a module find, and nothing that others have left."""
    tasks = [{"lxdops.compute.lxd_instances": GONE}]
    return [*tasks, {"lxdops.compute.lxd_instances": {"instances": FOUND}}] if module in FINDING else tasks


@pytest.fixture(scope="module")
def outputs(stocked: LabHost, lxd_hosts: list[LabHost], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What one run of all examples prints, by module: Ansible takes long to start."""
    own = {"dead": DEAD, "record": EMPTY, "lxd2": dict(lxd_hosts[1].https)}
    plays = [
        {
            "name": module,
            "hosts": "localhost",
            "module_defaults": {"group/lxdops.compute.lxd": dict(stocked.unix)},
            "tasks": [*before(module), *tasks_of(module)],
        }
        for module in MODULES
    ]
    directory = tmp_path_factory.mktemp("examples")
    output = play(plays, directory, {"records": str(directory), "backups": str(directory), **own}).stdout
    parts = re.split(r"^PLAY \[(\w+)\].*$", output, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_run(outputs: Mapping[str, str], module: str) -> None:
    tasks = tasks_of(module)
    assert tasks
    assert module in outputs, "not run, since one before it failed"
    assert outputs[module].count("TASK [") == len(before(module)) + len(tasks), outputs[module]
    assert not re.search("^(fatal|failed):", outputs[module], re.MULTILINE), outputs[module]
