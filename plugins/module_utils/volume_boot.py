# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The volumes of a host when it boots: connected again before the daemon starts instances (roles/host_storage).

The daemon does not run yet. An instance whose volume cannot be connected is held back, else it would start without it,
and a database would begin anew in an empty directory. The daemon itself does that: early in its start it runs
``database/patch.global.sql`` in one transaction, and removes it (LXD's doc/debugging.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .block import boot, find_disk, stable_path
from .errors import LxdError, OperationFailed
from .instance_record import RELEASED
from .volume import HostSide, disk_of
from .volume_devices import VOLUME
from .volume_record import Record, Records

BEGIN, END = "-- lxdops-volumes: begin\n", "-- lxdops-volumes: end\n"
"""Our part of the patch, where others have theirs."""
UNTRIED = "the boot was cut short before it was tried"
HELD = "user.lxdops.held"
"""As the boot guard's (roles/host_record), and let go of as that is."""


def connect_all(
    brick: HostSide, records: Records, secrets: Mapping[str, Mapping[str, Any]], directories: Sequence[str]
) -> dict[str, str]:
    """Connect every recorded volume. Returns why not, by volume; the instances that have one of those are held.

    ``secrets``: what is to be added to the data of a connection, and the `passphrase`, by volume; ``directories``: of
    the daemons. All are held before the first is tried, so that a boot that is cut short starts none without its
    volume.
    """
    # What was only about to be connected no instance has.
    waiting = [record for record in records.all() if record.path and disk_of(record) is None]
    failed = {record.volume: UNTRIED for record in waiting}
    hold(directories, failed)
    for record in waiting:
        try:
            _connect(brick, records, record, secrets.get(record.volume, {}))
            del failed[record.volume]
        except LxdError as error:
            failed[record.volume] = error.message
        hold(directories, failed)
    return failed


def _connect(brick: HostSide, records: Records, record: Record, secret: Mapping[str, Any]) -> None:
    found = brick.connect(_with_secrets(record.connection, secret))
    path = stable_path(found["path"])
    if find_disk(path) is None:
        raise OperationFailed(f"it was connected as {path}, which is no block device with a size")
    records.write(replace(record, found=found, path=path, boot=boot()))
    if path != record.path:
        raise OperationFailed(
            f"it is connected as {path}, and its instance has it as {record.path}: say lxd_volume_attachment, state: "
            "connected"
        )


def _with_secrets(connection: Mapping[str, Any], secret: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded connection with what a record does not hold: parts of its data, and the passphrase."""
    data = {key: value for key, value in secret.items() if key != "passphrase"}
    whole = {**connection, "data": {**connection.get("data", {}), **data}}
    if "encryption" in connection:
        passphrase = {key: value for key, value in secret.items() if key == "passphrase"}
        # A blank device in its place is another, and not to be written to.
        whole["encryption"] = {**connection["encryption"], **passphrase, "format": False}
    return whole


def hold(directories: Iterable[str], volumes: Iterable[str]) -> None:
    """Have each daemon hold the instances that have one of the volumes, and no others on our account."""
    for directory in directories:
        database = f"{directory}/database"
        if not os.path.isdir(f"{database}/global"):
            continue  # without tables yet, the daemon would fail
        path = f"{database}/patch.global.sql"
        before = _read(path)
        others = before.partition(BEGIN)[0] + before.partition(END)[2]
        after = others + held_by(sorted(volumes))
        if after != before:
            _write(path, after)


def held_by(volumes: Sequence[str]) -> str:
    """The SQL that holds the instances with one of these volumes. A member of a cluster is left alone: its database is
    that of all members."""
    if not volumes:
        return ""
    ids = ", ".join("'" + volume.replace("'", "''") + "'" for volume in volumes)
    # The ids are quoted above; the daemon takes no parameters from a file.
    mine = f"""SELECT instances_devices.instance_id FROM instances_devices
    JOIN instances_devices_config ON instances_devices_config.instance_device_id = instances_devices.id
    WHERE key = '{VOLUME}' AND value IN ({ids}) AND (SELECT count(*) FROM nodes) = 1"""  # noqa: S608
    return f"""{BEGIN}INSERT OR IGNORE INTO instances_config (instance_id, key, value)
  SELECT instances.id, '{HELD}',
    coalesce((SELECT value FROM instances_config
      WHERE instance_id = instances.id AND key = 'boot.autostart'), '')
    || ' ' ||
    coalesce((SELECT value FROM instances_config
      WHERE instance_id = instances.id AND key = 'volatile.last_state.power'), '')
  FROM instances WHERE instances.id IN ({mine});
INSERT OR REPLACE INTO instances_config (instance_id, key, value)
  SELECT id, 'boot.autostart', 'false' FROM instances WHERE id IN ({mine});
INSERT OR REPLACE INTO instances_config (instance_id, key, value)
  SELECT instances_devices.instance_id, '{RELEASED}', group_concat(instances_devices.name) FROM instances_devices
    JOIN instances_devices_config ON instances_devices_config.instance_device_id = instances_devices.id
    WHERE key = '{VOLUME}' AND value IN ({ids}) AND (SELECT count(*) FROM nodes) = 1
    GROUP BY instances_devices.instance_id;
{END}"""  # noqa: S608


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _write(path: str, text: str) -> None:
    """Whole, or as it was before; an empty one is removed."""
    if not text:
        os.unlink(path)
        return
    with open(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)
