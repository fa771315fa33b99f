# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The layers of a volume's block device on a host: what os-brick connects, the loop device of a file, the mapping of
what is encrypted. Connected from below, disconnected from above; each is found again by its name, so that a run that
was killed is finished or undone by the next."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .block import find_disk, holders_after
from .block_paths import map_of
from .errors import LxdError, OperationFailed, Refused
from .host_program import run_program
from .loop import attach_loop, clear_shares, detach_loop, grow_loop, leave_share, share_of
from .luks import KINDS, close_luks, grow_luks, make_luks, open_luks
from .nvme import leave_controllers
from .volume import HostSide

GRACE = 60.0
"""Seconds for a program that a killed run left at work on the device."""
SECONDS_TO_MAP = 30.0
FILES = ("nfs",)
"""The protocols whose volumes are files."""
NVME = ("nvmeof", "nvme")
SCSI = ("iscsi", "fibre_channel")
"""Those whose multipath maps multipathd makes."""


class Layers:
    """The host side of volumes. ``brick``: the lowest layer."""

    def __init__(self, brick: HostSide) -> None:
        self._brick = brick

    def connect(self, connection: Mapping[str, Any]) -> dict[str, Any]:
        """Make the block device; what there is of it: its `path`, os-brick's own words as `under`, and `header`, the
        bytes of the volume that it lacks."""
        _check_file(connection)
        found = self._brick.connect(connection)
        if connection.get("use_multipath") and connection["driver_volume_type"] in SCSI:
            found = _mapped(found)
        _wait_for_names(connection)
        if connection.get("encryption"):
            _check_free(found["path"], connection["encryption"]["mapping"])
        try:
            return _with_layers(connection, found)
        except LxdError:
            self.disconnect(connection, {"under": found})
            raise

    def extend(self, connection: Mapping[str, Any]) -> None:
        """Let each layer be as large as that below it."""
        file = _file_of(connection)
        if file:
            grow_loop(file)
        else:
            self._brick.extend(connection)
        if connection.get("encryption"):
            grow_luks(connection["encryption"]["mapping"], key_of(connection["encryption"]))

    def disconnect(self, connection: Mapping[str, Any], device: Mapping[str, Any], force: bool = False) -> None:
        """Remove all layers, those too that a killed run made and did not tell of."""
        if connection.get("encryption"):
            close_luks(connection["encryption"]["mapping"], force)
        file = _file_of(connection)
        if file:
            detach_loop(file)
        if not device:
            # os-brick finds by its name what it has not told of.
            _wait_for_names(connection)
        self._brick.disconnect(connection, device.get("under", device), force)
        if file:
            leave_share(os.path.dirname(file), force)
        if connection["driver_volume_type"] in FILES:
            clear_shares()
        elif connection["driver_volume_type"] in NVME:
            leave_controllers(connection["data"], GRACE)

    def properties(self, address: str) -> dict[str, Any]:
        """What a storage must know of this host."""
        return self._brick.properties(address)


def key_of(encryption: Mapping[str, Any]) -> bytes:
    """The passphrase, or what is in the key file of this host, all of it."""
    if "passphrase" in encryption:
        return str(encryption["passphrase"]).encode()
    path = encryption.get("key_file", "")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Refused(
            f"encryption.key_file: found {path or '(none)'}, and no passphrase: {error.strerror}", option="encryption"
        ) from None


def _wait_for_names(connection: Mapping[str, Any]) -> None:
    """The names that a device keeps are made on udev's own time."""
    if connection["driver_volume_type"] != "local":
        run_program("udevadm", "settle", "--timeout=15", allowed=(0, 1))


def _mapped(found: Mapping[str, Any]) -> dict[str, Any]:
    """os-brick waits ten seconds for the multipath map, and then takes one of its paths (iscsi.py,
    _connect_multipath_volume), which is in use when the map comes after all."""
    disk = find_disk(found["path"])
    path = map_of(disk, SECONDS_TO_MAP) if disk else ""
    return {**found, "path": path, "multipath_id": found.get("scsi_wwn", "")} if path else dict(found)


def _check_free(path: str, mapping: str) -> None:
    """Refuses a device that somebody else has, maybe as another volume: then it is not taken away either."""
    lower = None if os.path.exists(f"/dev/mapper/{mapping}") else find_disk(path)
    held = holders_after(lower, GRACE) if lower else ()
    if held:
        raise Refused(f"{path} is in use on this host, and stays connected: {'; '.join(held)}", found=list(held))


def _with_layers(connection: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    path, layers = found["path"], dict(found)
    if connection["driver_volume_type"] in FILES:
        path = attach_loop(path)
        layers = {"path": path, "under": found}
    if connection.get("encryption"):
        layers = {**_open(path, connection["encryption"]), "under": found}
    return layers


def _open(path: str, encryption: Mapping[str, Any]) -> dict[str, Any]:
    lower = find_disk(path)
    if lower is None:
        raise OperationFailed(f"it was connected as {path}, which is no block device with a size")
    kind, mapping, key = encryption["type"], encryption["mapping"], key_of(encryption)
    if kind not in KINDS:
        raise Refused(f"encryption.type: found {kind}, allowed are {', '.join(KINDS)}", option="encryption")
    if encryption.get("format") and not os.path.exists(f"/dev/mapper/{mapping}"):
        make_luks(path, mapping, kind, key, encryption.get("cipher") or "", encryption.get("key_size") or 0)
    top = find_disk(open_luks(path, mapping, kind, key))
    if top is None:
        raise OperationFailed(f"/dev/mapper/{mapping} is no block device with a size")
    return {"path": top.path, "header": lower.size - top.size}


def _check_file(connection: Mapping[str, Any]) -> None:
    data = connection["data"]
    if connection["driver_volume_type"] in FILES and data.get("format") not in (None, "raw"):
        raise Refused(
            f"connection.data.format: found {data['format']}, allowed is raw: the file is the volume",
            option="connection",
            found=data["format"],
        )


def _file_of(connection: Mapping[str, Any]) -> str:
    """The file that a volume is, where its share is mounted; or empty."""
    if connection["driver_volume_type"] not in FILES:
        return ""
    directory = share_of(connection["data"].get("export", ""))
    return f"{directory}/{connection['data']['name']}" if directory else ""
