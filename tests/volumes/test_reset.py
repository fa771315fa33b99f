# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine loses its power. With the boot unit of the role host_storage its volumes are there before its instances
start, or these do not start."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from volumes.place import CHAP_SECRET, NAME, OTHER, PASSPHRASE, Guest, Place, storage, wait_until
from volumes.playbook import play

UNIT = "lxdops-volumes.service"
VOLUMES = ("reset", "away", "files")
SECRETS = "/etc/lxdops/volume-secrets.json"
ENVIRONMENT, KEY, STATE = "/opt/host", "/root/luks-key", "/srv/targets.json"
SUM = "dd if=/dev/data bs=64k count=64 2>/dev/null | sha256sum"
STALE = "stale-Secret-4711"


EARLY = "/etc/systemd/system/early.service"
EARLIER = """
[Unit]
Before=lxdops-volumes.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=losetup {} {}
[Install]
RequiredBy=lxdops-volumes.service
"""
ROLE = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: lxdops.compute.host_storage, tasks_from: boot}
"""


@pytest.fixture(scope="module")
def unit(guest: Guest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The boot unit, by the role's own tasks: check, apply, apply again. The daemon starts with the machine, as its
    package has it."""
    guest.shell(f"python3 -m venv --without-pip {ENVIRONMENT}")
    guest.shell(f"echo /opt/lxdops >$(echo {ENVIRONMENT}/lib/python3*/site-packages)/lxdops.pth")
    secrets = {volume: {"auth_password": CHAP_SECRET} for volume in VOLUMES}
    given = {"host_storage_environment": ENVIRONMENT, "host_storage_secrets": secrets}
    directory = tmp_path_factory.mktemp("role")
    # In check mode there is no unit yet that could be enabled.
    for options, changed in (("--check",), "changed=5 "), ((), "changed=6 "), ((), "changed=0 "):
        done = play(guest, directory, ROLE, given, *options)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert changed in done.stdout, said
        assert CHAP_SECRET not in said
        # In check mode too: nothing of what it is about is there yet.
        assert guest.shell(f"ls {ENVIRONMENT}/bin/lxdops-volumes.json {SECRETS} 2>/dev/null || true").split() == (
            [] if options else sorted([f"{ENVIRONMENT}/bin/lxdops-volumes.json", SECRETS])
        )
    assert guest.shell(f"stat -c %a {SECRETS}").strip() == "600"
    guest.shell("systemctl enable lxcfs lxd-containers iscsid multipathd")
    yield
    guest.shell(f"systemctl disable {UNIT}; rm -r /etc/lxdops {ENVIRONMENT}")


@pytest.mark.usefixtures("unit")
def test_volumes_are_there_before_the_instance_starts(guest: Guest) -> None:
    with attached(guest, "reset") as (place, wanted, before):
        # The session's node has a secret that is no longer right: that of the role's file counts.
        guest.shell(f"sed -i s/{CHAP_SECRET}/{STALE}/ $(grep -rl {CHAP_SECRET} /etc/iscsi/nodes); sync")
        assert reset(guest) == "active"
        wait_until(lambda: place.instance()["status"] == "Running", "it starts by itself", 300)
        assert moment(guest, UNIT, "ExecMainExit") < moment(guest, "lxd.service", "ExecMainStart")
        assert place.inside(SUM) == before
        assert on_storage(place) == before
        assert [one["connected"] for one in place.info()["volumes"]] == [True]
        assert not place.done(**wanted)["changed"]
        place.done(state="detached")
        place.nothing_is_left()


@pytest.mark.thorough
@pytest.mark.usefixtures("unit")
def test_a_file_of_a_share_is_there_by_its_name_though_its_loop_device_is_another(guest: Guest) -> None:
    with storage(guest, "nfs", "files") as place:
        place.done(path="/dev/data")
        place.inside("dd if=/dev/urandom of=/dev/data bs=64k count=64 conv=fsync,notrunc")
        before = place.inside(SUM)
        (source,) = (device["source"] for device in place.devices().values())
        loop = guest.shell(f"readlink -f {source}").strip()
        taken = f"/root/{loop.rpartition('/')[2]}"
        # Something of the host that is earlier has that loop device at the next boot.
        guest.shell(f"truncate -s 8M {taken}; cat >{EARLY}; systemctl enable early", EARLIER.format(loop, taken))
        guest.shell(f"lxc config set {NAME} boot.autostart true; sync")
        try:
            assert reset(guest) == "active"
            wait_until(lambda: place.instance()["status"] == "Running", "it starts by itself", 300)
            assert guest.shell(f"losetup --noheadings --output BACK-FILE {loop}").strip() == taken
            assert guest.shell(f"readlink -f {source}").strip() != loop
            assert place.inside(SUM) == before
            assert not place.done(path="/dev/data")["changed"]
            place.inside("echo later | dd of=/dev/data bs=512 seek=16 conv=fsync,notrunc")
            assert place.stored(8192, 5) == b"later"
            place.done(state="detached")
        finally:
            guest.shell(f"systemctl disable early; losetup --detach {loop}; rm -f {taken} {EARLY}")
            guest.shell(f"lxc config unset {NAME} boot.autostart")
        place.nothing_is_left()


@pytest.mark.thorough
@pytest.mark.usefixtures("unit")
def test_an_instance_whose_storage_is_away_is_held_until_it_is_back(guest: Guest) -> None:
    with attached(guest, "away") as (place, wanted, before):
        guest.shell(f"mv {STATE} {STATE}.away; sync")
        assert reset(guest) == "failed"
        wait_until(lambda: place.instance(OTHER)["status"] == "Running", "the other starts by itself", 300)
        held = place.instance()
        assert held["status"] == "Stopped"
        (device,) = place.devices()
        noted = {
            "boot.autostart": "false",
            "user.lxdops.held": "true RUNNING",
            "user.lxdops.released": device,
        }
        assert {key: held["config"].get(key) for key in noted} == noted
        told = guest.shell(f"journalctl --no-pager --boot --unit {UNIT}")
        assert "volume away is not connected, and instances that have it are held back: " in told
        assert CHAP_SECRET not in told
        assert [(one["volume"], one["connected"]) for one in place.info()["volumes"]] == [("away", False)]
        refused = returned(guest)
        assert "its volumes could not be connected when the host booted" in refused["failed_items"][0]["msg"]

        guest.shell(f"mv {STATE}.away {STATE}; target restore")
        assert place.done(**{**wanted, "state": "connected"})["changed"]
        again = returned(guest)
        assert not again.get("failed"), again["msg"]
        assert place.instance()["status"] == "Running"
        assert place.inside(SUM) == before
        assert on_storage(place) == before
        config = place.instance()["config"]
        assert config["boot.autostart"] == "true"
        assert not [key for key in config if key.startswith("user.lxdops")]
        assert not place.done(**wanted)["changed"]
        place.done(state="detached")
        place.nothing_is_left()


@contextmanager
def attached(guest: Guest, volume: str) -> Iterator[tuple[Place, dict[str, Any], str]]:
    """An encrypted volume with data, in an instance that starts with its host; how it was attached; the sum of the
    data."""
    guest.shell(f"umask 077; cat >{KEY}", PASSPHRASE)
    guest.shell(f"lxc config set {NAME} boot.autostart true")
    try:
        with storage(guest, "luks2", volume, encrypted=True) as place:
            wanted = {"path": "/dev/data", "encryption": {"type": "luks2", "key_file": KEY}}
            place.done(**wanted)
            place.inside("dd if=/dev/urandom of=/dev/data bs=64k count=64 conv=fsync,notrunc")
            before = place.inside(SUM)
            assert on_storage(place) == before
            yield place, wanted, before
    finally:
        guest.shell(f"lxc config unset {NAME} boot.autostart; rm {KEY}")


def on_storage(place: Place) -> str:
    """The sum of the data, from the storage's file."""
    file = f"/srv/volumes/{place.volume}"
    place.guest.shell(f"cryptsetup open --readonly --key-file={KEY} {file} proof")
    try:
        return place.guest.shell(SUM.replace("/dev/data", "/dev/mapper/proof"))
    finally:
        place.guest.shell("cryptsetup close proof")


def reset(guest: Guest) -> str:
    """Reset the machine; how the boot unit ended. LXD answers then."""
    guest.end()
    guest.machine.reset()
    wait_until(lambda: state(guest) in ("active", "failed"), "the boot unit ends", 300)
    guest.machine.run("lxd waitready --timeout=200", seconds=240)
    return state(guest)


def state(guest: Guest) -> str:
    return guest.machine.run(f"systemctl show --property=ActiveState --value {UNIT}").strip()


def moment(guest: Guest, unit: str, event: str) -> int:
    """When that was, in microseconds of the boot's clock."""
    moment = int(guest.shell(f"systemctl show --property={event}TimestampMonotonic --value {unit}"))
    assert moment, f"{unit}: no {event}"
    return moment


def returned(guest: Guest) -> dict[str, Any]:
    """The result of the task that starts what was held."""
    arguments = {"state": "returned", "targets": {}}
    done = guest.ask("task", module="lxd_evacuation", arguments=arguments, death=[])
    result: dict[str, Any] = json.loads(done["out"])
    return result
