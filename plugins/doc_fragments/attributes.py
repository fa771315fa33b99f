# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of what modules support."""

from __future__ import annotations


class ModuleDocFragment:
    """What a module supports."""

    DOCUMENTATION = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/lxdops.compute.lxd) in C(module_defaults) to set the connection options once.
    support: full
    membership:
      - lxdops.compute.lxd
  platform:
    description: Where the server that is managed runs.
    support: full
    platforms: Linux
"""

    CHANGES = r"""
options: {}
attributes:
  check_mode:
    description: Can tell what it would change without changing it.
    support: full
  diff_mode:
    description: Returns what it changes, or in check mode would change, as a difference.
    support: full
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Only reads.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""
