#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Run every molecule scenario.
set -eu
[ -d extensions/molecule ] || { echo "No role, and so no molecule scenario, exists yet: nothing was run."; exit 0; }
cd extensions
exec ../tests/stages/as_root.sh ../.venv/bin/molecule test --all
