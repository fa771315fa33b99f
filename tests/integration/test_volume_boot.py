# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of the role host_storage: a host boots, and its volumes are there before its instances start, or these do
not start. The reset of a whole machine is shown on the storage machine."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from integration import lab_host
from integration.lab_host import PREFIX, LabHost, run, wait_until
from integration.task import task
from integration.test_volume_moves import NAME, SUM, Shared, with_volumes
from integration.volume_hosts import BLOCK_ID, ID, sharing
from lab.host import holder

CHECKOUT = Path(__file__).parents[2]
ROLE = CHECKOUT / "roles/host_storage"
FILES = Path("/var/tmp/lxdops-boots") / PREFIX  # noqa: S108 where files of a test run that was killed are found
EVACUATION = "lxdops.compute.lxd_evacuation"
FIRST = "volfirst"


@pytest.fixture
def shared(lxd_hosts: list[LabHost], tmp_path: Path) -> Iterator[Shared]:
    """An instance with volumes that starts with its host, and one without."""
    host = lxd_hosts[0]
    with sharing(lxd_hosts, FILES, "filesystem", "block") as (made, block):
        yield with_volumes(lxd_hosts, tmp_path, made, block)
        host.remove(NAME, FIRST)


def stale(shared: Shared) -> None:
    """Let the records be of an earlier boot, in which nothing of what they name had to be the same."""
    for record in shared.on.records("host1").glob("v*.json"):
        kept = json.loads(record.read_text())
        record.write_text(json.dumps(kept | {"boot": "an earlier one"}))


def installed(directory: Path) -> Path:
    """The program, with its library, as the role's tasks/boot.yml puts it (tests/volumes/test_reset.py runs those)."""
    names = yaml.safe_load((ROLE / "vars/main.yml").read_text())["host_storage_files"]
    sources = {name: (CHECKOUT / f"plugins/module_utils/{name}.py").read_text() for name in names}
    program = directory / "lxdops-volumes"
    program.write_text((ROLE / "files/lxdops-volumes").read_text())
    (directory / "lxdops-volumes.json").write_text(json.dumps(sources))
    return program


def boots(shared: Shared, gone: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The host loses its power and boots, with the program before its daemon; ``gone``: what the storage does not have
    meanwhile."""
    host = shared.on.hosts[0]
    inside = ["nsenter", "--target", str(holder(host.machine)), "--mount"]
    lab_host.lab("off", "--name", host.lab, str(host.number))
    stale(shared)
    if gone:
        run([*inside, "mv", str(gone), f"{gone}.away"])
    words = [str(shared.on.path / "python-host1"), str(installed(shared.on.path))]
    words += ["--records", str(shared.on.records("host1")), str(host.machine.data)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    lab_host.lab("start", "--name", host.lab, str(host.number))
    if gone:
        run([*inside, "mv", f"{gone}.away", str(gone)])
    return done


def test_volumes_are_there_before_the_instance_starts_or_it_does_not_start(shared: Shared) -> None:
    host, on = shared.on.hosts[0], shared.on
    host.make(FIRST, power="running")
    host.shell(NAME, "sync")
    well = boots(shared)
    assert (well.returncode, well.stdout, well.stderr) == (0, "", "")
    wait_until(lambda: host.query(f"instances/{NAME}")["status"] == "Running", "it starts by itself")
    assert host.shell(NAME, SUM) == shared.before
    assert [one["connected"] for one in on.module("host1", "lxd_volume_attachment_info")["volumes"]] == [True, True]

    host.shell(NAME, "sync")
    badly = boots(shared, gone=Path(shared.filesystem.path))
    assert badly.returncode == 1
    assert f"volume {ID} is not connected, and instances that have it are held back: " in badly.stderr
    assert BLOCK_ID not in badly.stderr
    wait_until(lambda: host.query(f"instances/{FIRST}")["status"] == "Running", "the other starts by itself")
    found = host.query(f"instances/{NAME}")
    assert found["status"] == "Stopped"
    held = {key: found["config"].get(f"user.lxdops.{key}") for key in ("held", "released")}
    (device,) = (name for name, one in found["devices"].items() if one.get("user.lxdops.volume") == ID)
    assert held == {"held": " RUNNING", "released": device}
    assert "its volumes are disconnected from this host" in task({**host.https, "name": NAME})["msg"]
    options = {**host.https, "state": "returned", "targets": {}, "tombstones": []}
    waits = task(options, module=EVACUATION)
    assert "its volumes could not be connected when the host booted" in waits["failed_items"][0]["msg"]

    connected = on.module("host1", instance=NAME, volume=ID, state="connected", connection=shared.filesystem.connection)
    assert connected["changed"]
    released = task(options, module=EVACUATION)
    assert not released.get("failed"), released["msg"]
    assert host.query(f"instances/{NAME}")["status"] == "Running"
    assert host.shell(NAME, SUM) == shared.before
    own = host.query(f"instances/{NAME}")["config"]
    assert not [key for key in own if key.startswith("user.lxdops")]
    assert "boot.autostart" not in own
