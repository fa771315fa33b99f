#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Run the unit tests on this checkout.
set -eu
export ANSIBLE_COLLECTIONS_PATH="$PWD/.build/checkout"
exec pytest tests/unit
