# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxd_snapshot, option by option: check, apply, again."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from integration.case import Lane, same
from integration.snapshot_cases import IMAGE, ROWS, Change
from integration.snapshot_proof import NAME, given, proved


@pytest.fixture(autouse=True)
def _left(lane: Lane) -> Iterator[None]:
    yield
    lane.host.remove(NAME)
    for image in published(lane):
        lane.host.call("DELETE", f"images/{image['fingerprint']}")


def published(lane: Lane) -> list[dict[str, Any]]:
    """The images of snapshots."""
    return [one for one in lane.host.call("GET", "images?recursion=1") if "lxdops.snapshot" in one["properties"]]


def within(value: Any, directory: Path) -> Any:
    """Parameters with the directory of this test in them."""
    if isinstance(value, Mapping):
        return {key: within(item, directory) for key, item in value.items()}
    return value.replace("DIRECTORY", str(directory)) if isinstance(value, str) else value


@pytest.mark.thorough
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_an_option_of_a_running_instance(lane: Lane, row: Sequence[Change], tmp_path: Path) -> None:
    """On a pool of btrfs, which has a format of its own for files."""
    given(lane, "running", devices={"root": {"type": "disk", "path": "/", "pool": "fast"}})
    for params, shows in row:
        proved(lane, **within(params, tmp_path))
        for path, shown in shows.items():
            found = published(lane)[0] if path == IMAGE else lane.host.query(path)
            same(found, shown)
    assert lane.host.query(f"instances/{NAME}")["status"] == "Running"
