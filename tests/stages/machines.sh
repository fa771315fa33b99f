#!/bin/sh
# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Run the tests of virtual machines, nested in the storage machine, with the collection as it was built and installed.
set -eu
exec tests/stages/as_root.sh .venv/bin/pytest --durations=25 -p no:cacheprovider tests/machines
