# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role instance_rebuild by its playbook: a list of instances gets new roots, and one that cannot stops no other."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.case import same
from integration.lab_host import LabHost
from integration.task import play


@pytest.fixture(autouse=True)
def _cleaned(lxd: LabHost) -> Iterator[None]:
    yield
    lxd.remove(*lxd.instances())


def rebuilt(host: LabHost, path: Path, *words: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """A run of rebuild_instance, over https."""
    own = {
        "instance_rebuild_host": host.https,
        "instance_rebuild_source": {"alias": "tiny2"},
        "instance_rebuild_instances": [{"name": "runs", "config": {"user.a": "2"}}, {"name": "stands"}],
    }
    return play("rebuild_instance", path, own | variables, *words)


def test_a_list_of_instances(lxd: LabHost, tmp_path: Path) -> None:
    host = lxd
    host.make("runs", power="running")
    host.make("stands")
    host.call("POST", "instances/stands/snapshots", {"name": "monday"})
    new = host.query("images/aliases/tiny2")["target"]
    untouched = host.everything()

    checked = rebuilt(host, tmp_path, "--check", instance_rebuild_snapshots="delete")
    assert checked.returncode == 0, checked.stdout
    shown = " ".join(checked.stdout.split())
    server = host.query("")["environment"]["server_name"]
    for name, rest in (("runs", "running none seconds"), ("stands", "stopped 1 deleted none")):
        assert re.search(f"{name} {server} Tiny busybox, release 1 .*? {rest}", shown), checked.stdout
    same(host.everything(), untouched)

    done = rebuilt(host, tmp_path, instance_rebuild_snapshots="keep")
    assert done.returncode == 0, done.stdout
    same(host.query("instances/runs"), {"status": "Running", "config": {"volatile.base_image": new, "user.a": "2"}})
    same(host.query("instances/stands"), {"status": "Stopped", "config": {"volatile.base_image": new}})
    assert sorted(host.instances()) == ["runs", "runs-before-rebuild", "stands", "stands-before-rebuild"]


@pytest.mark.thorough
def test_one_that_cannot_be_rebuilt_stops_no_other(lxd: LabHost, tmp_path: Path) -> None:
    host = lxd
    host.make("runs", power="running")
    host.make("stands")
    host.call("POST", "instances/stands/snapshots", {"name": "monday"})
    new = host.query("images/aliases/tiny2")["target"]
    first = rebuilt(host, tmp_path)
    assert first.returncode == 2, first.stdout
    assert "runs: rebuilt" in first.stdout
    assert "stands: stands on" in first.stdout
    assert "its snapshots would be lost: monday" in first.stdout
    same(host.query("instances/runs"), {"status": "Running", "config": {"volatile.base_image": new, "user.a": "2"}})
    assert host.query("instances/stands")["config"]["volatile.base_image"] != new

    assert rebuilt(host, tmp_path, instance_rebuild_snapshots="delete").returncode == 0
    again = rebuilt(host, tmp_path, instance_rebuild_snapshots="delete")
    assert "changed=0" in again.stdout, again.stdout
