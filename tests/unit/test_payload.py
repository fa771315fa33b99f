# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent to a host for a module stays small."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.payload import files, packed

COLLECTION = Path(__file__).parents[2]
MOST = {
    "lxd_console": (27, 60),
    "lxd_drain": (35, 76),
    "lxd_evacuation": (34, 75),
    "lxd_host": (11, 20),
    "lxd_host_record": (13, 25),
    "lxd_instance": (23, 52),
    "lxd_instances": (26, 56),
    "lxd_interface": (24, 54),
    "lxd_migration": (30, 65),
    "lxd_rebuild": (29, 59),
    "lxd_snapshot": (42, 92),
    "lxd_volume_attachment": (46, 98),
    "lxd_volume_attachment_info": (37, 75),
}
"""Files and KiB of the modules that bring the domain of instances or of moves, or drive a cluster; see below."""


@pytest.mark.parametrize("module", sorted(path.stem for path in (COLLECTION / "plugins/modules").glob("*.py")))
def test_a_module_sends_no_more_than_it_should(module: str) -> None:
    most_files, most_kib = MOST.get(module, (12, 20))
    sent = files(COLLECTION, module)
    assert len(sent) <= most_files, sent
    assert packed(sent) <= most_kib * 1024, packed(sent)
