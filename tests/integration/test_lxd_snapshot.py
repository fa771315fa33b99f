# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_snapshot: what a snapshot holds comes back, and nothing else is touched, whatever is killed."""

import hashlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.errors import OperationFailed
from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_from
from ansible_collections.lxdops.compute.plugins.module_utils.instance_record import CREATING
from ansible_collections.lxdops.compute.plugins.module_utils.lxd import connect
from ansible_collections.lxdops.compute.plugins.module_utils.quiesce_machine import SCRIPT, Lease
from integration.case import Lane, same
from integration.killed_run import killed, started
from integration.lab_host import LabHost, run, wait_until
from integration.snapshot_proof import (
    LOCK,
    MODULE,
    NAME,
    PARTS,
    PATH,
    Params,
    checked,
    done,
    everything,
    given,
    proved,
    snap_task,
    taken,
)
from integration.task import command

COPY = "snapcopy"


@pytest.fixture(autouse=True, scope="module")
def _left(lane: Lane) -> Iterator[None]:
    yield
    lane.host.remove(NAME)


@pytest.fixture(autouse=True)
def _given(lane: Lane) -> None:
    """A running instance without snapshots."""
    given(lane, "running")


def digest(lane: Lane) -> str:
    return lane.host.shell(NAME, f"sha256sum {PATH}").split()[0]


def fill(lane: Lane) -> str:
    """Data of some size; its checksum."""
    lane.host.shell(NAME, f"head -c 3000000 /dev/urandom > {PATH}")
    return digest(lane)


def test_taken_edited_and_deleted(lane: Lane) -> None:
    first = proved(lane, expires="7d")
    found = lane.host.query(f"instances/{NAME}/snapshots/monday")
    assert found["expires_at"] == first["expires_at"]
    left = datetime.fromisoformat(found["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
    same(first["snapshot"], {"state": "present", "expires": "7d", "stateful": False, "snapshots": ["monday"]})

    edited = proved(lane, expires="never")
    assert edited["steps"] == [f"set that {NAME}/monday expires never"]
    assert edited["expires_at"] is None
    assert lane.host.query(f"instances/{NAME}/snapshots/monday")["created_at"] == first["created_at"]

    proved(lane, state="absent")
    assert taken(lane) == []
    assert lane.host.query(f"instances/{NAME}")["status"] == "Running"


def test_restored_with_its_data_and_config(lane: Lane) -> None:
    lane.host.call("PATCH", f"instances/{NAME}", {"config": {"user.then": "yes", "user.lxdops.fleet": "old"}})
    before = fill(lane)
    done(lane)
    after = {"config": {"user.then": "", "user.now": "yes", "user.lxdops.fleet": "new"}}
    lane.host.call("PATCH", f"instances/{NAME}", after)
    assert fill(lane) != before

    params = {"state": "restored", "restore_id": "first"}
    result = proved(lane, **params)
    assert "config as it is now: user.now, user.then" in result["loses"]
    assert "what runs: the guest is killed, and started again" in result["loses"]
    assert digest(lane) == before
    found = lane.host.query(f"instances/{NAME}")
    assert found["status"] == "Running"
    own = {key: value for key, value in found["config"].items() if key.startswith("user.")}
    marks = {"user.lxdops.fleet": "new", "user.lxdops.restored": "monday first"}
    assert own == {"user.then": "yes", **marks}
    fill(lane)
    assert not done(lane, **params)["changed"], "restored twice with one word"
    assert done(lane, state="restored", restore_id="second")["changed"]
    assert digest(lane) == before
    assert done(lane, state="restored")["changed"]
    assert "user.lxdops.restored" not in lane.host.query(f"instances/{NAME}")["config"]


@pytest.mark.thorough
@pytest.mark.parametrize("pool", ["default", "fast"])
@pytest.mark.parametrize("power", ["running", "stopped", "frozen"])
def test_the_power_is_what_it_was(lane: Lane, power: str, pool: str) -> None:
    """On a pool of directories, and one of btrfs."""
    given(lane, "running", devices={"root": {"type": "disk", "path": "/", "pool": pool}})
    before = fill(lane)
    lane.host.shell(NAME, "sync")
    if power != "running":
        lane.host.power(NAME, {"stopped": "stop", "frozen": "freeze"}[power], force=True)
    proved(lane, expires="1h")
    assert lane.host.query(f"instances/{NAME}")["status"] == power.capitalize()
    done(lane, snapshot="tuesday")
    lane.host.write(NAME, PATH, "spoiled") if power != "frozen" else None
    proved(lane, state="restored", restore_id="a")
    assert lane.host.query(f"instances/{NAME}")["status"] == power.capitalize()
    assert sorted(taken(lane)) == ["monday", "tuesday"]
    if power != "running":
        lane.host.power(NAME, {"stopped": "start", "frozen": "unfreeze"}[power])
    assert digest(lane) == before
    lane.host.remove(NAME)


COUNTER = "setsid sh -c 'while true; do echo x >> /count; sleep 0.1; done' </dev/null >/dev/null 2>&1 &"


@pytest.mark.thorough
def test_a_snapshot_with_the_memory_goes_on_where_it_was(criu_host: LabHost) -> None:
    lane = Lane(criu_host, criu_host.unix)
    devices = {"root": {"type": "disk", "path": "/", "pool": "fast"}}
    criu_host.make(NAME, power="running", devices=devices, config={"raw.lxc": "lxc.console.path = none"})
    try:
        criu_host.client("exec", NAME, "--", "sh", "-c", COUNTER)
        wait_until(lambda: "count" in criu_host.shell(NAME, "ls /"), "the counter counts")
        taken_now = proved(lane, stateful=True)
        assert taken_now["snapshot"]["stateful"]
        criu_host.shell(NAME, "mv /count /old")
        restored = proved(lane, state="restored", stateful=True, restore_id="a")
        assert "what runs: the guest is killed, and resumed" in restored["loses"]
        seen = len(criu_host.shell(NAME, "cat /count"))
        wait_until(lambda: len(criu_host.shell(NAME, "cat /count")) > seen, "the counter goes on")
        # Without the memory the guest boots.
        assert done(lane, state="restored")["snapshot"]["state"] == "running"
        assert "/count" not in criu_host.shell(NAME, "ps")
    finally:
        criu_host.remove(NAME)


QUIET = {"before": f"touch {LOCK}", "after": f"rm -f {LOCK}"}


def quiet(lane: Lane) -> bool:
    """Whether nothing of the quiet is left: it runs, is not marked, and is not locked."""
    found = lane.host.call("GET", f"instances/{NAME}")
    runs = found["status"] == "Running" and "user.lxdops.quiesced" not in found["config"]
    return runs and "locked" not in lane.host.shell(NAME, "ls /root")


def test_taken_while_the_guest_is_quiet(lane: Lane) -> None:
    result = proved(lane, quiesce=QUIET)
    assert result["steps"] == [f"take snapshot monday of {NAME}, frozen between commands"]
    assert quiet(lane)
    # The snapshot is of the time between the commands, and does not bring the marker back.
    done(lane, state="restored")
    found = lane.host.query(f"instances/{NAME}")
    assert (found["status"], "user.lxdops.quiesced" in found["config"]) == ("Running", False)
    assert "locked" in lane.host.shell(NAME, "ls /root")

    failed = snap_task(lane, {"snapshot": "tuesday", "quiesce": {**QUIET, "before": "echo no; false"}})
    assert "quiesce.before: 'echo no; false' ended with 1: no" in failed["msg"]
    assert taken(lane) == ["monday"]
    assert quiet(lane)


@pytest.mark.parametrize("seconds", [-10, pytest.param(3, marks=pytest.mark.thorough)])
def test_what_was_left_quiet_is_ended_by_the_next_run(lane: Lane, seconds: int) -> None:
    """Nothing is left of the run that began it; its deadline is over, or will be."""
    boot = lane.host.query(f"instances/{NAME}")["last_used_at"]
    lane.host.shell(NAME, f"touch {LOCK}")
    mark = f"{boot} {int(time.time()) + seconds}"
    lane.host.call("PATCH", f"instances/{NAME}", {"config": {"user.lxdops.quiesced": mark}})
    lane.host.power(NAME, "freeze")
    result = proved(lane, quiesce=QUIET)
    assert result["steps"][0] == f"end what left {NAME} quiesced"
    assert quiet(lane)


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_quiet_run_killed_at_each_write_leaves_nothing_quiet(lane: Lane, when: str) -> None:
    both = {**lane.connection, "name": NAME, "snapshot": "monday", "quiesce": QUIET}
    number = 1
    while killed(number, when, both, "lxd_snapshot"):
        wait_until(lambda: quiet(lane), f"the guest goes on after a kill {when} write {number}", 15)
        done(lane, quiesce=QUIET)
        assert taken(lane) == ["monday"]
        assert quiet(lane)
        lane.host.call("DELETE", f"instances/{NAME}/snapshots/monday")
        number += 1
    assert number > 8


@pytest.mark.thorough
def test_a_run_that_hangs_does_not_keep_the_guest_quiet(lane: Lane, capfd: pytest.CaptureFixture[str]) -> None:
    lane.host.shell(NAME, f"head -c 200000000 /dev/urandom > {PATH}")
    both = {**lane.connection, "name": NAME, "snapshot": "monday", "quiesce": {**QUIET, "timeout": 5}}
    process = started(both, module="lxd_snapshot")
    wait_until(lambda: lane.host.call("GET", f"instances/{NAME}")["status"] == "Frozen", "it is frozen")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    wait_until(lambda: quiet(lane), "the guest goes on", 15)
    os.kill(process.pid, signal.SIGCONT)
    process.join(timeout=60)
    assert process.exitcode == 1
    assert (
        "quiesce: the guest was quiet for 5 seconds, and the snapshot was not whole by then" in capfd.readouterr().err
    )
    assert taken(lane) == [], "a snapshot that was not quiet all the time is kept"
    lane.host.remove(NAME)


def children() -> dict[int, set[int]]:
    """The processes of each process of this machine."""
    found: dict[int, set[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            found.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), set()).add(int(path.parent.name))
    return found


def descent(pid: int, found: Mapping[int, set[int]]) -> set[int]:
    below = found.get(pid, set())
    return below.union(*(descent(child, found) for child in below))


@pytest.mark.thorough
@pytest.mark.parametrize("execution", ["controller", "host"])
def test_a_task_whose_ansible_is_killed_leaves_nothing_quiet(lane: Lane, execution: str) -> None:
    """Both front ends, as Ansible runs them: all its processes die, but for the watchdog, which has no child."""
    lane.host.shell(NAME, f"head -c 200000000 /dev/urandom > {PATH}")
    both = {**lane.connection, "name": NAME, "snapshot": "monday", "quiesce": QUIET, "execution": execution}
    with command(both, module=MODULE) as ansible:
        wait_until(lambda: lane.host.call("GET", f"instances/{NAME}")["status"] == "Frozen", "it is frozen")
        found = children()
        below = descent(ansible.pid, found)
        parents = {pid for pid in below if found.get(pid)}
        assert len(below - parents) == 1, "there is no watchdog"
        for pid in {ansible.pid, *parents}:
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: quiet(lane), "the guest goes on", 35)
    # It waited for the snapshot, which was quiet all the time.
    assert taken(lane) == ["monday"]
    assert not done(lane, quiesce=QUIET)["changed"]
    lane.host.remove(NAME)


def test_kept_are_the_newest_of_a_pattern(lane: Lane) -> None:
    for name in ("other", "n-1", "n-2"):
        lane.host.call("POST", f"instances/{NAME}/snapshots", {"name": name})
    proved(lane, snapshot="n-3", keep={"count": 2, "pattern": "n-*"})
    assert sorted(taken(lane)) == ["n-2", "n-3", "other"]


@pytest.fixture
def images(lane: Lane) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The images of snapshots, all of which are removed."""

    def found() -> list[dict[str, Any]]:
        every = lane.host.call("GET", "images?recursion=1")
        return [image for image in every if "lxdops.snapshot" in image["properties"]]

    yield found
    lane.host.remove(COPY)
    for image in found():
        lane.host.call("DELETE", f"images/{image['fingerprint']}")


def test_published_and_launched(lane: Lane, images: Callable[[], list[dict[str, Any]]]) -> None:
    before = fill(lane)
    done(lane)
    fill(lane)
    publish = {"alias": "golden", "properties": {"description": "Web"}, "public": True, "compression": "none"}
    result = proved(lane, publish=publish)
    (image,) = images()
    same(image, {"fingerprint": result["fingerprint"], "public": True, "properties": {"description": "Web"}})
    assert lane.host.query("images/aliases/golden")["target"] == result["fingerprint"]
    assert lane.host.query(f"instances/{NAME}")["status"] == "Running"
    lane.done(name=COPY, source={"alias": "golden"}, wait_for=["running"])
    assert lane.host.shell(COPY, f"sha256sum {PATH}").split()[0] == before
    lane.host.remove(COPY)

    proved(lane, publish={"alias": "golden", "public": False, "properties": {"description": None, "os": "tiny"}})
    (image,) = images()
    assert (image["public"], image["properties"].get("description")) == (False, None)
    # The next snapshot takes the alias over.
    proved(lane, snapshot="tuesday", publish={"alias": "golden", "compression": "none"})
    assert len(images()) == 2
    refused = snap_task(lane, {"publish": {"alias": "tiny"}})
    assert "publish.alias: tiny names the image" in refused["msg"]


def test_exported_and_imported(lane: Lane, tmp_path: Path) -> None:
    before = fill(lane)
    file = tmp_path / "snap.tar"
    export = {"file": str(file), "compression": "none"}
    result = proved(lane, export=export)
    checked(file)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == result["sha256"]
    assert lane.host.call("GET", f"instances/{NAME}/backups") == []
    assert lane.host.query(f"instances/{NAME}")["status"] == "Running"
    lane.host.remove(NAME)
    lane.host.client("import", str(file))
    lane.host.power(NAME, "start")
    assert (digest(lane), taken(lane)) == (before, ["monday"])
    # Imported, it is the same snapshot; taken anew, it is another.
    done(lane, state="absent")
    assert done(lane, export=export)["changed"]
    checked(file)


@pytest.mark.thorough
def test_a_file_that_finds_no_room_leaves_nothing(lane: Lane, tmp_path: Path) -> None:
    """Neither here nor on the server; the next run has what it needs."""
    before = fill(lane)
    export = {"file": str(tmp_path / "snap.tar"), "compression": "none"}
    run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", str(tmp_path)])
    try:
        failed = snap_task(lane, {"export": export})
        assert f"{NAME}/monday on " in failed["msg"]
        assert "export.file: it cannot be written: [Errno 28] No space left on device" in failed["msg"]
        assert (failed["error"], list(tmp_path.iterdir())) == ("OperationFailed", [])
        assert lane.host.call("GET", f"instances/{NAME}/backups") == []
        run(["mount", "-o", "remount,size=100m", str(tmp_path)])
        assert done(lane, export=export)["changed"]
        checked(tmp_path / "snap.tar")
        lane.done(name=COPY, source={"type": "backup", "file": export["file"]}, wait_for=["running"])
        assert lane.host.shell(COPY, f"sha256sum {PATH}").split()[0] == before
    finally:
        run(["umount", str(tmp_path)])
        lane.host.remove(COPY)


REFUSALS: tuple[tuple[Params, str], ...] = (
    ({"name": "nobody"}, "there is no such instance"),
    ({"snapshot": "a/b"}, "found 'a/b', allowed are 1 to 63 letters"),
    ({"expires": "soon"}, "expires: found 'soon', allowed are never"),
    ({"state": "restored"}, "there is no such snapshot; it has none"),
    ({"state": "restored", "expires": "7d"}, "expires is for state: present, found state: restored"),
)


def test_what_is_refused_changes_nothing(lane: Lane) -> None:
    before = everything(lane)
    for params, words in REFUSALS:
        result = snap_task(lane, params)
        assert words in result["msg"], result["msg"]
        assert (result["failed"], result["error"]) == (True, "Refused")
    stateful = snap_task(lane, {"stateful": True})
    assert (stateful["failed"], stateful["error"]) == (True, "Refused"), stateful["msg"]
    same(everything(lane), before)
    lane.host.call("PATCH", f"instances/{NAME}", {"config": {"user.lxdops.migration": "begun"}})
    assert f"a move of {NAME} is under way: end that one first" in snap_task(lane, {})["msg"]
    lane.host.remove(NAME)
    lane.host.make(NAME)
    half = {**CREATING, "volatile.apply_template": ""}
    lane.host.call("PATCH", f"instances/{NAME}", {"config": half})
    assert "its creation was cut short: run that task again" in snap_task(lane, {})["msg"]
    assert taken(lane) == []


@pytest.mark.thorough
def test_both_front_ends_give_the_same(lane: Lane) -> None:
    results = [snap_task(lane, {"execution": where}, check=True) for where in ("host", "controller")]
    same([results[0].get(part) for part in PARTS], [results[1].get(part) for part in PARTS])


MOUNTS = """/dev/vda2 / ext4 rw 0 0
/dev/vda1 /boot/efi vfat rw 0 0
proc /proc proc rw 0 0
/dev/vdb /srv xfs rw 0 0
/dev/vdb /again xfs rw 0 0
"""
FROZEN = ["--freeze /srv", "--freeze /"]
THAWED = ["--unfreeze /", "--unfreeze /srv"]


def leased(lane: Lane, seconds: int) -> Lease:
    """What freezes a virtual machine's file systems, in a container, which has none to freeze: so it writes down which
    it would."""
    stub = 'fsfreeze() { echo "$@" >> /log; [ "$2" != /bad ]; }\n'
    server = connect(connection_from(lane.connection), os.environ)
    return Lease(server, NAME, seconds, stub + SCRIPT.replace("/proc/mounts", "/mounts"))


def logged(lane: Lane) -> list[str]:
    return lane.host.shell(NAME, "cat /log").splitlines()


@pytest.mark.thorough
def test_file_systems_thaw_by_themselves(lane: Lane) -> None:
    """Told to, on the deadline, and when the process that had them frozen is killed."""
    lane.host.write(NAME, "/mounts", MOUNTS)
    lease = leased(lane, 60)
    assert logged(lane) == FROZEN
    lease.end()
    assert logged(lane) == FROZEN + THAWED

    lane.host.shell(NAME, "rm /log")
    late = leased(lane, 2)
    wait_until(lambda: logged(lane) == FROZEN + THAWED, "the deadline is held", 15)
    late.end()

    lane.host.shell(NAME, "rm /log")

    def die() -> None:
        leased(lane, 60)
        os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=die)
    process.start()
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    wait_until(lambda: logged(lane) == FROZEN + THAWED, "they are thawed", 15)

    lane.host.shell(NAME, "rm /log")
    lane.host.write(NAME, "/mounts", "/dev/vda / ext4 rw 0 0\n/dev/vdb /bad xfs rw 0 0\n/dev/vdc /ok xfs rw 0 0\n")
    with pytest.raises(OperationFailed, match=r"quiesce.freeze: its file systems could not be frozen"):
        leased(lane, 10)
    wait_until(lambda: logged(lane) == ["--freeze /ok", "--freeze /bad", "--unfreeze /ok"], "nothing is frozen", 15)
