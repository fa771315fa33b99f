# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error of the lab: a sentence for the person who ran it."""


class LabError(Exception):
    """What went wrong, in words."""
