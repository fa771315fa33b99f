# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a block device has an open way to its storage, by files as the kernel has them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils import block_paths
from ansible_collections.lxdops.compute.plugins.module_utils.block import Disk
from ansible_collections.lxdops.compute.plugins.module_utils.block_paths import map_of, shut_ways, unanswered
from unit.kernel_files import tell

TARGET = "iqn.2026-01.test:one"
SHUT = f"sdb is transport-offline (iSCSI session2 of {TARGET}: FAILED)"


@pytest.fixture(autouse=True)
def _blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """252:0 encrypts 253:0, a multipath map of 8:0 and 8:16, of which one path is lost; 7:0 is a loop device."""
    files = {
        "host1/session1/target1/lun/state": "running",
        "host1/session1/iscsi_session/session1/state": "LOGGED_IN",
        "host2/session2/target2/lun/state": "transport-offline",
        "host2/session2/iscsi_session/session2/state": "FAILED",
        "host2/session2/iscsi_session/session2/targetname": TARGET,
        "block/sda/size": "8",
        "block/sdb/size": "8",
        "block/loop0/size": "8",
        "block/dm-0/slaves/dm-1/size": "8",
        "block/dm-0/dm/uuid": "CRYPT-LUKS2-1-lxdops",
        "block/dm-1/dm/uuid": "mpath-36001405",
    }
    tell(tmp_path, files)
    (tmp_path / "block/dm-0/slaves/dm-1/slaves").mkdir()
    for name, number, session in (("sda", "8:0", "1"), ("sdb", "8:16", "2")):
        disk = tmp_path / "block" / name
        (disk / "holders").mkdir()
        (disk / "holders/dm-1").symlink_to(tmp_path / "block/dm-1")
        (disk / "device").symlink_to(tmp_path / f"host{session}/session{session}/target{session}/lun")
        (tmp_path / "block/dm-0/slaves/dm-1/slaves" / name).symlink_to(disk)
        (tmp_path / "block" / number).symlink_to(disk)
    (tmp_path / "block/253:0").symlink_to(tmp_path / "block/dm-1")
    (tmp_path / "block/252:0").symlink_to(tmp_path / "block/dm-0")
    (tmp_path / "block/7:0").symlink_to(tmp_path / "block/loop0")
    monkeypatch.setattr(block_paths, "BLOCKS", tmp_path / "block")


@pytest.mark.parametrize(
    ("number", "ways"), [("8:0", ([], 1)), ("8:16", ([SHUT], 1)), ("252:0", ([SHUT], 2)), ("7:0", ([], 0))]
)
def test_each_way_of_a_device_is_looked_at(number: str, ways: tuple[list[str], int]) -> None:
    assert shut_ways(Disk("", number, 4096)) == ways


@pytest.mark.parametrize(
    ("number", "every", "why"),
    [
        ("8:0", True, ""),
        ("252:0", False, ""),
        ("252:0", True, SHUT),
        ("8:16", False, SHUT),
        ("7:0", True, ""),
    ],
)
def test_it_is_told_why_a_device_cannot_be_used(number: str, every: bool, why: str) -> None:
    told = f"the storage does not answer: {why} for 0 seconds" if why else ""
    assert unanswered(Disk("", number, 4096), every, seconds=0) == told


@pytest.mark.parametrize(("number", "path"), [("8:0", "/dev/dm-1"), ("253:0", "/dev/dm-1"), ("252:0", ""), ("7:0", "")])
def test_the_map_of_a_path_is_found(number: str, path: str) -> None:
    assert map_of(Disk("", number, 4096), seconds=0) == path
