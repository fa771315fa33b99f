# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark: this collection, community.general and the product's client on one host, one after the other."""
