# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The host that volumes are attached on: its daemon over the unix socket, and os-brick."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .brick import Brick
from .cinder import Cinder
from .errors import Refused
from .lxd import connect
from .trust import Connection
from .volume import Host
from .volume_layers import Layers
from .volume_record import Records


def connecting(options: Connection, environ: Mapping[str, str], check: bool) -> Host:
    """The host where this runs. Refuses where block devices cannot be made, or would not be the daemon's."""
    if os.geteuid():
        raise Refused("volumes are connected by root only: say become: true", found=os.geteuid())
    api = connect(options, environ, check)
    if not api.endpoint.startswith("/"):
        raise Refused(
            f"endpoint: found {api.endpoint}, allowed is the path of a unix socket: the block device of a volume is "
            "made on the host where this module runs, and must be the daemon's",
            option="endpoint",
            found=api.endpoint,
        )
    return Host(api, Layers(Brick()), Records(), Cinder)
