# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Whose a key of a config is: ours, the server's, or people's."""

from __future__ import annotations

MARK = "user.lxdops."
"""Prefix of the collection's own markers on an instance. A guest can read them: opaque ids and states only."""
CORDON = MARK + "cordon"
"""Key of a server's own config, or of a cluster member's: why it takes no new instances."""


def is_servers(key: str) -> bool:
    """Whether a config key is the server's own: a PUT must send it back as it is."""
    return key.startswith(("volatile.", "image."))
