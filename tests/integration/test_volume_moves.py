# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances with volumes move between two hosts that share the volumes: the data is there, the volume is connected
where the instance is and nowhere else, and no two hosts use it at once."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from integration.case import same
from integration.lab_host import PREFIX, LabHost
from integration.task import play, task
from integration.test_host_evacuation import power_cut
from integration.volume_hosts import (
    BLOCK_ID,
    ID,
    SharedVolume,
    VolumeHosts,
    local,
    never_mounted_twice,
    sharing,
)
from integration.watch import never_twice

FILES = Path("/var/tmp/lxdops-moves") / PREFIX  # noqa: S108 where files of a test run that was killed are found
NAME = "volmove"
SECRET = "correct-horse-battery"  # noqa: S105 - to be looked for
SUM = "find /srv/data -type f | sort | xargs sha256sum; dd if=/dev/scratch bs=4k count=256 2>/dev/null | sha256sum"


@dataclass(frozen=True)
class Shared:
    """Two hosts, an instance on the first, and its two volumes."""

    on: VolumeHosts
    filesystem: SharedVolume
    block: SharedVolume
    tmp_path: Path
    before: str = ""

    @property
    def connections(self) -> dict[str, Any]:
        return {ID: {"connection": self.filesystem.connection}, BLOCK_ID: {"connection": self.block.connection}}

    def variables(self, source: str, target: str, **more: Any) -> dict[str, Any]:
        """Of the role instance_migration, from one host to the other."""
        return {
            "instance_migration_name": NAME,
            "instance_migration_source": self.on.host(source).https,
            "instance_migration_target": self.on.host(target).https,
            "instance_migration_source_host": source,
            "instance_migration_target_host": target,
            "instance_migration_volumes": self.connections,
            **{f"instance_migration_{key}": value for key, value in more.items()},
        }

    def play(self, playbook: Any, variables: Mapping[str, Any], *words: str) -> subprocess.CompletedProcess[str]:
        return play(playbook, self.tmp_path, variables, *words, inventory=str(self.on.inventory))

    def move(self, source: str, target: str, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.play("migrate_instance", self.variables(source, target, **more), *words)

    def all_is_on(self, where: str, elsewhere: str, name: str = NAME) -> None:
        """The instance, its volumes and its data are on one host, and nothing of them on the other."""
        here = self.on.host(where)
        assert here.instances() == [name]
        assert self.on.host(elsewhere).instances() == []
        assert here.query(f"instances/{name}")["status"] == "Running"
        assert here.shell(name, SUM) == self.before
        found = here.query(f"instances/{name}")
        assert "user.lxdops.released" not in found["config"]
        assert "user.lxdops.migration" not in found["config"]
        assert {one: record["awaits"] for one, record in self.on.kept(where).items()} == {ID: "", BLOCK_ID: ""}
        assert self.on.kept(elsewhere) == {}
        info = self.on.module(where, "lxd_volume_attachment_info")
        assert (info["orphans"], info["missing"]) == ([], [])


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What a playbook printed, however its lines were broken."""
    return " ".join(done.stdout.split())


@pytest.fixture(autouse=True)
def _nothing_left(lxd_hosts: list[LabHost]) -> Iterator[None]:
    """Instances that a failed test has left, and the cordon."""
    yield
    for host in lxd_hosts:
        host.remove(*host.instances())
        host.call("PATCH", "", {"config": {"user.lxdops.cordon": ""}})


def with_volumes(hosts: list[LabHost], tmp_path: Path, made: SharedVolume, block: SharedVolume) -> Shared:
    """A running instance on the first host that has written to a filesystem and to a block device."""
    on = VolumeHosts(hosts, tmp_path)
    hosts[0].make(NAME, power="running")
    filesystem: dict[str, Any] = {"mode": "filesystem", "path": "/srv/data", "fstype": "ext4", "format": True}
    on.module("host1", instance=NAME, volume=ID, connection=made.connection, **filesystem)
    on.module("host1", instance=NAME, volume=BLOCK_ID, connection=block.connection, path="/dev/scratch")
    hosts[0].shell(NAME, "mkdir /srv/data/db; dd if=/dev/urandom of=/srv/data/db/file bs=64k count=64")
    hosts[0].shell(NAME, "dd if=/dev/urandom of=/dev/scratch bs=4k count=256 conv=fsync")
    return Shared(on, made, block, tmp_path, hosts[0].shell(NAME, SUM))


@pytest.fixture
def shared(lxd_hosts: list[LabHost], tmp_path: Path) -> Iterator[Shared]:
    with sharing(lxd_hosts, FILES, "filesystem", "block") as (made, block):
        yield with_volumes(lxd_hosts, tmp_path, made, block)
        for host in lxd_hosts:
            host.remove(NAME)


def test_an_instance_moves_with_its_volumes(shared: Shared) -> None:
    hosts = shared.on.hosts
    untouched = [host.everything() for host in hosts]
    alone = task(
        {**hosts[0].https, "name": NAME, "target": dict(hosts[1].https)}, module="lxdops.compute.lxd_migration"
    )
    assert alone["failed"]
    assert {one.split(" (")[0] for one in alone["blockers"]} == {f"volume {ID}", f"volume {BLOCK_ID}"}
    lacking = shared.move("host1", "host2", "--check", volumes={ID: {"connection": shared.filesystem.connection}})
    assert lacking.returncode == 2
    assert f"volume {BLOCK_ID} ({shared.block.path}): blocked: no connection" in said(lacking)
    checked = shared.move("host1", "host2", "--check")
    assert checked.returncode == 0, checked.stdout
    assert f"volume {ID} ({shared.filesystem.path}): connected there, then disconnected here" in said(checked)
    same([host.everything() for host in hosts], untouched)
    assert shared.on.kept("host2") == {}
    with never_twice(hosts), never_mounted_twice(hosts, shared.filesystem):
        moved = shared.move("host1", "host2")
    assert moved.returncode == 0, moved.stdout
    shared.all_is_on("host2", "host1")
    again = shared.move("host1", "host2")
    assert again.returncode == 0, again.stdout
    assert re.search("localhost .* changed=0", again.stdout)


@pytest.mark.thorough
def test_a_volume_that_has_another_path_on_the_target(shared: Shared) -> None:
    on, (source, target) = shared.on, shared.on.hosts
    for volume in (ID, BLOCK_ID):
        on.module("host1", instance=NAME, volume=volume, state="detached")
    made: dict[str, list[dict[str, Any]]] = {}
    for volume, one in ((ID, shared.filesystem), (BLOCK_ID, shared.block)):
        # The secret is nobody's: what is local needs none.
        made[volume] = [
            {"connection": {"driver_volume_type": "local", "data": {"device_path": path, "auth_password": SECRET}}}
            for path in one.devices
        ]
    mounted: dict[str, Any] = {"mode": "filesystem", "path": "/srv/data", "fstype": "ext4"}
    on.module("host1", instance=NAME, volume=ID, **made[ID][0], **mounted)
    on.module("host1", instance=NAME, volume=BLOCK_ID, **made[BLOCK_ID][0], path="/dev/scratch")
    there, here = ({volume: found[number] for volume, found in made.items()} for number in (1, 0))
    with never_twice(on.hosts), never_mounted_twice(on.hosts, shared.filesystem):
        moved = shared.move("host1", "host2", "-vvv", volumes=there, source_volumes=here)
    assert moved.returncode == 0, moved.stdout
    assert SECRET not in moved.stdout
    shared.all_is_on("host2", "host1")
    sources = {one.get("source") for one in target.query(f"instances/{NAME}")["devices"].values()}
    assert {shared.filesystem.devices[1], shared.block.devices[1]} <= sources
    assert SECRET not in str([host.everything() for host in (source, target)]) + str(on.kept("host2"))


def test_a_deleted_instance_leaves_its_volumes(shared: Shared) -> None:
    (host, _other), on = shared.on.hosts, shared.on
    variables = {"instance_termination_host": host.https, "instance_termination_instances": [NAME]}
    told = task({**host.https, "name": NAME, "state": "absent"}, check=True)
    assert sorted(told["volumes"]) == sorted([ID, BLOCK_ID])
    refused = shared.play("terminate_instances", variables)
    assert "volumes are attached: instance_termination_inventory_host says" in said(refused)
    variables["instance_termination_inventory_host"] = "host1"
    checked = shared.play("terminate_instances", variables, "--check")
    assert checked.returncode == 0, checked.stdout
    assert "its volumes are disconnected and kept: " in said(checked)
    assert (host.instances(), len(on.kept("host1"))) == ([NAME], 2)
    done = shared.play("terminate_instances", variables)
    assert done.returncode == 0, done.stdout
    assert (host.instances(), on.kept("host1")) == ([], {})
    again = shared.play("terminate_instances", variables)
    assert re.search("localhost .* changed=0", again.stdout), again.stdout
    host.make(NAME, power="running")
    mounted = {"mode": "filesystem", "path": "/srv/data", "fstype": "ext4"}
    on.module("host1", instance=NAME, volume=ID, connection=shared.filesystem.connection, **mounted)
    on.module("host1", instance=NAME, volume=BLOCK_ID, connection=shared.block.connection, path="/dev/scratch")
    assert host.shell(NAME, SUM) == shared.before


@pytest.mark.parametrize("method", ["swap", pytest.param("server", marks=pytest.mark.thorough)])
def test_a_rebuilt_instance_keeps_its_volumes(shared: Shared, method: str) -> None:
    host = shared.on.hosts[0]
    if method == "server" and not host.query("")["api_extensions"].count("instances_rebuild"):
        pytest.skip("this server has no rebuild of its own")
    result = task(
        {**host.https, "name": NAME, "source": {"alias": "tiny2"}, "method": method},
        module="lxdops.compute.lxd_rebuild",
    )
    assert not result.get("failed"), result["msg"]
    assert (
        host.query(f"instances/{NAME}")["config"]["volatile.base_image"] == host.query("images/aliases/tiny2")["target"]
    )
    shared.all_is_on("host1", "host2")


def test_a_copy_that_does_not_start_brings_all_back(shared: Shared) -> None:
    source, target = shared.on.hosts
    device = {"type": "proxy", "listen": "tcp:127.0.0.1:7171", "connect": "tcp:127.0.0.1:70"}
    found = source.query(f"instances/{NAME}")
    source.call("PATCH", f"instances/{NAME}", {"devices": found["devices"] | {"port": device}})
    with (
        target.listener(7171),
        never_twice(shared.on.hosts),
        never_mounted_twice(shared.on.hosts, shared.filesystem),
    ):
        failed = shared.move("host1", "host2")
    assert failed.returncode == 2
    assert f"{NAME}: not moved: " in said(failed), failed.stdout
    shared.all_is_on("host1", "host2")


STAGES = ("connected", "arrived", "disconnected", "seen", "started")


@pytest.mark.thorough
@pytest.mark.parametrize("ending", ["migrated", "aborted"])
@pytest.mark.parametrize("stage", range(1, len(STAGES)))
def test_a_run_cut_short_after_each_step_is_ended_or_given_up(shared: Shared, stage: int, ending: str) -> None:
    on, (source, target) = shared.on, shared.on.hosts
    link = {**source.https, "name": NAME, "target": dict(target.https)}
    paths = {ID: shared.filesystem.path, BLOCK_ID: shared.block.path}

    def halves(name: str, state: str) -> None:
        for volume, given in shared.connections.items():
            on.module(name, instance=NAME, volume=volume, state=state, **(given if state == "connected" else {}))

    steps = (
        lambda: halves("host2", "connected"),
        lambda: task({**link, "state": "arrived", "volumes": paths}, module="lxdops.compute.lxd_migration"),
        lambda: halves("host1", "disconnected"),
        lambda: halves("host2", "connected"),
    )
    with never_twice(on.hosts):
        for step in steps[:stage]:
            step()
        if STAGES[stage - 1] == "arrived":
            early = task({**link, "volumes": paths}, module="lxdops.compute.lxd_migration")
            assert "its volumes must be disconnected from the source" in early["msg"]
        if STAGES[stage - 1] == "disconnected":
            started = task({**source.https, "name": NAME, "state": "started"})
            assert "its volumes are disconnected from this host" in started["msg"]
            aborted = task({**link, "state": "aborted"}, module="lxdops.compute.lxd_migration")
            assert aborted["failed"]
        done = shared.move("host1", "host2", state=ending)
    assert done.returncode == 0, done.stdout
    shared.all_is_on(*(("host2", "host1") if ending == "migrated" else ("host1", "host2")))


def maintain(shared: Shared, way: str, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """A run of maintenance_enter or maintenance_exit of the first host."""
    host, other = shared.on.hosts
    variables = {
        "host_maintenance_host": host.https,
        "host_maintenance_targets": {"host2": other.https},
        "host_maintenance_inventory_host": "host1",
        "host_maintenance_volumes": shared.connections,
        **more,
    }
    return shared.play(f"maintenance_{way}", variables, *words)


def test_a_host_is_drained_of_instances_with_volumes_and_filled_again(shared: Shared) -> None:
    host, other = shared.on.hosts
    host.make("volplain")
    untouched = [one.everything() for one in shared.on.hosts]
    lacking = maintain(shared, "enter", "--check", host_maintenance_volumes={})
    assert lacking.returncode == 2
    assert re.search(f"blocked: {NAME} on .*volume {ID} .* is connected to the source", said(lacking)), lacking.stdout
    checked = maintain(shared, "enter", "--check")
    assert checked.returncode == 0, checked.stdout
    assert f"volume {ID}: connected there, then disconnected here" in said(checked)
    same([one.everything() for one in shared.on.hosts], untouched)
    assert shared.on.kept("host2") == {}
    with never_twice(shared.on.hosts), never_mounted_twice(shared.on.hosts, shared.filesystem):
        drained = maintain(shared, "enter")
        assert drained.returncode == 0, drained.stdout
        assert sorted(other.instances()) == [NAME, "volplain"], drained.stdout
        assert (host.instances(), shared.on.kept("host1")) == ([], {})
        assert other.shell(NAME, SUM) == shared.before
        home = maintain(shared, "exit")
    assert home.returncode == 0, home.stdout
    assert sorted(host.instances()) == [NAME, "volplain"], home.stdout
    host.remove("volplain")
    shared.all_is_on("host1", "host2")


@pytest.mark.thorough
def test_one_whose_volumes_cannot_be_connected_stays_and_stops_no_other(shared: Shared) -> None:
    host, other = shared.on.hosts
    host.make("volplain")
    wrong = {**shared.connections, BLOCK_ID: {"connection": local("/dev/no")}}
    drained = maintain(shared, "enter", host_maintenance_volumes=wrong)
    assert drained.returncode == 2
    assert "which is no block device with a size" in said(drained)
    assert (host.instances(), other.instances()) == ([NAME], ["volplain"])
    other.remove("volplain")
    host.call("PATCH", "", {"config": {"user.lxdops.cordon": ""}})
    shared.all_is_on("host1", "host2")


def evacuate(shared: Shared, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """A run of evacuate_host of the first host."""
    host, other = shared.on.hosts
    variables = {
        "host_evacuation_name": "host1",
        "host_evacuation_host": host.https,
        "host_evacuation_record_directory": str(shared.tmp_path / "kept"),
        "host_evacuation_targets": {"host2": other.https},
        "host_evacuation_inventory_host": "host1",
        **{f"host_evacuation_{key}": value for key, value in more.items()},
    }
    return shared.play("evacuate_host", variables, *words)


def test_an_evacuated_instance_has_its_volumes_and_the_host_that_returns_has_not(shared: Shared) -> None:
    host, other = shared.on.hosts
    host.shell(NAME, "sync")
    recorded = shared.play(
        "record_hosts",
        {
            "record_hosts_group": "host1",
            "host_record_host": host.https,
            "host_record_directory": str(shared.tmp_path / "kept"),
            "host_record_volumes": True,
        },
    )
    assert recorded.returncode == 0, recorded.stdout
    with never_twice(shared.on.hosts), never_mounted_twice(shared.on.hosts, shared.filesystem):
        with power_cut(host):
            checked = evacuate(shared, "--check", fenced=True)
            assert f"volume {ID}: connected there" in said(checked), checked.stdout
            assert (other.instances(), shared.on.kept("host2")) == ([], {})
            wrong = evacuate(shared, fenced=True, volumes={BLOCK_ID: {"connection": local("/dev/no")}})
            assert wrong.returncode == 2
            assert f"volume {BLOCK_ID} of {NAME}: " in said(wrong), wrong.stdout
            assert other.instances() == []
            done = evacuate(shared, fenced=True)
            assert done.returncode == 0, done.stdout
            assert other.instances() == [NAME]
            assert other.shell(NAME, SUM) == shared.before
            assert re.search("localhost .* changed=0", evacuate(shared, fenced=True).stdout)
        assert host.query(f"instances/{NAME}")["status"] == "Stopped"
        back = evacuate(shared, returned=True)
        assert back.returncode == 0, back.stdout
    shared.all_is_on("host2", "host1")
