#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Run the unit tests on this checkout, but for those that take minutes.
set -eu
export ANSIBLE_COLLECTIONS_PATH="$PWD/.build/checkout"
exec pytest -m "not thorough" tests/unit
