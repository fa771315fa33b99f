# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_volume_attachment: volumes come and go, data written in the guest is on the storage, and nothing is left. The
storage is loop devices of this machine, connected as Cinder's protocol `local`."""

import json
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from integration.case import proof, same
from integration.guest_network import told_devices
from integration.lab_host import LabHost, run
from integration.loop import MIB, detach_all, storage
from integration.volume_place import FILES, ID, NAME, OTHER, Place
from lab.host import holder

SECRET = "correct-horse-battery"  # noqa: S105 - to be looked for
PARTS = ("changed", "steps", "diff", "attachment", "lost", "pending")
EXT4 = {"mode": "filesystem", "path": "/srv/data", "fstype": "ext4"}


@pytest.fixture(scope="module", autouse=True)
def _nothing_left() -> Iterator[None]:
    """A test run that was killed leaves loop devices."""
    detach_all(FILES)
    yield
    detach_all(FILES)


@pytest.fixture
def place(host: LabHost, tmp_path: Path) -> Iterator[Place]:
    """A running container, and a blank volume that nothing of is left on the host afterwards."""
    host.given(NAME, power="running")
    with storage(FILES, "volume") as made:
        found = Place(host, made, tmp_path / "records")
        yield found
        host.remove(NAME, OTHER)


def proved(place: Place, **params: Any) -> dict[str, Any]:
    """Check, apply, again; the result of the apply."""
    applied, again = proof(
        lambda check: place.task(check=check, **params),
        PARTS,
        lambda: (place.host.everything(), place.kept()),
        lambda: place.host.query(f"instances/{NAME}"),
    )
    same(again["attachment"], applied["attachment"])
    return applied


@contextmanager
def held(place: Place, path: str) -> Iterator[None]:
    """A process of the guest has a file open."""
    place.host.shell(NAME, f"sleep 600 < {path} > /dev/null 2>&1 & echo $! > /tmp/pid")
    try:
        yield
    finally:
        place.host.shell(NAME, "kill $(cat /tmp/pid); while kill -0 $(cat /tmp/pid); do sleep 0.1; done")


@contextmanager
def mounted(place: Place) -> Iterator[Path]:
    """The host itself has the volume mounted."""
    directory = place.records.parent / "mount"
    directory.mkdir()
    enter = ["nsenter", "--target", str(holder(place.host.machine)), "--mount"]
    run([*enter, "mount", place.storage.device, str(directory)])
    try:
        yield directory
    finally:
        run([*enter, "umount", str(directory)])


def nothing_is_left(place: Place) -> None:
    assert place.kept() == []
    assert place.devices() == {}
    assert place.is_free()


def test_a_block_device_comes_is_written_to_grows_and_goes(place: Place) -> None:
    attached = proved(place, path="/dev/data", tag="blue")
    (name, device), *_rest = place.devices().items()
    assert device == {
        "type": "unix-block",
        "source": place.storage.device,
        "path": "/dev/data",
        "required": "false",
        "user.tag": "blue",
        "user.lxdops.volume": ID,
    }
    assert (attached["source"], attached["bytes"]) == (place.storage.device, 32 * MIB)
    assert told_devices(place.host, NAME)[name]["user.tag"] == "blue"
    place.host.shell(NAME, "echo written by the guest | dd of=/dev/data bs=512 seek=8 conv=fsync,notrunc")
    assert place.storage.bytes(4096, 20) == b"written by the guest"
    with held(place, "/dev/data"):
        refused = place.task(state="detached")
        assert "it is in use, and stays attached: process" in refused["msg"]
        assert "(sleep) uses it" in refused["msg"]
        place.host.shell(NAME, "echo still works | dd of=/dev/data bs=512 seek=16 conv=fsync,notrunc")
    assert place.storage.bytes(8192, 11) == b"still works"
    larger = {"path": "/dev/data", "tag": "blue", "size": "48MiB"}
    small = place.task(**larger)
    assert f"size: found {32 * MIB} bytes, the task says {48 * MIB}: the storage has not grown" in small["msg"]
    place.storage.grow(48)
    place.done(**larger)
    assert place.host.shell(NAME, "blockdev --getsize64 /dev/data").strip() == str(48 * MIB)
    proved(place, state="detached")
    nothing_is_left(place)


def test_a_filesystem_is_made_and_shared_only_if_told(place: Place) -> None:
    blank = place.task(**EXT4)
    assert "fstype: found nothing: it is blank, the task says ext4; say format: true" in blank["msg"]
    nothing_is_left(place)
    place.done(**EXT4, format=True)
    place.host.shell(NAME, "echo kept > /srv/data/file; sync")
    assert place.host.shell(NAME, "stat -c %u /srv/data").strip() == "0"

    place.host.given(OTHER, power="running")
    refused = place.task(**EXT4, instance=OTHER)
    assert f"it is attached to {NAME}; with a filesystem that is not made for it" in refused["msg"]
    place.done(**EXT4, instance=OTHER, shared=True)
    assert place.host.read(OTHER, "/srv/data/file") == "kept\n"
    first = place.done(state="detached")
    assert first["steps"] == [f"detach volume {ID} from {NAME}"]
    assert place.host.read(OTHER, "/srv/data/file") == "kept\n"
    last = place.done(state="detached", instance=OTHER)
    assert last["steps"] == [f"detach volume {ID} from {OTHER}", f"disconnect volume {ID}"]
    nothing_is_left(place)


def test_secrets_are_nowhere(place: Place) -> None:
    data = {"device_path": place.storage.device, "auth_password": SECRET, "target_lun": 1}
    result = place.done(connection={"driver_volume_type": "local", "data": data})
    assert SECRET not in json.dumps(result)
    assert result["source"] == place.storage.device, "what is no secret was hidden"
    assert SECRET not in json.dumps(place.host.everything())
    for path in place.records.iterdir():
        assert SECRET not in path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    place.done(state="detached")


@pytest.mark.thorough
def test_a_filesystem_is_made_once_and_never_over_data(place: Place) -> None:
    proved(place, **EXT4, format=True)
    place.host.shell(NAME, "echo kept > /srv/data/file; sync")
    with held(place, "/srv/data/file"):
        assert "it is in use, and stays attached" in place.task(state="detached")["msg"]
    proved(place, state="detached")
    nothing_is_left(place)
    other = place.task(**{**EXT4, "fstype": "ext3", "format": True})
    assert "fstype: found ext4, the task says ext3; what is there is never formatted" in other["msg"]
    nothing_is_left(place)
    place.done(**EXT4, format=True)
    assert place.host.read(NAME, "/srv/data/file") == "kept\n"
    place.done(state="detached")


@pytest.mark.thorough
def test_what_is_not_known_is_not_formatted(place: Place) -> None:
    with place.storage.file.open("r+b") as file:
        file.write(b"somebody's data")
    assert "fstype: found unknown data" in place.task(**EXT4, format=True)["msg"]
    assert place.storage.bytes(0, 15) == b"somebody's data"
    nothing_is_left(place)


@pytest.mark.thorough
def test_a_filesystem_grows_with_its_storage(place: Place) -> None:
    place.done(**EXT4, format=True)
    place.storage.grow(64)
    mounted = place.task(**EXT4, size="64MiB")
    assert "its filesystem is mounted, and is grown only while the instance is stopped; found running" in mounted["msg"]
    place.host.power(NAME, "stop", force=True)
    proved(place, **EXT4, size="64MiB")
    place.host.power(NAME, "start")
    assert int(place.host.shell(NAME, "df -k /srv/data | tail -1 | awk '{print $2}'")) > 50 * 1024
    place.done(state="detached")
    nothing_is_left(place)


REFUSALS: tuple[tuple[Mapping[str, Any], str], ...] = (
    ({"instance": "nobody"}, "there is no such instance"),
    ({"connection": {"driver_volume_type": "local"}}, "connection: found driver_volume_type, needed are"),
    ({"connection": {"driver_volume_type": "nope", "data": {}}}, "found nope, which os-brick does not know"),
    ({"connection": {"driver_volume_type": "local", "data": {}}}, "no device_path attribute"),
    (
        {"connection": {"driver_volume_type": "local", "data": {"device_path": "/dev/nope"}}},
        "it was connected as /dev/nope, which is no block device with a size",
    ),
    ({"mode": "filesystem"}, "mode: filesystem needs path"),
    ({"mode": "filesystem", "path": "/srv", "format": True, "fstype": "xfs"}, "format: found fstype xfs, allowed are"),
    ({"mode": "filesystem", "path": "relative"}, "path: found relative, allowed is an absolute path"),
    ({"fstype": "ext4"}, "fstype is for mode: filesystem"),
    ({"readonly": True}, "readonly: a container can always write to a block device"),
    ({"size": "big"}, "size: found big, allowed is a number of bytes"),
    ({"execution": "controller"}, "execution: found controller"),
    ({"endpoint": "https://127.0.0.1:1"}, "127.0.0.1"),
)


@pytest.mark.thorough
@pytest.mark.parametrize(("params", "words"), REFUSALS)
def test_what_is_refused_changes_nothing(place: Place, params: Mapping[str, Any], words: str) -> None:
    before = place.host.everything()
    result = place.task(**params)
    assert result["failed"]
    assert words in result["msg"]
    same(place.host.everything(), before)
    nothing_is_left(place)


CHANGES: tuple[tuple[str, Mapping[str, Any], int], ...] = (
    ("attached", {**EXT4, "format": True}, 7),
    ("detached", {"state": "detached"}, 3),
)
"""A task, and how many changes it makes."""


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("state", "params", "changes"), CHANGES)
def test_a_run_killed_at_each_change_is_ended_by_the_next(
    place: Place, state: str, params: Mapping[str, Any], changes: int, when: str
) -> None:
    for number in range(1, changes + 1):
        place.storage.wipe()
        if state == "detached":
            place.done(**CHANGES[0][1])
            place.host.shell(NAME, "echo kept > /srv/data/file")
        assert place.run(str(number), when, **place.about(params)) is None, f"there is no change {number}"
        place.done(**params)
        assert not place.done(**params)["changed"]
        if state == "attached":
            assert len(place.kept()) == len(place.devices()) == 1
            place.done(state="detached")
        nothing_is_left(place)


@pytest.mark.thorough
def test_what_a_killed_run_left_is_told_and_reconciled(place: Place) -> None:
    assert place.run("3", "after", **place.about({})) is None
    found = place.info()
    assert (found["orphans"], found["missing"]) == ([ID], [])
    assert found["volumes"][0]["source"] == place.storage.device
    checked = place.run(state="reconciled", check=True)
    assert checked is not None
    assert checked["steps"] == [f"disconnect volume {ID}, which no instance has"]
    assert place.info()["orphans"] == [ID]
    applied = place.run(state="reconciled")
    assert applied is not None
    assert (applied["changed"], applied["volumes"]) == (
        True,
        {"connected": [], "orphans": [], "missing": [], "leftovers": []},
    )
    again = place.run(state="reconciled")
    assert again is not None
    assert not again["changed"]
    nothing_is_left(place)


@pytest.mark.thorough
def test_a_volume_that_the_storage_took_away_is_told_and_comes_back(place: Place) -> None:
    link = place.records.parent / "volume"
    link.symlink_to(place.storage.device)
    wanted = {**EXT4, "connection": {"driver_volume_type": "local", "data": {"device_path": str(link)}}}
    place.done(**wanted, format=True)
    place.host.shell(NAME, "echo kept > /srv/data/file")
    place.host.power(NAME, "stop", force=True)
    before = place.devices()
    link.unlink()
    assert not place.info()["volumes"][0]["connected"]
    failed = place.task(**wanted)
    assert f"it was connected as {link}, which is no block device with a size" in failed["msg"]
    assert (place.devices(), len(place.kept())) == (before, 1)
    link.symlink_to(place.storage.device)
    place.host.power(NAME, "start")
    assert not place.done(**wanted)["changed"]
    assert place.host.read(NAME, "/srv/data/file") == "kept\n"
    place.done(state="detached")
    nothing_is_left(place)


@pytest.mark.thorough
def test_a_device_that_is_mounted_on_the_host_stays_connected(place: Place) -> None:
    place.done(**EXT4, format=True)
    with mounted(place) as directory:
        failed = place.task(state="detached")
        words = f"it is still connected as {place.storage.device}, and held: it is mounted on {directory}"
        assert words in failed["msg"]
        assert len(place.kept()) == 1
    place.done(state="detached")
    nothing_is_left(place)


@pytest.mark.thorough
def test_one_device_is_not_two_volumes(place: Place) -> None:
    place.done(path="/dev/data")
    refused = place.task(volume="another", path="/dev/other")
    assert f"it leads to {place.storage.device}, which is connected as volume {ID}" in refused["msg"]
    assert [record["volume"] for record in place.kept()] == [ID]
    place.done(state="detached")
    nothing_is_left(place)


@pytest.mark.thorough
def test_a_device_that_the_host_uses_is_not_attached(place: Place) -> None:
    run(["mkfs.ext4", "-q", place.storage.device])
    with mounted(place) as directory:
        failed = place.task(path="/dev/data")
        assert f"{place.storage.device} is in use on this host: it is mounted on {directory}" in failed["msg"]
        assert "What was done could not be taken back" in failed["msg"]
    assert (place.devices(), place.info()["orphans"]) == ({}, [ID])
    place.done(state="detached")
    nothing_is_left(place)


@pytest.mark.thorough
def test_force_takes_it_away_and_says_who_lost_it(place: Place) -> None:
    place.done(path="/dev/data")
    with held(place, "/dev/data"):
        result = place.done(state="detached", force=True)
        assert "(sleep) uses it" in result["lost"][0]
    nothing_is_left(place)


@pytest.mark.thorough
def test_users_in_other_projects_count(place: Place) -> None:
    place.done(path="/dev/data")
    project = {"name": "volp", "config": {"features.profiles": "false", "features.images": "false"}}
    place.host.call("POST", "projects", project)
    try:
        source = {"type": "image", "alias": "tiny"}
        place.host.call("POST", "instances?project=volp", {"name": NAME, "source": source, "type": "container"})
        assert f"it is attached to {NAME}; with" in place.task(project="volp")["msg"]
        place.done(project="volp", shared=True)
        assert place.done(state="detached")["steps"] == [f"detach volume {ID} from {NAME}"]
        assert len(place.done(project="volp", state="detached")["steps"]) == 2
        nothing_is_left(place)
    finally:
        place.host.call("DELETE", f"instances/{NAME}?project=volp")
        place.host.call("DELETE", "projects/volp")


@pytest.mark.thorough
def test_an_instance_that_is_gone_leaves_a_volume_that_can_be_detached(place: Place) -> None:
    place.done()
    place.host.remove(NAME)
    assert place.info()["orphans"] == [ID]
    assert place.done(state="detached")["steps"] == [f"disconnect volume {ID}"]
    assert place.kept() == []
    assert not place.done(state="detached")["changed"]


@pytest.mark.thorough
def test_two_tasks_at_once_wait_for_each_other(place: Place) -> None:
    place.host.given(OTHER, power="running")
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda name: place.task(instance=name, path="/dev/data"), [NAME, OTHER]))
    assert sorted(bool(result.get("failed")) for result in results) == [False, True]
    assert len(place.devices(NAME)) + len(place.devices(OTHER)) == 1
    for name in (NAME, OTHER):
        place.done(instance=name, state="detached")
    nothing_is_left(place)
