# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The NVMe controllers of this host, by the kernel's word. os-brick looks for none of a connection whose device it did
not tell of (nvmeof.py, disconnect_volume), as of a run that was killed when it had just made one."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .block import find_disk, holders_after, read_kernel
from .host_program import run_program

CONTROLLERS = Path("/sys/class/nvme")
HOST = Path("/etc/nvme/hostnqn")
"""Whose controllers os-brick makes, unless the connection says so."""
IDENTITIES = {"uuid": "vol_uuid", "nguid": "volume_nguid", "nsid": "ns_id"}
"""What tells a namespace from others: the kernel's file, and the connection's key; the first that this has."""
RDMA = ("RoCEv2", "rdma")
"""os-brick takes any other transport for tcp."""


@dataclass(frozen=True)
class Namespace:
    """One that a controller leads to. ``disk``: its block device, that of all paths to it."""

    disk: str
    identity: Mapping[str, str]
    """By the keys of IDENTITIES."""


@dataclass(frozen=True)
class Controller:
    """A connection to one portal of a subsystem. ``host``: the NQN that it was made as, where the kernel tells it."""

    name: str
    nqn: str
    portal: tuple[str, str, str]
    """Address, port, transport."""
    host: str = ""
    namespaces: tuple[Namespace, ...] = ()


def left_of(data: Mapping[str, Any], found: Iterable[Controller], host: str) -> list[Controller]:
    """The controllers of a connection that lead to no other namespace than its own. ``data``: that of the connection,
    ``host``: the NQN of this host. Pure."""
    left = []
    for target in _targets(data):
        ours = target.get("host_nqn") or host
        for controller in found:
            mine = controller.nqn == target["target_nqn"] and controller.portal in _portals(target)
            if mine and controller.host in ("", ours) and all(_is(target, one) for one in controller.namespaces):
                left.append(controller)
    return left


def leave_controllers(data: Mapping[str, Any], seconds: float) -> None:
    """Disconnect what is left of a connection; but not what somebody still uses after some seconds: no volume of ours
    is at the end of it."""
    for controller in left_of(data, controllers(), read_kernel(HOST)):
        disks = [find_disk(f"/dev/{namespace.disk}") for namespace in controller.namespaces]
        if not any(holders_after(disk, seconds) for disk in disks if disk):
            run_program("nvme", "disconnect", "-d", f"/dev/{controller.name}")


def controllers(root: Path = CONTROLLERS) -> list[Controller]:
    """All of the host."""
    return [
        Controller(
            path.name,
            read_kernel(path / "subsysnqn"),
            _portal(read_kernel(path / "address"), read_kernel(path / "transport")),
            read_kernel(path / "hostnqn"),
            tuple(_namespaces(path)),
        )
        for path in sorted(root.glob("nvme*"))
    ]


def _namespaces(controller: Path) -> Iterator[Namespace]:
    for path in sorted(controller.glob("nvme*n*")):
        subsystem, path_of_many, rest = path.name.partition("c")
        disk = subsystem + rest[rest.index("n") :] if path_of_many else path.name  # nvme0c1n2 is a path to nvme0n2.
        yield Namespace(disk, {name: read_kernel(path / name) for name in IDENTITIES})


def _portal(address: str, transport: str) -> tuple[str, str, str]:
    """``address``: such as traddr=192.0.2.1,trsvcid=4420,src_addr=192.0.2.9."""
    words = dict(word.partition("=")[::2] for word in address.split(","))
    return words.get("traddr", ""), words.get("trsvcid", ""), transport


def _targets(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Where a connection leads, in the newer of the ways that Cinder tells it (nvmeof.py, NVMeOFConnProps)."""
    if "volume_replicas" in data:
        return [target for replica in data["volume_replicas"] for target in _targets(replica)]
    if "target_nqn" in data:
        return [data]
    portal = [data["target_portal"], data["target_port"], data["transport_type"]]
    return [{**data, "target_nqn": data["nqn"], "portals": [portal]}]


def _portals(target: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (address, str(port), "rdma" if transport in RDMA else "tcp") for address, port, transport in target["portals"]
    ]


def _is(target: Mapping[str, Any], namespace: Namespace) -> bool:
    """Whether a namespace is the volume of a target. One that cannot be told from others is not."""
    name = next((name for name, key in IDENTITIES.items() if target.get(key)), "")
    wanted = str(target[IDENTITIES[name]]) if name else ""
    if name in ("uuid", "nguid"):
        wanted = str(uuid.UUID(wanted))
    return bool(name) and namespace.identity[name] == wanted
