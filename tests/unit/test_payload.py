# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent to a host for a module stays small."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.payload import files, packed

COLLECTION = Path(__file__).parents[2]
MOST = {
    "lxd_console": (26, 59),
    "lxd_drain": (35, 78),
    "lxd_evacuation": (33, 74),
    "lxd_host": (11, 20),
    "lxd_host_record": (13, 25),
    "lxd_instance": (22, 52),
    "lxd_instances": (25, 55),
    "lxd_interface": (23, 53),
    "lxd_migration": (30, 68),
    "lxd_rebuild": (28, 58),
    "lxd_snapshot": (41, 91),
    "lxd_volume_attachment": (46, 99),
    "lxd_volume_attachment_info": (37, 74),
}
"""Files and KiB of the modules that bring the domain of instances or of moves, or drive a cluster; see below."""


@pytest.mark.parametrize("module", sorted(path.stem for path in (COLLECTION / "plugins/modules").glob("*.py")))
def test_a_module_sends_no_more_than_it_should(module: str) -> None:
    most_files, most_kib = MOST.get(module, (12, 20))
    sent = files(COLLECTION, module)
    assert len(sent) <= most_files, sent
    assert packed(sent) <= most_kib * 1024, packed(sent)
