# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labs that the tests run on, and the collection that they test."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from integration import lab_host
from integration.case import Lane
from integration.lab_host import LabHost

CHECKOUT = Path(__file__).parents[2]
COLLECTIONS = CHECKOUT / ".build/collections"
EXECUTION = os.environ.get("EXECUTION", "auto")
"""By which front end the tasks of a lane run: `EXECUTION=host make integration` has them all run as modules."""


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to test something else than what was built."""
    # Ansible leaves it to the garbage collector to close its workers' files.
    config.addinivalue_line("filterwarnings", "ignore::pytest.PytestUnraisableExceptionWarning")
    path = Path(os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")) / "ansible_collections/lxdops/compute"
    if not (path / "plugins/modules").is_dir():
        raise pytest.UsageError(f"no collection in ANSIBLE_COLLECTIONS_PATH: `make build`, and set it to {COLLECTIONS}")
    for source in (CHECKOUT / "plugins").rglob("*.py"):
        built = path / source.relative_to(CHECKOUT)
        if not built.exists() or built.read_bytes() != source.read_bytes():
            raise pytest.UsageError(f"{built} is not what {source} is: `make build`")


@contextmanager
def lab(short: str, *shape: str) -> Iterator[list[LabHost]]:
    """A lab of this test run, made anew, and removed afterwards."""
    name = f"{lab_host.PREFIX}{short}"
    lab_host.lab("down", "--name", name)
    try:
        lab_host.lab("up", "--name", name, *shape)
        yield lab_host.load(name)
    finally:
        lab_host.lab("down", "--name", name)


@pytest.fixture(scope="session")
def lxd_hosts() -> Iterator[list[LabHost]]:
    with lab("lxd", "--hosts", "2") as hosts:
        yield hosts


@pytest.fixture(scope="module")
def three_hosts() -> Iterator[list[LabHost]]:
    """Standalone hosts, one of which can die."""
    with lab("tri", "--hosts", "3") as hosts:
        yield hosts


@pytest.fixture(scope="session")
def incus_hosts() -> Iterator[list[LabHost]]:
    with lab("inc", "--hosts", "1", "--product", "incus") as hosts:
        yield hosts


@pytest.fixture(scope="module", params=["lxd", pytest.param("incus", marks=pytest.mark.thorough)])
def pair(request: pytest.FixtureRequest) -> Iterator[list[LabHost]]:
    """Two hosts of a product."""
    if request.param == "lxd":
        yield request.getfixturevalue("lxd_hosts")
        return
    with lab("in2", "--hosts", "2", "--product", "incus") as hosts:
        yield hosts


@pytest.fixture(scope="session")
def criu_hosts() -> Iterator[list[LabHost]]:
    """Hosts that can save the memory of a container."""
    with lab("cri", "--hosts", "2", "--criu") as hosts:
        yield hosts


@pytest.fixture(scope="session")
def criu_host(criu_hosts: list[LabHost]) -> LabHost:
    return criu_hosts[0]


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[LabHost]]:
    with lab("cl", "--cluster", "2") as hosts:
        yield hosts


@pytest.fixture(scope="session")
def lxd(lxd_hosts: list[LabHost]) -> LabHost:
    """An LXD host; lxd_hosts has another."""
    return lxd_hosts[0]


@pytest.fixture(scope="session", params=["lxd", pytest.param("incus", marks=pytest.mark.thorough)])
def host(request: pytest.FixtureRequest) -> LabHost:
    """A host of each product."""
    hosts: list[LabHost] = request.getfixturevalue(f"{request.param}_hosts")
    return hosts[0]


def lane_of(request: pytest.FixtureRequest) -> Lane:
    """The lane that a fixture's parameter names: PRODUCT-WAY, and the front end where it is not EXECUTION."""
    product, way, *execution = request.param.split("-")
    host: LabHost = request.getfixturevalue(f"{product}_hosts")[0]
    return Lane(host, getattr(host, way) | {"execution": execution[0] if execution else EXECUTION})


LANES = ["lxd-unix", *(pytest.param(lane, marks=pytest.mark.thorough) for lane in ("incus-https", "lxd-unix-host"))]


@pytest.fixture(scope="session", params=LANES)
def lane(request: pytest.FixtureRequest) -> Lane:
    """Each product, each way to a host, and each front end; test_instance_lanes.py has all four pairs of the first."""
    return lane_of(request)


@pytest.fixture
def make(host: LabHost) -> Iterator[Callable[..., None]]:
    """LabHost.make, with the removal of what it made."""
    made: list[str] = []

    def make_instance(name: str, **body: Any) -> None:
        made.append(name)
        host.make(name, **body)

    yield make_instance
    host.remove(*made)
