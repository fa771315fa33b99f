# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""source.server: an image that another server has."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.case import Lane, prove
from integration.lab_host import LabHost

NAME = "rem"


@pytest.fixture
def elsewhere(lxd_hosts: list[LabHost]) -> Iterator[LabHost]:
    """Another host, with a public image that this one has not."""
    here, there = lxd_hosts
    known = here.call("GET", "images")
    there.make(NAME)
    there.write(NAME, "/elsewhere", "yes\n")
    there.client("publish", NAME, "--alias", "elsewhere", "--public")
    yield there
    there.client("image", "delete", "elsewhere")
    there.remove(NAME)
    here.remove(NAME)
    for url in set(here.call("GET", "images")) - set(known):
        here.call("DELETE", url.removeprefix("/1.0/"))


@pytest.mark.parametrize("way", [pytest.param("unix", marks=pytest.mark.thorough), "https"])
def test_image_of_another_server(lxd: LabHost, elsewhere: LabHost, way: str) -> None:
    source = {
        "alias": "elsewhere",
        "server": elsewhere.https["endpoint"],
        "protocol": "lxd",
        "certificate": Path(elsewhere.https["server_cert"]).read_text(),
    }
    prove(Lane(lxd, getattr(lxd, way)), NAME, {"source": source}, {"status": "Running"})
    assert lxd.read(NAME, "/elsewhere") == "yes\n"


def test_image_that_the_other_server_has_not(lxd: LabHost, elsewhere: LabHost) -> None:
    source = {
        "alias": "nope",
        "server": elsewhere.https["endpoint"],
        "protocol": "lxd",
        "certificate": Path(elsewhere.https["server_cert"]).read_text(),
    }
    before = lxd.everything()
    result = Lane(lxd, lxd.unix).task(name=NAME, source=source)
    assert (result["failed"], result["error"]) == (True, "OperationFailed")
    assert "not found" in result["msg"].lower()
    assert lxd.everything() == before
