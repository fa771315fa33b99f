# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance holds comes back from each of its forms, snapshot, image and backup file, on pools of both kinds."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.case import Lane, prove, same
from integration.killed_run import killed
from integration.task import task

SNAPSHOT = "lxdops.compute.lxd_snapshot"
NAME, COPY = "back", "backcopy"
DATA = "/root/data"


@pytest.fixture(autouse=True)
def _clean(lane: Lane) -> Iterator[None]:
    yield
    lane.host.remove(NAME, COPY)
    for image in lane.host.call("GET", "images?recursion=1"):
        if "lxdops.snapshot" in image["properties"]:
            lane.host.call("DELETE", f"images/{image['fingerprint']}")


def on(pool: str) -> dict[str, Any]:
    return {"root": {"type": "disk", "path": "/", "pool": pool}}


def fill(lane: Lane) -> str:
    """Data of some size; its checksum."""
    lane.host.shell(NAME, f"head -c 3000000 /dev/urandom > {DATA}; sync")
    return digest(lane, NAME)


def digest(lane: Lane, name: str) -> str:
    return lane.host.shell(name, f"sha256sum {DATA}").split()[0]


def snapshot(lane: Lane, **params: Any) -> dict[str, Any]:
    result = task({**lane.connection, "name": NAME, "snapshot": "monday", **params}, module=SNAPSHOT)
    assert not result.get("failed"), result["msg"]
    return result


@pytest.mark.parametrize(
    ("pool", "power", "compression"),
    [
        ("fast", "running", "gzip"),
        pytest.param("default", "stopped", "none", marks=pytest.mark.thorough),
        pytest.param("default", "running", "zstd", marks=pytest.mark.thorough),
        pytest.param("fast", "stopped", "none", marks=pytest.mark.thorough),
    ],
)
def test_data_comes_back_from_every_form(lane: Lane, tmp_path: Path, pool: str, power: str, compression: str) -> None:
    lane.host.make(NAME, power="running", devices=on(pool), config={"user.role": "web"})
    held = fill(lane)
    if power == "stopped":
        lane.host.power(NAME, "stop", force=True)
    file = tmp_path / "back.tar"
    export = {"file": str(file), "compression": compression}
    snapshot(lane, publish={"alias": "backgold", "compression": compression}, export=export)
    assert lane.host.query(f"instances/{NAME}")["status"] == power.capitalize()

    if power == "stopped":
        lane.host.power(NAME, "start")
    assert fill(lane) != held
    if power == "stopped":
        lane.host.power(NAME, "stop", force=True)
    snapshot(lane, state="restored")
    assert lane.host.query(f"instances/{NAME}")["status"] == power.capitalize()
    if power == "stopped":
        lane.host.power(NAME, "start")
    assert digest(lane, NAME) == held, "restored"

    lane.done(name=COPY, source={"alias": "backgold"}, wait_for=["running"])
    assert digest(lane, COPY) == held, "launched from the image"
    lane.host.remove(COPY)

    first = lane.host.query(f"instances/{NAME}")
    lane.host.remove(NAME)
    shows = {"config": {"user.role": "web", "user.more": "yes"}, "status": "Running"}
    params = {"source": {"type": "backup", "file": str(file)}, "config": {"user.more": "yes"}, "state": "started"}
    prove(lane, NAME, params, shows)
    assert digest(lane, NAME) == held, "imported"
    found = lane.host.query(f"instances/{NAME}")
    same(found["config"], {"volatile.eth0.hwaddr": first["config"]["volatile.eth0.hwaddr"]})
    assert lane.host.call("GET", f"instances/{NAME}/snapshots") == [f"/1.0/instances/{NAME}/snapshots/monday"]

    # Beside it, with addresses of its own.
    other = {"fast": "default", "default": "fast"}[pool]
    lane.done(name=COPY, **params, root={"pool": other}, wait_for=["running"])
    assert digest(lane, COPY) == held, "imported to another pool, under another name"
    mine, others = (lane.host.query(f"instances/{name}")["config"] for name in (COPY, NAME))
    assert mine["volatile.eth0.hwaddr"] != others["volatile.eth0.hwaddr"]
    assert lane.host.query(f"instances/{COPY}")["expanded_devices"]["root"]["pool"] == other


def test_a_backup_that_is_damaged_or_none_makes_nothing(lane: Lane, tmp_path: Path) -> None:
    lane.host.make(NAME, devices=on("fast"))
    file = tmp_path / "back.tar"
    found = snapshot(lane, export={"file": str(file), "compression": "none"})
    lane.host.remove(NAME)
    before = lane.host.everything()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"x")
    source: dict[str, Any] = {"type": "backup", "file": str(file)}
    for check in (True, False):
        refused = lane.task(check=check, name=NAME, source=source)
        assert f"{file} has {hashlib.sha256(whole[:-1] + b'x').hexdigest()}, and shall have" in refused["msg"]
    other = tmp_path / "other.tar"
    other.write_text("nothing of that kind\n" * 1000)
    cases = (
        ({"type": "backup", "file": str(other)}, f"{other} cannot be read"),
        ({"type": "backup", "file": str(tmp_path / "no.tar")}, "No such file"),
        ({"type": "backup", "file": "back.tar"}, "allowed is an absolute path"),
        ({"type": "backup", "file": str(file), "alias": "tiny"}, "source.type backup does not go with alias"),
        ({"type": "backup"}, "source.type backup needs file"),
        ({"alias": "tiny", "sha256": found["sha256"]}, "source.type image does not go with sha256"),
    )
    for wrong, words in cases:
        result = lane.task(name=NAME, source=wrong)
        assert words in result["msg"], result["msg"]
        assert (result["failed"], result["error"]) == (True, "Refused")
    same(lane.host.everything(), before)
    file.write_bytes(whole)
    assert lane.done(name=NAME, source={**source, "sha256": found["sha256"].upper()}, state="stopped")["changed"]


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("pool", "state"), [("fast", "stopped"), ("default", "stopped"), ("fast", "started")])
def test_an_import_killed_at_each_write_is_ended_by_the_next(
    lane: Lane, tmp_path: Path, pool: str, state: str, when: str
) -> None:
    lane.host.make(NAME, power="running", devices=on(pool), config={"user.role": "web"})
    held = fill(lane)
    file = tmp_path / "back.tar"
    snapshot(lane, export={"file": str(file), "compression": "none"})
    source = {"type": "backup", "file": str(file)}
    params = {"name": NAME, "source": source, "state": state, "config": {"user.more": "yes"}}
    number = 1
    while True:
        lane.host.remove(NAME)
        if not killed(number, when, {**lane.connection, **params}):
            break
        lane.done(**params)
        assert not lane.done(**params)["changed"]
        names = [name for name in lane.host.instances() if name.startswith((NAME, "lxdops"))]
        assert names == [NAME], f"{when} write {number}"
        status = {"stopped": "Stopped", "started": "Running"}[state]
        shows = {"config": {"user.role": "web", "user.more": "yes"}, "status": status}
        same(lane.host.query(f"instances/{NAME}"), shows)
        if state == "stopped":
            lane.host.power(NAME, "start")
        assert digest(lane, NAME) == held, f"{when} write {number}"
        number += 1
    assert number > 4
