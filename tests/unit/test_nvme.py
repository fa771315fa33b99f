# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which NVMe controllers are left of a connection, of those that the kernel has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.nvme import Controller, Namespace, controllers, left_of
from unit.kernel_files import tell

NQN, HOST = "nqn.2026-01.test:one", "nqn.2026-01.test:host"
OURS, OTHER = "11111111-2222-3333-4444-555555555555", "66666666-2222-3333-4444-555555555555"
NEW = {
    "target_nqn": NQN,
    "vol_uuid": OURS.replace("-", "").upper(),
    "ns_id": 9,
    "portals": [["192.0.2.1", 4420, "tcp"], ["192.0.2.2", 4420, "RoCEv2"]],
}
OLD = {"nqn": NQN, "target_portal": "192.0.2.1", "target_port": 4420, "transport_type": "tcp", "ns_id": 1}
REPLICAS = {"vol_uuid": OTHER, "alias": "raid", "replica_count": 1, "volume_replicas": [NEW]}


def namespace(uuid: str = OURS, nsid: str = "1", disk: str = "nvme0n1") -> Namespace:
    return Namespace(disk, {"uuid": uuid, "nguid": "", "nsid": nsid})


ONE = Controller("nvme0", NQN, ("192.0.2.1", "4420", "tcp"), HOST, (namespace(),))
TWO = replace(ONE, name="nvme1", portal=("192.0.2.2", "4420", "rdma"))


@pytest.mark.parametrize(
    ("data", "found", "left"),
    [
        (NEW, [ONE, TWO], ["nvme0", "nvme1"]),
        (NEW, [replace(ONE, namespaces=())], ["nvme0"]),
        (NEW, [replace(ONE, host="")], ["nvme0"]),
        (OLD, [ONE, TWO], ["nvme0"]),
        (REPLICAS, [ONE], ["nvme0"]),
        ({**NEW, "host_nqn": "nqn.other"}, [replace(ONE, host="nqn.other"), TWO], ["nvme0"]),
        # Those of others: another namespace of the same subsystem, subsystem, portal, host; what nothing tells apart.
        (NEW, [replace(ONE, namespaces=(namespace(), namespace(OTHER, "2", "nvme0n2")))], []),
        (NEW, [replace(ONE, namespaces=(namespace(OTHER),))], []),
        (OLD, [replace(ONE, namespaces=(namespace(nsid="2"),))], []),
        (NEW, [replace(ONE, nqn="nqn.other")], []),
        (NEW, [replace(ONE, portal=("192.0.2.9", "4420", "tcp")), replace(ONE, portal=("pci", "", "pcie"))], []),
        (NEW, [replace(ONE, host="nqn.other")], []),
        ({key: value for key, value in NEW.items() if key not in ("vol_uuid", "ns_id")}, [ONE], []),
    ],
)
def test_what_only_the_connection_needs_is_left_of_it(
    data: dict[str, Any], found: list[Controller], left: list[str]
) -> None:
    assert [controller.name for controller in left_of(data, found, HOST)] == left


def test_controllers_are_read_from_the_kernel(tmp_path: Path) -> None:
    told = {
        "nvme0/subsysnqn": NQN,
        "nvme0/address": "traddr=192.0.2.1,trsvcid=4420,src_addr=192.0.2.9",
        "nvme0/transport": "tcp",
        "nvme0/hostnqn": HOST,
        "nvme0/nvme0c3n1/uuid": OURS,
        "nvme0/nvme0c3n1/nsid": "1",
        "nvme1/subsysnqn": "nqn.of:a.disk",
        "nvme1/address": "0000:01:00.0",
        "nvme1/transport": "pcie",
        "nvme1/nvme1n1/nsid": "1",
    }
    tell(tmp_path, told)
    disk = Controller("nvme1", "nqn.of:a.disk", ("", "", "pcie"), "", (namespace("", "1", "nvme1n1"),))
    assert controllers(tmp_path) == [ONE, disk]
