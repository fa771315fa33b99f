# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of lxd_console that are declared, as tests prove them one by one; tests/unit/test_options_proved.py
misses none."""

from collections.abc import Mapping, Sequence
from typing import Any

Params = Mapping[str, Any]
Change = tuple[Params, str | None, str | None]
"""What a task says of a console, and where the device then listens and leads to; None: there is none."""

# Of a running container.
ROWS: dict[str, Sequence[Change]] = {
    "vnc": (
        ({"type": "vnc"}, "tcp:127.0.0.1:5900", "tcp:127.0.0.1:5900"),
        ({"type": "vnc", "state": "present", "port": 5999}, "tcp:127.0.0.1:5900", "tcp:127.0.0.1:5999"),
        ({"type": "vnc", "listen": "127.0.0.3", "listen_port": 5907}, "tcp:127.0.0.3:5907", "tcp:127.0.0.1:5999"),
        ({"type": "vnc", "guest_address": "127.0.0.2"}, "tcp:127.0.0.3:5907", "tcp:127.0.0.2:5999"),
        ({"type": "vnc", "state": "absent"}, None, None),
    ),
    "rdp": (
        ({"type": "rdp"}, "tcp:127.0.0.1:3389", "tcp:127.0.0.1:3389"),
        ({"type": "rdp", "listen": "::1", "guest_address": "::1"}, "tcp:[::1]:3389", "tcp:[::1]:3389"),
        ({"type": "rdp", "state": "absent"}, None, None),
    ),
}
