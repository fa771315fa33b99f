# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_instances where a daemon dies in the middle, or its host: its own items fail, in words and in time, and those of
no other host; the next run converges."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from integration import lab_host
from integration.lab_host import LabHost

FLEET = "lxdops.compute.lxd_instances"
MANY = [f"fl{number:02}" for number in range(16)]
WAIT = 60
"""The task's wait_timeout."""
CAUSES = (
    "Connection refused",
    "Connection reset by peer",
    "Remote end closed connection .*",
    "Response ended prematurely",
    "The read operation timed out",
)
WAYS = {
    "unix": {"endpoint": "{{ lab_socket }}"},
    "https": {
        "endpoint": "{{ lab_endpoint }}",
        "server_cert": "{{ lab_server_cert }}",
        "client_cert": "{{ lab_client_cert }}",
        "client_key": "{{ lab_client_key }}",
    },
}


CASES = {
    **{f"{way}-{execution}": ("kill", way, execution) for way in WAYS for execution in ("controller", "host")},
    "https-off the network": ("cut", "https", "controller"),
}
"""What becomes of the host, how its server is reached, and by which front end."""
MOST = {"kill": WAIT, "cut": 3 * WAIT}
"""Seconds until all have failed: of a host that is gone an answer is waited for, too."""


@pytest.fixture
def dies(pair: list[LabHost]) -> Iterator[LabHost]:
    """The host of the two which something becomes of; it is well again afterwards."""
    one = pair[0]
    yield one
    mended(one)
    for host in pair:
        host.remove(*MANY)


def mended(host: LabHost) -> None:
    for command in ("start", "heal"):
        lab_host.lab(command, str(host.number), "--name", host.lab)


def results(path: Path) -> dict[str, dict[str, Any]]:
    """What the task gave, of each host."""
    return {file.stem: json.loads(file.read_text()) for file in path.glob("*.json")}


@pytest.mark.thorough
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_daemon_that_dies_fails_its_own_instances_and_no_other_host(
    pair: list[LabHost], dies: LabHost, tmp_path: Path, case: tuple[str, str, str]
) -> None:
    fate, way, execution = case
    create = {
        **WAYS[way],
        "execution": execution,
        "wait_timeout": WAIT,
        "defaults": {"source": {"alias": "tiny"}},
        "instances": [{"name": name} for name in MANY],
        "concurrency": {"start": 1},
    }
    kept = {"content": "{{ result | to_json }}", "dest": f"{tmp_path}/{{{{ lab_number }}}}.json", "mode": "0600"}
    tasks = [
        {FLEET: create, "register": "result", "ignore_errors": True},
        {"ansible.builtin.copy": kept, "delegate_to": "localhost"},
    ]
    playbook = tmp_path / "fleet.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    inventory = f"/var/lib/lxdops-lab/{dies.lab}/inventory.yml"
    words = [sys.executable, "-m", "ansible.cli.playbook", "--inventory", inventory, str(playbook)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        lab_host.wait_until(dies.instances, "an instance on the host")
        lab_host.lab(fate, str(dies.number), "--name", dies.lab)
        output, _error = run.communicate(timeout=MOST[fate])
    dead, other = (results(tmp_path)[str(host.number)] for host in pair)
    assert (dead["failed"], bool(other.get("failed"))) == (True, False), output
    assert sorted(pair[1].instances()) == MANY
    failed = {item["name"]: item for item in dead["failed_items"]}
    assert dead["msg"].startswith(f"{len(failed)} of {len(MANY)} instances failed: ")
    assert sorted([*failed, *(item["name"] for item in dead["instances"])]) == MANY
    (first, why), *others = failed.items()
    assert why["error"] in ("Unreachable", "TimedOut")
    assert re.search(rf"^\S+ \(\S+\): .*\b{first}\b", why["msg"]), why["msg"]
    assert re.search(f"(no answer to .*|: ({'|'.join(CAUSES)}))$", why["msg"]), why["msg"]
    for name, item in others:
        assert item["error"] == "Unreachable"
        assert re.search(rf"^{name}: not begun, as \S+ \(\S+\) does not answer any more$", item["msg"]), item["msg"]

    mended(dies)
    for changed in (True, False):
        lab_host.run(words)
        assert results(tmp_path)[str(dies.number)]["changed"] is changed
    for host in pair:
        assert sorted(host.instances()) == MANY
        assert {one["status"] for one in host.call("GET", "instances?recursion=1")} == {"Running"}
