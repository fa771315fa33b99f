# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet in a box: real LXD or Incus daemons on one machine, each a host of its own."""
