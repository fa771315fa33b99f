# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent to a host for a module stays small."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.payload import files, packed

COLLECTION = Path(__file__).parents[2]
MOST = {
    "lxd_console": (25, 58),
    "lxd_drain": (34, 77),
    "lxd_evacuation": (32, 73),
    "lxd_host": (10, 19),
    "lxd_host_record": (12, 24),
    "lxd_instance": (21, 51),
    "lxd_instances": (24, 53),
    "lxd_interface": (22, 52),
    "lxd_migration": (29, 66),
    "lxd_rebuild": (27, 57),
    "lxd_snapshot": (40, 90),
    "lxd_volume_attachment": (45, 98),
    "lxd_volume_attachment_info": (36, 73),
}
"""Files and KiB of the modules that bring the domain of instances or of moves, or drive a cluster; see below."""


@pytest.mark.parametrize("module", sorted(path.stem for path in (COLLECTION / "plugins/modules").glob("*.py")))
def test_a_module_sends_no_more_than_it_should(module: str) -> None:
    most_files, most_kib = MOST.get(module, (12, 20))
    sent = files(COLLECTION, module)
    assert len(sent) <= most_files, sent
    assert packed(sent) <= most_kib * 1024, packed(sent)
