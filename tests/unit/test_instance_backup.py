# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup file brings to an instance, and when nothing is made of it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lxdops.compute.plugins.module_utils.instance import Desired, Source
from ansible_collections.lxdops.compute.plugins.module_utils.instance_backup import INDEX, Import, meanwhile, origin_of
from ansible_collections.lxdops.compute.plugins.module_utils.instance_domain import INSTANCE
from ansible_collections.lxdops.compute.plugins.module_utils.instance_record import SOURCE
from unit.instances import absent

KEPT = {
    "config": {"user.role": "web", "volatile.eth0.hwaddr": "00:16:3e:00:00:01", SOURCE: "x"},
    "devices": {"root": {"type": "disk", "path": "/", "pool": "fast"}},
    "profiles": ["default"],
    "architecture": "x86_64",
}
WHOLE: dict[str, Any] = {"name": "web1", "type": "container", "config": {"container": KEPT}}


def backup(path: Path, index: Any = WHOLE, mode: str = "w:gz", name: str = INDEX) -> str:
    """A file like one that a server makes; JSON is YAML."""
    content = json.dumps(index).encode()
    file = path / "web1.tar.gz"
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return str(file)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_it_brings_what_the_instance_was_declared_to_be(tmp_path: Path, mode: str) -> None:
    origin = origin_of(backup(tmp_path, mode=mode), "")
    assert (origin.problem, origin.config, origin.devices) == ("", {"user.role": "web"}, KEPT["devices"])
    assert (origin.profiles, origin.type, origin.architecture) == (("default",), "container", "x86_64")


def test_its_checksum_is_looked_at(tmp_path: Path) -> None:
    file = backup(tmp_path)
    right = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    assert origin_of(file, right.upper()).problem == ""
    assert (
        origin_of(file, "0" * 64).problem
        == f"source.sha256: {file} has {right}, and shall have {'0' * 64}: it is damaged"
    )
    beside = Path(f"{file}.sha256")
    beside.write_text(f"# of a snapshot\n{'0' * 64}  web1.tar.gz\n")
    assert "it is damaged" in origin_of(file, "").problem
    beside.write_text(f"{right}  web1.tar.gz\n")
    assert origin_of(file, "").problem == ""


def test_nothing_is_made_of_what_is_no_backup(tmp_path: Path) -> None:
    assert "No such file" in origin_of(str(tmp_path / "no.tar"), "").problem
    (tmp_path / "text").write_text("x" * 2000)
    assert "cannot be read" in origin_of(str(tmp_path / "text"), "").problem
    assert f"there is no {INDEX} in it" in origin_of(backup(tmp_path, name="rootfs/x"), "").problem
    assert "is no backup of an instance" in origin_of(backup(tmp_path, {"name": "vol", "type": "custom"}), "").problem


def test_it_is_imported_into_the_pool_of_its_root(tmp_path: Path) -> None:
    file = backup(tmp_path)
    source = Source("backup", file=file)
    origin = origin_of(file, "")
    current = absent(origin=origin)
    for root, pool in (({}, "fast"), ({"pool": "plain"}, "plain")):
        steps = INSTANCE.plan(Desired("web1", "stopped", source=source, root=root), current)
        assert [step.text for step in steps] == [f"create container web1 from backup {file}"]
        assert isinstance(steps[0], Import)
        assert steps[0].pool == pool
    assert meanwhile("web1") != meanwhile("web2")
