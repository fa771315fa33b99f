# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent to a host for a module stays small."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.payload import files, packed

COLLECTION = Path(__file__).parents[2]
MOST = {
    "lxd_console": (30, 62),
    "lxd_drain": (38, 78),
    "lxd_evacuation": (37, 78),
    "lxd_host_record": (16, 27),
    "lxd_instance": (26, 55),
    "lxd_instances": (29, 59),
    "lxd_interface": (27, 56),
    "lxd_migration": (33, 68),
    "lxd_rebuild": (32, 61),
    "lxd_snapshot": (45, 95),
    "lxd_volume_attachment": (49, 100),
    "lxd_volume_attachment_info": (40, 77),
}
"""Files and KiB of the modules that bring the domain of instances, or of moves; see below."""


@pytest.mark.parametrize("module", sorted(path.stem for path in (COLLECTION / "plugins/modules").glob("*.py")))
def test_a_module_sends_no_more_than_it_should(module: str) -> None:
    most_files, most_kib = MOST.get(module, (12, 20))
    sent = files(COLLECTION, module)
    assert len(sent) <= most_files, sent
    assert packed(sent) <= most_kib * 1024, packed(sent)
