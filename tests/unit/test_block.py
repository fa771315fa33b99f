# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of block devices that last, records of volumes, and filesystems as they are on disk."""

from __future__ import annotations

import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.block import find_disk, stable_path
from ansible_collections.lxdops.compute.plugins.module_utils.errors import OperationFailed, Refused, TimedOut
from ansible_collections.lxdops.compute.plugins.module_utils.filesystem import (
    content_of,
    filesystem_size,
    grow_filesystem,
)
from ansible_collections.lxdops.compute.plugins.module_utils.volume_record import Record, Records

RECORD = Record("vol1", "vabc", "s", {"data": {"lun": 1, "auth_password": "hush"}}, {"path": "/dev/sda"}, "/dev/sda")


def test_the_name_that_lasts_is_taken(tmp_path: Path) -> None:
    device = tmp_path / "sda"
    device.touch()
    assert stable_path(str(device), str(tmp_path / "none")) == str(device)
    names = tmp_path / "by-id"
    names.mkdir()
    assert stable_path(str(device), str(names)) == str(device)
    for name in ("ata-x", "scsi-x", "wwn-x"):
        (names / name).symlink_to("../sda")
    (names / "dm-uuid-x").symlink_to("../other")
    assert stable_path(str(device), str(names)) == f"{names}/wwn-x"
    assert stable_path("/dev/mapper/x", str(names)) == "/dev/mapper/x"


def test_what_is_no_block_device_is_none(tmp_path: Path) -> None:
    assert find_disk(str(tmp_path)) is None
    assert find_disk(str(tmp_path / "none")) is None


def test_a_record_is_kept_for_root_without_secrets(tmp_path: Path) -> None:
    records = Records(str(tmp_path / "volumes"))
    assert records.find("vol1", "vabc") is None
    assert records.all() == []
    records.write(RECORD)
    kept = replace(RECORD, connection={"data": {"lun": 1}})
    assert records.find("vol1", "vabc") == kept
    assert records.all() == [kept]
    (path,) = (tmp_path / "volumes").iterdir()
    assert (stat.S_IMODE(path.stat().st_mode), "hush" in path.read_text()) == (0o600, False)
    with pytest.raises(Refused, match="vol2 and vol1 would have the same device"):
        records.find("vol2", "vabc")
    path.write_text("{")
    with pytest.raises(OperationFailed, match="is no record of a volume"):
        records.all()
    records.remove(RECORD)
    assert records.all() == []


def test_one_at_a_time_has_the_lock(tmp_path: Path) -> None:
    first, second = Records(str(tmp_path)), Records(str(tmp_path))
    first.hold(0)
    first.hold(0)
    with pytest.raises(TimedOut, match="another task has been at work on the volumes of this host for 0 seconds"):
        second.hold(0)
    first.release()
    second.hold(0)
    second.release()


@pytest.mark.parametrize("features", ["^64bit", "64bit"])
def test_what_is_on_a_device(tmp_path: Path, features: str) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(16 << 20)
    assert content_of(str(path)) == ""
    subprocess.run(["mkfs.ext4", "-q", "-O", features, str(path), "8M"], check=True)
    assert content_of(str(path)) == "ext4"
    assert filesystem_size(str(path)) == 8 << 20
    grow_filesystem(str(path))
    assert filesystem_size(str(path)) == 16 << 20
    path.write_bytes(b"\0" * (2 << 20) + b"data" + b"\0" * 4092)
    assert content_of(str(path)) == "unknown data"
    assert filesystem_size(str(path)) is None
