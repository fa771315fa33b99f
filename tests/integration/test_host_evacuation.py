# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host dies, its instances are made again on another, and when it is back its stale copies go: nothing runs twice."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from integration import lab_host
from integration.case import same
from integration.killed_run import killed
from integration.lab_host import LabHost, wait_until
from integration.task import play, task
from integration.test_lxd_migration import shown
from integration.watch import never_twice

GUARD = Path(__file__).parents[2] / "roles/host_record/files/lxdops-boot-guard"
RECORD, EVACUATION = "lxdops.compute.lxd_host_record", "lxdops.compute.lxd_evacuation"
NIC = {"type": "nic", "network": "lab0", "ipv4.address": "10.177.0.99", "name": "eth0"}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "ev-runs": ("running", {"config": {"user.a": "1", "security.protection.delete": "true"}, "devices": {"eth0": NIC}}),
    "ev-stands": ("stopped", {"description": "d", "config": {"boot.autostart": "false"}}),
    "ev-frozen": ("frozen", {"config": {"boot.autostart": "true"}}),
    "ev-stays": ("running", {"config": {"cloud-init.user-data": "#cloud-config hush"}}),
}
GONE = ("ev-runs", "ev-stands", "ev-frozen")
EVACUATED = "user.lxdops.evacuated"
MOST_WRITES = 5


@contextmanager
def power_cut(host: LabHost, *, guarded: bool = True) -> Iterator[None]:
    """A host without power or network; then it boots, with the guard before its daemon, and has its network again."""
    lab_host.lab("cut", "--name", host.lab, str(host.number))
    lab_host.lab("off", "--name", host.lab, str(host.number))
    try:
        yield
    finally:
        if guarded:
            lab_host.run(["sh", str(GUARD), host.facts["lab_daemon_directory"]])
        lab_host.lab("start", "--name", host.lab, str(host.number))
        lab_host.lab("heal", "--name", host.lab, str(host.number))


def cleaned(host: LabHost) -> None:
    """Remove what these tests make."""
    for name in KINDS:
        if host.instance(name):
            host.call("PATCH", f"instances/{name}", {"config": {"security.protection.delete": "false"}})
    host.remove(*KINDS)


@pytest.fixture
def _clean(lxd_hosts: list[LabHost]) -> Iterator[None]:
    yield
    for host in lxd_hosts:
        cleaned(host)


def recorded(host: LabHost, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """A run of record_hosts."""
    variables = {
        "record_hosts_group": "all",
        "host_record_host": host.https,
        "host_record_directory": str(tmp_path / "records"),
    }
    return play("record_hosts", tmp_path, variables, inventory="lxd1,")


def evacuated(
    host: LabHost, other: LabHost, tmp_path: Path, *words: str, **more: Any
) -> subprocess.CompletedProcess[str]:
    """A run of evacuate_host."""
    variables = {
        "host_evacuation_name": "lxd1",
        "host_evacuation_host": host.https,
        "host_evacuation_record_directory": str(tmp_path / "records"),
        "host_evacuation_targets": {"other": other.https},
        **{f"host_evacuation_{key}": value for key, value in more.items()},
    }
    return play("evacuate_host", tmp_path, variables, *words, inventory="lxd1,")


def settled(host: LabHost) -> dict[str, Any]:
    """The instances as they must be on another host."""
    return {name: shown(host, name) for name in KINDS}


@pytest.mark.usefixtures("_clean")
def test_a_host_dies_and_comes_back(lxd_hosts: list[LabHost]) -> None:
    host, other = lxd_hosts
    for name, (power, body) in KINDS.items():
        host.make(name, power=power, **body)
    before = settled(host)
    record = task(host.https, module=RECORD)["record"]
    assert "hush" not in json.dumps(record)
    options = {**host.https, "record": record, "targets": {"other": other.https}, "tombstones": []}
    untouched = [one.everything() for one in lxd_hosts]
    refused = task({**options, "fenced": True}, module=EVACUATION)
    assert "answers at https://" in refused["msg"]
    same([one.everything() for one in lxd_hosts], untouched)

    with never_twice(lxd_hosts):
        with power_cut(host):
            assert "fenced: found false" in task(options, module=EVACUATION)["msg"]
            checked = task({**options, "fenced": True}, module=EVACUATION, check=True)
            assert other.instances() == []
            done = task({**options, "fenced": True}, module=EVACUATION)
            for part in ("changed", "steps", "diff", "instances", "failed_items", "tombstones"):
                same(done[part], checked[part])
            (failed,) = done["failed_items"]
            assert "ev-stays: the record has no cloud-init.user-data" in failed["msg"]
            arrived(other, record, before)
            again = task({**options, "fenced": True}, module=EVACUATION)
            assert (again["changed"], again["steps"]) == (False, [])
        # The daemon runs again: nothing of what the guard held has started.
        assert {one["status"] for one in host.query("instances?recursion=1")} == {"Stopped"}
        returned = {**options, "state": "returned", "tombstones": done["tombstones"]}
        checked = task(returned, module=EVACUATION, check=True)
        back = task(returned, module=EVACUATION)
        assert not back.get("failed"), back["msg"]
        for part in ("changed", "steps", "diff", "instances"):
            same(back[part], checked[part])
        assert host.instances() == ["ev-stays"]
        same(shown(host, "ev-stays"), before["ev-stays"])
        assert not [key for key in shown(host, "ev-stays")["config"] if key.startswith("user.lxdops")]
        arrived(other, record, before)
        assert not task(returned, module=EVACUATION)["changed"]


def arrived(other: LabHost, record: dict[str, Any], before: dict[str, Any]) -> None:
    """All that was to be evacuated is as it was, but for its files."""
    assert sorted(other.instances()) == sorted(GONE)
    for name in GONE:
        moved = before[name]["config"] | {EVACUATED: record["identity"]}
        same(shown(other, name), before[name] | {"config": moved, "snapshots": []})


@pytest.mark.thorough
@pytest.mark.usefixtures("_clean")
def test_the_same_by_playbooks(lxd_hosts: list[LabHost], tmp_path: Path) -> None:
    host, other = lxd_hosts
    for name, (power, body) in KINDS.items():
        host.make(name, power=power, **body)
    before = settled(host)

    first = recorded(host, tmp_path)
    assert first.returncode == 0, first.stdout
    assert "changed=0" in recorded(host, tmp_path).stdout
    kept = tmp_path / "records/lxd1.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "hush" not in kept.read_text() + first.stdout

    untouched = [one.everything() for one in lxd_hosts]
    refused = evacuated(host, other, tmp_path)
    assert refused.returncode == 2
    assert "answers at https://" in refused.stdout
    assert "fenced: found false" in refused.stdout
    same([one.everything() for one in lxd_hosts], untouched)

    with never_twice(lxd_hosts):
        with power_cut(host):
            silent = recorded(host, tmp_path)
            assert silent.returncode == 2
            assert "its last record is kept" in silent.stdout
            unfenced = evacuated(host, other, tmp_path)
            assert "fenced: found false" in unfenced.stdout
            assert "answers at" not in unfenced.stdout
            assert not (tmp_path / "records/lxd1.evacuated.json").exists()
            checked = evacuated(host, other, tmp_path, "--check", fenced=True)
            assert "ev-runs                  other" in checked.stdout
            assert other.instances() == []

            done = evacuated(host, other, tmp_path, fenced=True)
            assert done.returncode == 2
            assert "ev-stays: the record has no cloud-init.user-data" in done.stdout
            for name in GONE:
                after = shown(other, name)
                moved = before[name]["config"] | {EVACUATED: after["config"][EVACUATED]}
                same(after, before[name] | {"config": moved | {"volatile.last_state.ready": None}, "snapshots": []})
                assert " " not in after["config"][EVACUATED]
            assert sorted(other.instances()) == sorted(GONE)
            again = evacuated(host, other, tmp_path, fenced=True)
            assert "changed=0" in again.stdout
        # The daemon runs again: nothing of what it held has started.
        assert {one["name"]: one["status"] for one in host.query("instances?recursion=1")} == dict.fromkeys(
            KINDS, "Stopped"
        )
        held = recorded(host, tmp_path)
        assert "It was evacuated" in held.stdout

        back = evacuated(host, other, tmp_path, returned=True)
        assert back.returncode == 0, back.stdout
        assert host.instances() == ["ev-stays"]
        same(shown(host, "ev-stays"), before["ev-stays"] | {"config": before["ev-stays"]["config"]})
        assert host.query("instances/ev-stays")["status"] == "Running"
        assert not [key for key in host.query("instances/ev-stays")["config"] if key.startswith("user.lxdops")]
        assert sorted(other.instances()) == sorted(GONE)
        assert not (tmp_path / "records/lxd1.evacuated.json").exists()
        assert "changed=0" in evacuated(host, other, tmp_path, returned=True).stdout
    assert recorded(host, tmp_path).returncode == 0


@pytest.mark.thorough
@pytest.mark.usefixtures("_clean")
def test_after_a_plain_reboot_the_next_record_starts_what_the_guard_held(
    lxd_hosts: list[LabHost], tmp_path: Path
) -> None:
    host = lxd_hosts[0]
    for name, (power, body) in KINDS.items():
        host.make(name, power=power, **body)
    before = settled(host)
    with power_cut(host):
        pass
    assert not [one for one in host.query("instances?recursion=1") if one["status"] != "Stopped"]
    released = recorded(host, tmp_path)
    assert released.returncode == 0, released.stdout
    for name, found in before.items():
        # LXD does not freeze again what was frozen, either.
        status = "Running" if found["status"] == "Frozen" else found["status"]
        same(shown(host, name), found | {"status": status, "status_code": shown(host, name)["status_code"]})
    assert "changed=0" in recorded(host, tmp_path).stdout


@pytest.fixture(scope="module")
def dead(lxd_hosts: list[LabHost]) -> Iterator[dict[str, Any]]:
    """The options that evacuate one instance of a host that is off, with its record."""
    host, other = lxd_hosts
    host.make("ev-runs", power="running", devices={"eth0": NIC})
    record = task(host.https, module=RECORD)["record"]
    with power_cut(host):
        yield {**host.https, "record": record, "targets": {"other": other.https}, "fenced": True, "tombstones": []}
    cleaned(host)


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, MOST_WRITES))
def test_an_evacuation_killed_at_any_write_is_ended_by_the_next(
    lxd_hosts: list[LabHost], dead: dict[str, Any], number: int, when: str
) -> None:
    other = lxd_hosts[1]
    try:
        if not killed(number, when, dead, "lxd_evacuation"):
            pytest.skip(f"an evacuation has no {number}th write")
        result = task(dead, module=EVACUATION)
        assert not result.get("failed"), result["msg"]
        assert other.instances() == ["ev-runs"]
        found = other.query("instances/ev-runs")
        (wanted,) = dead["record"]["instances"]
        assert found["status"] == "Running"
        same(found["config"], wanted["config"] | {EVACUATED: dead["record"]["identity"]})
        assert not task(dead, module=EVACUATION)["changed"]
    finally:
        cleaned(other)


def test_a_target_that_may_have_it_already_is_waited_for(lxd_hosts: list[LabHost], dead: dict[str, Any]) -> None:
    other = lxd_hosts[1]
    (one,) = dead["record"]["instances"]
    stone = {"uuid": one["config"]["volatile.uuid"], "name": "ev-runs", "target": "third"}
    silent = {"endpoint": "https://127.0.0.1:1", "server_fingerprint": "0" * 64}
    targets = {"other": other.https, "third": silent}
    begun = task({**dead, "targets": targets, "tombstones": [stone]}, module=EVACUATION)
    assert "an earlier run has begun with it on third, so it may be there" in begun["msg"]
    unknown = task(
        {key: value for key, value in dead.items() if key != "tombstones"} | {"targets": targets}, module=EVACUATION
    )
    assert "without tombstones that is not known" in unknown["msg"]
    assert other.instances() == []
    clustered = task({**dead, "record": dead["record"] | {"clustered": True}}, module=EVACUATION)
    assert "lxd_host" in clustered["msg"]


@pytest.mark.thorough
def test_the_guard_holds_on_incus_too(incus_hosts: list[LabHost]) -> None:
    (host,) = incus_hosts
    host.make("ev-runs", power="running")
    try:
        for _ in range(2):
            with power_cut(host):
                pass
            assert host.query("instances/ev-runs")["status"] == "Stopped"
        back = task({**host.https, "state": "returned", "targets": {}, "tombstones": []}, module=EVACUATION)
        assert not back.get("failed"), back["msg"]
        wait_until(lambda: host.query("instances/ev-runs")["status"] == "Running", "it runs")
    finally:
        host.remove("ev-runs")
