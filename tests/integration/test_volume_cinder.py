# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of a Cinder: attachments are made, completed and deleted, none is left, and the volume is available again.
The cloud is a stand-in of ours, its volumes loop devices."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from integration import cinder_server
from integration.cinder_server import Cloud, Volume
from integration.lab_host import LabHost
from integration.loop import detach_all, storage
from integration.volume_place import FILES, ID, NAME, OTHER, Place

SECOND = "9c0f1c6e-27d7-4d0f-9a0b-6f2f7f9a2a02"


@pytest.fixture(scope="module", autouse=True)
def _nothing_left() -> Iterator[None]:
    detach_all(FILES)
    yield
    detach_all(FILES)


class Cinder:
    """A host that reaches a cloud, whose volume it is."""

    def __init__(self, place: Place, cloud: Cloud) -> None:
        self.place, self.cloud, self.host = place, cloud, place.host

    def run(self, *death: str, check: bool = False, **params: Any) -> dict[str, Any] | None:
        return self.place.run(*death, check=check, **{"instance": NAME, "volume": ID, "cinder": "tests", **params})

    def task(self, **params: Any) -> dict[str, Any]:
        found = self.run(**params)
        assert found is not None
        return found

    def done(self, **params: Any) -> dict[str, Any]:
        found = self.task(**params)
        assert not found.get("failed"), found["msg"]
        return found

    def gone(self, **params: Any) -> dict[str, Any]:
        """Detached, without a word of the cloud."""
        found = self.place.run(**{"instance": NAME, "volume": ID, "state": "detached", **params})
        assert found is not None
        assert not found.get("failed"), found["msg"]
        return found

    @property
    def volume(self) -> Volume:
        return self.cloud.volumes[ID]

    def states(self) -> list[str]:
        return [one["status"] for one in self.cloud.attachments.values()]

    def uuid(self, name: str = NAME) -> str:
        found: str = self.host.query(f"instances/{name}")["config"]["volatile.uuid"]
        return found

    def nothing_is_left(self) -> None:
        assert self.cloud.attachments == {}
        assert self.volume.status == "available"
        assert self.place.kept() == []
        assert self.place.devices() == {}
        assert self.place.is_free()


@contextmanager
def serving(host: LabHost, cloud: Cloud, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The cloud, which the host knows by its clouds.yaml."""
    beginning = host.facts["lab_endpoint"].removeprefix("https://").rpartition(":")[0].rpartition(".")[0]
    with cinder_server.running(cloud, f"{beginning}.1"):
        auth = {
            "auth_url": f"{cloud.url}/identity",
            "username": "lxdops",
            "password": cinder_server.PASSWORD,
            "project_name": "p",
            "user_domain_id": "default",
            "project_domain_id": "default",
        }
        clouds = {"clouds": {"tests": {"auth": auth, "region_name": "one"}}}
        clouds["clouds"]["wrong"] = {"auth": {**auth, "password": "no"}, "region_name": "one"}
        clouds["clouds"]["silent"] = {"auth": {**auth, "auth_url": f"http://{beginning}.1:9/"}, "region_name": "one"}
        file = directory / "clouds.yaml"
        file.write_text(json.dumps(clouds))
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
        yield


@pytest.fixture
def cinder(host: LabHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cinder]:
    host.given(NAME, power="running")
    with storage(FILES, "cinder") as made:
        cloud = Cloud({ID: Volume(made.device)})
        with serving(host, cloud, tmp_path, monkeypatch):
            yield Cinder(Place(host, made, tmp_path / "records"), cloud)
        host.remove(NAME, OTHER)


def test_a_volume_of_a_cloud_comes_and_goes(cinder: Cinder) -> None:
    checked = cinder.task(check=True, path="/dev/data")
    assert not checked.get("failed"), checked["msg"]
    assert (cinder.cloud.attachments, cinder.place.kept()) == ({}, [])
    applied = cinder.done(path="/dev/data")
    assert applied["steps"] == checked["steps"] == [f"attach volume {ID} to {NAME} as a block device on /dev/data"]
    assert applied["diff"] == checked["diff"]
    assert applied["source"] == cinder.place.storage.device
    [attachment] = cinder.cloud.attachments.values()
    assert (attachment["status"], cinder.volume.status) == ("attached", "in-use")
    assert attachment["instance"] == cinder.uuid()
    assert cinder.cloud.connectors[attachment["id"]]["ip"] in cinder.host.facts["lab_endpoint"]
    cinder.host.shell(NAME, "echo of the guest | dd of=/dev/data bs=512 seek=8 conv=fsync,notrunc")
    assert cinder.place.storage.bytes(4096, 12) == b"of the guest"
    asked = len(cinder.cloud.requests)
    assert not cinder.done(path="/dev/data")["changed"]
    assert len(cinder.cloud.requests) == asked, "what is attached needs no cloud"
    everything = json.dumps([applied, cinder.host.everything(), cinder.place.kept()])
    for secret in (cinder_server.TOKEN, cinder_server.PASSWORD, cinder_server.CONNECTION_SECRET):
        assert secret not in everything
    assert cinder.gone()["steps"] == [f"detach volume {ID} from {NAME}", f"disconnect volume {ID}"]
    cinder.nothing_is_left()
    assert not cinder.gone()["changed"]


def test_each_instance_has_an_attachment_of_its_own(cinder: Cinder) -> None:
    cinder.volume.multiattach = True
    cinder.host.given(OTHER, power="running")
    cinder.done()
    cinder.done(instance=OTHER, shared=True)
    assert cinder.states() == ["attached", "attached"]
    assert {one["instance"] for one in cinder.cloud.attachments.values()} == {cinder.uuid(), cinder.uuid(OTHER)}
    first = cinder.gone()
    assert first["steps"][1:] == [f"delete the attachment of volume {ID} to {NAME} in Cinder"]
    assert [one["instance"] for one in cinder.cloud.attachments.values()] == [cinder.uuid(OTHER)]
    assert cinder.volume.status == "in-use"
    cinder.gone(instance=OTHER)
    cinder.nothing_is_left()


REFUSALS: tuple[tuple[Mapping[str, Any], Mapping[str, Any], str], ...] = (
    ({"volume": SECOND}, {}, f"cannot attach {SECOND}: 404: Volume {SECOND} could not be found"),
    ({}, {"status": "reserved"}, "status must be available to reserve, but the current status is reserved"),
    ({}, {"fails": "connect"}, "cannot connect attachment"),
    ({}, {"newest": (3, 27)}, "its API is older than 3.44"),
    ({"cinder": "nope"}, {}, "cinder: found nope, allowed is a cloud of clouds.yaml"),
    (
        {"cinder": "wrong"},
        {},
        "cinder of cloud wrong cannot be reached: The request you have made requires authentication. (HTTP 401)",
    ),
    ({"cinder": "silent"}, {}, "cinder of cloud silent cannot be reached"),
    (
        {"connection": {"driver_volume_type": "local", "data": {}}},
        {},
        "connection: Cinder says it, where cinder is given",
    ),
)


@pytest.mark.parametrize(("params", "state", "words"), REFUSALS)
def test_what_a_cloud_refuses_leaves_nothing(
    cinder: Cinder, params: Mapping[str, Any], state: Mapping[str, Any], words: str
) -> None:
    for name, value in state.items():
        setattr(cinder.volume if name == "status" else cinder.cloud, name, value)
    failed = cinder.task(**params)
    assert words in failed["msg"]
    cinder.volume.status = "available"
    cinder.nothing_is_left()


def test_neither_half_of_a_move_takes_it_and_what_is_named_instead_works(cinder: Cinder) -> None:
    cinder.done(path="/dev/data")
    cinder.host.shell(NAME, "echo of the guest | dd of=/dev/data bs=512 seek=8 conv=fsync,notrunc")
    cinder.host.client("stop", "--force", NAME)
    local = {"driver_volume_type": "local", "data": {"device_path": cinder.place.storage.device}}
    for refused in (
        cinder.task(state="connected"),
        cinder.place.run(instance=NAME, volume=ID, state="connected", connection=local),
        cinder.place.run(instance=NAME, volume=ID, state="disconnected"),
    ):
        assert refused
        assert "The nearest that works: state: detached, move the instance, and state: attached" in refused["msg"]
    assert (cinder.states(), cinder.volume.status) == (["attached"], "in-use")
    # As after a boot: the block device is there again, by the same attachment.
    (record,) = cinder.place.records.glob("v*.json")
    kept = json.loads(record.read_text())
    record.write_text(json.dumps({**kept, "path": "/dev/disk/by-id/nothing"}))
    cinder.done(path="/dev/data")
    assert (cinder.states(), cinder.volume.status) == (["attached"], "in-use")
    cinder.gone()
    cinder.nothing_is_left()
    cinder.done(path="/dev/data")
    cinder.host.client("start", NAME)
    read = "dd if=/dev/data bs=512 skip=8 count=1 2>/dev/null | head -c 12"
    assert cinder.host.shell(NAME, read) == "of the guest"
    cinder.gone()
    cinder.nothing_is_left()


def test_what_fails_at_the_end_is_ended_by_the_next_run(cinder: Cinder) -> None:
    cinder.cloud.fails = "complete"
    assert "cannot complete attachment" in cinder.task()["msg"]
    cinder.cloud.fails = ""
    cinder.done()
    assert (cinder.states(), cinder.volume.status) == (["attached"], "in-use")
    cinder.cloud.fails = "delete"
    refused = cinder.place.run(instance=NAME, volume=ID, state="detached")
    assert refused is not None
    assert "409: Detach volume from instance" in refused["msg"]
    cinder.cloud.fails = ""
    cinder.gone()
    cinder.nothing_is_left()


@pytest.mark.parametrize("when", [pytest.param("before", marks=pytest.mark.thorough), "after"])
@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=() if number == 3 else pytest.mark.thorough) for number in range(1, 12)]
)
def test_an_attach_killed_at_each_change_leaves_no_attachment(cinder: Cinder, number: int, when: str) -> None:
    for last in ("attached", "detached"):
        assert cinder.run(str(number), when) is None, f"there is no change {number}"
        if last == "attached":
            cinder.done()
            assert not cinder.done()["changed"]
            assert (cinder.states(), cinder.volume.status) == (["attached"], "in-use")
        cinder.gone()
        cinder.nothing_is_left()


@pytest.mark.thorough
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 6))
def test_a_detach_killed_at_each_change_leaves_no_attachment(cinder: Cinder, number: int, when: str) -> None:
    cinder.done()
    assert cinder.place.run(str(number), when, instance=NAME, volume=ID, state="detached") is None
    cinder.gone()
    cinder.nothing_is_left()
